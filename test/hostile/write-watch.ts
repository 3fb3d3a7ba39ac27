import { REGISTER } from "./layout.ts";
import type { HostileMachine } from "./machine.ts";
import { isProtected } from "./prediction.ts";
import { type MemoryWrite, quadwordAt } from "./watched-memory.ts";

/** What the step under way may write besides the status of waits. */
export interface Allowance {
  /** Page requests that may go into the queue. */
  readonly requests?: number;
  /** Bytes of DMA, wherever the tables lead; flags in tables with them. */
  readonly bytes?: number;
  /** All that DMA and flags may change, and what it becomes; nothing else of `bytes` then. */
  readonly exactly?: ReadonlyMap<bigint, bigint>;
  /** A held transfer was let through before memory was protected. */
  readonly held?: boolean;
}

/** Accessed, dirty and extended accessed of the first stage, accessed and dirty of the second. */
const FLAGS = 0x460n | 0x300n;

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

const key = (address: bigint, data: number): string => `${address} ${data}`;

/** Says of each write into memory whether something that the guest asked for allows it. */
export class WriteWatch {
  readonly wrong: string[] = [];
  /** Waits that have been fetched and whose status is not written yet. */
  readonly #statuses = new Map<string, number>();
  #machine: HostileMachine | undefined;
  #requests = 0;
  #bytes = 0;
  #exactly: ReadonlyMap<bigint, bigint> | undefined;
  #held = false;
  /** Writes seen, by what allowed them. */
  readonly seen = { status: 0, request: 0, flags: 0, data: 0 };

  watch(machine: HostileMachine): void {
    this.#machine = machine;
  }

  /** A step begins. */
  allow({ requests = 0, bytes = 0, exactly, held = false }: Allowance): void {
    this.#requests = requests;
    this.#bytes = bytes;
    this.#exactly = exactly;
    this.#held = held;
  }

  /** A wait with a status has been fetched. */
  expectStatus(address: bigint, data: number): void {
    const name = key(address, data);
    this.#statuses.set(name, (this.#statuses.get(name) ?? 0) + 1);
  }

  /** A wait was refused: its status never comes. */
  forgetStatus(address: bigint, data: number): void {
    const name = key(address, data);
    const left = (this.#statuses.get(name) ?? 0) - 1;
    if (left > 0) this.#statuses.set(name, left);
    else this.#statuses.delete(name);
  }

  /** Waits have been given up: none of those before may write any more. */
  forgetStatuses(): void {
    this.#statuses.clear();
  }

  /** The step is over: all that had to change has. */
  finish(): void {
    for (const [address, value] of this.#exactly ?? []) {
      const found = this.#machine!.ram.read64(address);
      if (found !== value)
        this.wrong.push(`${hex(address)} should hold ${hex(value)} and holds ${hex(found ?? 0n)}`);
    }
    this.allow({});
  }

  /** Memory has been written. */
  wrote(write: MemoryWrite): void {
    if (this.#isStatus(write)) this.seen.status++;
    else if (this.#isRequest(write)) this.seen.request++;
    else if (this.#exactly !== undefined) this.#checkExactly(write);
    else if (this.#isFlags(write)) this.seen.flags++;
    else if (this.#isData(write)) this.seen.data++;
    else this.wrong.push(`${write.now.length} bytes at ${hex(write.address)} were written`);
  }

  #isStatus({ address, now }: MemoryWrite): boolean {
    if (now.length !== 4) return false;
    const data = new DataView(now.buffer).getUint32(0, true);
    if (!this.#statuses.has(key(BigInt(address), data))) return false;
    this.forgetStatus(BigInt(address), data);
    return true;
  }

  #isRequest({ address, now }: MemoryWrite): boolean {
    if (this.#requests === 0 || now.length !== 32 || now[0] !== 1) return false;
    const machine = this.#machine!;
    const pqa = machine.read(REGISTER.PQA, 8);
    const entries = 128n << (pqa & 7n);
    const slot = (machine.read(REGISTER.PQT, 8) >> 5n) % entries;
    if (BigInt(address) !== (pqa & ~0xfffn) + slot * 32n) return false;
    this.#requests--;
    return true;
  }

  #checkExactly({ address, now }: MemoryWrite): void {
    const last = BigInt(address + now.length - 1);
    for (let at = BigInt(address) & ~7n; at <= last; at += 8n) {
      if (this.#exactly!.has(at)) continue;
      this.wrong.push(`${now.length} bytes at ${hex(address)} were written by a transfer`);
      return;
    }
    if (now.length === 8) this.seen.flags++;
    else this.seen.data++;
  }

  #isFlags({ old, now }: MemoryWrite): boolean {
    if (this.#bytes === 0 || now.length !== 8) return false;
    const before = quadwordAt(old);
    const after = quadwordAt(now);
    return after !== before && (before & ~after) === 0n && ((before ^ after) & ~FLAGS) === 0n;
  }

  #isData({ address, now }: MemoryWrite): boolean {
    this.#bytes -= now.length;
    if (this.#bytes < 0 || (address & 0xfff) + now.length > 4096) return false;
    return this.#held || !isProtected(this.#machine!, BigInt(address));
  }
}
