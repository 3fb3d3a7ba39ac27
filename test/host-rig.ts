import type { DmaEngine } from "../src/hardware/devices/index.ts";
import {
  COMMAND,
  OPERATIONS,
  RESPONSE,
  STATUS,
} from "../src/hardware/devices/spec/engine-registers.ts";
import { HostMachine, type HostMachineOptions } from "../src/machine/host-machine.ts";

/** How a page request differs from the plainest: of one page, to be read, in group 1, the last of it. */
export interface PageAsk {
  readonly pasid?: number;
  readonly write?: boolean;
  readonly group?: number;
  readonly last?: boolean;
  readonly execute?: boolean;
  readonly privileged?: boolean;
}

/** Two engines at 00:02.0 and 00:03.0. */
const TWO_ENGINES: HostMachineOptions["populate"] = ({ addEngine }) => {
  addEngine({ device: 2 });
  addEngine({ device: 3 });
};

/** A machine whose engines a test has do DMA. */
export class HostRig {
  readonly machine: HostMachine;

  constructor(options: Partial<HostMachineOptions> = {}) {
    this.machine = new HostMachine({ populate: TWO_ENGINES, ...options });
  }

  #run(
    engine: DmaEngine,
    operation: keyof typeof OPERATIONS,
    address: bigint,
    pasid?: number,
    flags: Parameters<typeof COMMAND.encode>[0] = {},
  ): string {
    const { platform } = this.machine;
    const bar = engine.function.bars[0]!.address;
    platform.writeMmio(bar + 8n, 8, address);
    platform.writeMmio(bar + 0x10n, 4, 1n);
    platform.writeMmio(bar + 0x14n, 4, pasid === undefined ? 0n : 0x8000_0000n | BigInt(pasid));
    const command = COMMAND.encode({ operation: OPERATIONS[operation], ...flags });
    platform.writeMmio(bar + 0x18n, 4, command[0]!);
    return this.#statusOf(engine);
  }

  #statusOf(engine: DmaEngine): string {
    const bar = engine.function.bars[0]!.address;
    const status = STATUS.decode([this.machine.platform.readMmio(bar + 0x1cn, 4)]);
    if (status.busy === 1n) return "busy";
    return status.error === 1n ? `fault ${status.fault.toString(16).padStart(2, "0")}` : "ok";
  }

  /** What has become of the last command of an engine. */
  status(index: number): string {
    return this.#statusOf(this.machine.engines[index]!);
  }

  /** Asks for a page; `busy` until the answer comes. */
  ask(index: number, address: bigint, ask: PageAsk = {}): string {
    const { pasid, write: wantsWrite = false, group = 1, last = true, ...rest } = ask;
    const flags = { wantsWrite, group, last, ...rest };
    return this.#run(this.machine.engines[index]!, "requestPage", address, pasid, flags);
  }

  /** The last answer to page requests: `group:code`. */
  answer(index: number): string {
    const bar = this.machine.engines[index]!.function.bars[0]!.address;
    const { group, code } = RESPONSE.decode([this.machine.platform.readMmio(bar + 0x30n, 4)]);
    return `${group}:${code}`;
  }

  /** A byte read by DMA in hexadecimal, or `fault` and the code. */
  load(index: number, address: bigint, pasid?: number, translated = false): string {
    const engine = this.machine.engines[index]!;
    const status = this.#run(engine, "read", address, pasid, { translated });
    const bar = engine.function.bars[0]!.address;
    if (status !== "ok") return status;
    return this.machine.platform
      .readMmio(bar + 0x800n, 1)
      .toString(16)
      .padStart(2, "0");
  }

  /** Writes a byte by DMA. */
  store(index: number, address: bigint, byte: number, pasid?: number): string {
    const engine = this.machine.engines[index]!;
    const bar = engine.function.bars[0]!.address;
    this.machine.platform.writeMmio(bar + 0x800n, 1, BigInt(byte));
    return this.#run(engine, "write", address, pasid);
  }
}
