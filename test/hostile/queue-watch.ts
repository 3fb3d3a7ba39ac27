import { DESCRIPTOR_FETCHED } from "../../src/hardware/vtd/events.ts";
import type { Coverage } from "./coverage.ts";
import type { QueuePlace } from "./guest.ts";
import { REGISTER } from "./layout.ts";
import type { HostileMachine } from "./machine.ts";
import type { WriteWatch } from "./write-watch.ts";

/** Descriptors in the largest queue: no write of a register makes the unit fetch more. */
export const FETCHES_PER_STEP: number = 1 << 15;

/** Descriptor types that there are. */
const TYPES = [1, 2, 3, 4, 5, 6, 7, 8, 9];

interface Fetched {
  readonly address: bigint;
  readonly words: readonly bigint[];
}

/** Looks at each descriptor that the unit fetches: from where, what, and what becomes of it. */
export class QueueWatch {
  readonly wrong: string[] = [];
  /** Descriptors fetched. */
  fetched = 0;
  readonly #machine: HostileMachine;
  readonly #writes: WriteWatch;
  readonly #coverage: Coverage;
  #inStep = 0;
  #base = 0n;
  #bytes = 0n;
  #descriptor = 16n;
  /** Type of the descriptor whose fate is not known yet. */
  #open: number | undefined;
  /** Where it asks for a status, and which. */
  #status: [bigint, number] | undefined;

  constructor(machine: HostileMachine, writes: WriteWatch, coverage: Coverage) {
    this.#machine = machine;
    this.#writes = writes;
    this.#coverage = coverage;
    machine.trace.listen(DESCRIPTOR_FETCHED.name, ({ payload }) =>
      this.#descriptorFetched(payload as Fetched),
    );
  }

  /** The queue in use; `undefined` while it is off. */
  get inUse(): QueuePlace | undefined {
    if ((this.#machine.read32(REGISTER.GSTS) & 0x0400_0000) === 0) return undefined;
    return {
      base: Number(this.#base),
      size: Number(this.#bytes),
      step: Number(this.#descriptor),
    };
  }

  /** A step begins. */
  begin(): void {
    this.#inStep = 0;
    if ((this.#machine.read32(REGISTER.GSTS) & 0x0400_0000) !== 0) return;
    // While the queue is off IQA says which one it will be.
    const iqa = this.#machine.read(REGISTER.IQA, 8);
    this.#base = iqa & ~0xfffn;
    this.#bytes = 4096n << (iqa & 7n);
    this.#descriptor = (iqa & 0x800n) === 0n ? 16n : 32n;
  }

  #descriptorFetched({ address, words }: Fetched): void {
    this.#settle();
    this.fetched++;
    if (++this.#inStep > FETCHES_PER_STEP) this.wrong.push("more descriptors than a queue has");
    const machine = this.#machine;
    const head = machine.read(REGISTER.IQH, 8);
    const tail = machine.read(REGISTER.IQT, 8);
    if (address !== this.#base + head || head >= this.#bytes || head % this.#descriptor !== 0n)
      this.wrong.push(`a descriptor was fetched at 0x${address.toString(16)}, head ${head}`);
    if (head === tail) this.wrong.push("a descriptor was fetched behind the tail");
    if (words.length * 8 !== Number(this.#descriptor)) this.wrong.push("of another width");
    words.forEach((word, i) => {
      if (machine.ram.read64(address + BigInt(8 * i)) !== word) this.wrong.push("of other words");
    });
    const low = words[0]!;
    this.#open = Number((low & 0xfn) | ((low >> 5n) & 0x70n));
    // Asks for a status; should the unit find something wrong with it, none may come.
    if (this.#open === 5 && (low & 0x20n) !== 0n)
      this.#status = [words[1]! & ~3n, Number(low >> 32n)];
    if (this.#status !== undefined) this.#writes.expectStatus(...this.#status);
  }

  /** What became of the last descriptor is known once there is another one, or none. */
  #settle(): void {
    if (this.#open === undefined) return;
    const stopped = (this.#machine.read32(REGISTER.FSTS) & 0x10) !== 0;
    const outcome = stopped ? `IQEI ${this.#machine.read32(REGISTER.IQERCD) & 0xf}` : "taken";
    if (stopped && this.#status !== undefined) this.#writes.forgetStatus(...this.#status);
    this.#status = undefined;
    if (outcome === "taken" && TYPES.every((type) => type !== this.#open))
      this.wrong.push(`a descriptor of type ${this.#open} was taken`);
    const type = TYPES.find((known) => known === this.#open) ?? "unknown";
    this.#coverage.count(`descriptor ${type} ${outcome}`);
    this.#open = undefined;
  }

  /** The step is over. */
  finish(): void {
    this.#settle();
    const status = this.#machine.read32(REGISTER.FSTS);
    if ((status & 0x10) !== 0)
      this.#coverage.count(`queue error ${this.#machine.read32(REGISTER.IQERCD) & 0xf}`);
  }
}
