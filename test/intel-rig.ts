import { frameAddress } from "../src/bits/halves.ts";
import type { DmaEngine } from "../src/hardware/devices/index.ts";
import { COMMAND, OPERATIONS, STATUS } from "../src/hardware/devices/spec/engine-registers.ts";
import {
  IntelIommu,
  type IntelIommuOptions,
  type IntelPagingDomain,
  type RecordedFault,
} from "../src/linux/drivers/intel/index.ts";
import type { IntelDevice } from "../src/linux/drivers/intel/intel-device.ts";
import type { Outcome } from "../src/linux/errno.ts";
import { FaultInjector } from "../src/linux/fault-injector.ts";
import { Frames } from "../src/linux/mm/frames.ts";
import { enumeratePci } from "../src/linux/pci/index.ts";
import { HostMachine, type HostMachineOptions } from "../src/machine/host-machine.ts";

export const must = <T>(outcome: Outcome<T>): T => {
  if (!outcome.ok) throw new Error(outcome.errno);
  return outcome.value;
};

/** A machine with a kernel's driver on it: what a test asserts of it is DMA and bytes. */
export class IntelRig {
  readonly machine: HostMachine;
  readonly faults = new FaultInjector();
  readonly frames: Frames;
  readonly iommu: IntelIommu;
  readonly log: string[] = [];
  readonly faultsSeen: RecordedFault[] = [];

  /**
   * Has attempt `n` of a driver's beginning fail.
   *
   * @returns whether there were not so many; else nothing may be left in use
   */
  static beginsWithFailure(n: number): boolean {
    const machine = new HostMachine({ populate: ({ addEngine }) => void addEngine({ device: 2 }) });
    const { platform } = machine;
    const faults = new FaultInjector();
    const frames = new Frames(platform.memory, platform.ram, faults);
    faults.failNth(n);
    const parts = { platform, frames, faults, log: () => {} };
    const probed = IntelIommu.probe(parts, enumeratePci(platform));
    if (probed.ok === faults.hasFailed) throw new Error(`attempt ${n} is not answered for`);
    if (!probed.ok && frames.counts.used > 0) throw new Error(`attempt ${n} leaves frames`);
    return probed.ok;
  }

  constructor(
    options: Partial<HostMachineOptions> = {},
    driver: IntelIommuOptions = { unclaimed: "blocked" },
  ) {
    const populate: HostMachineOptions["populate"] = ({ addEngine }) => {
      addEngine({ device: 2 });
      addEngine({ device: 3 });
    };
    this.machine = new HostMachine({ populate, ...options });
    for (const engine of this.machine.engines) engine.function.config.write(4, 2, 6);
    const { platform } = this.machine;
    this.frames = new Frames(platform.memory, platform.ram, this.faults);
    const parts = {
      platform,
      frames: this.frames,
      faults: this.faults,
      log: (line: string) => void this.log.push(line),
      faulted: (fault: RecordedFault) => void this.faultsSeen.push(fault),
    };
    this.iommu = must(IntelIommu.probe(parts, enumeratePci(platform), driver));
  }

  device(index: number): IntelDevice {
    const source = this.machine.engines[index]!.function.requesterId;
    return this.iommu.devices.find(({ pci }) => pci.source === source)!;
  }

  paging(kind: Partial<Parameters<IntelIommu["allocPaging"]>[1]> = {}, index = 0) {
    const request = { nestParent: false, dirtyTracking: false, pasid: false, ...kind };
    return must(this.iommu.allocPaging(this.device(index), request)) as IntelPagingDomain;
  }

  /** A page of RAM that begins with `byte`. */
  page(byte: number): bigint {
    const address = frameAddress(this.frames.allocate()!);
    this.machine.memory.write8(address, byte);
    return address;
  }

  /** Descriptors, without waits, that `action` costs; waits beside them. */
  cost(action: () => void): readonly [descriptors: number, waits: number] {
    const counts = () => this.iommu.units.map(({ queue }) => queue.counts);
    const sum = (key: "descriptors" | "waits") =>
      counts().reduce((all, each) => all + each[key], 0);
    const before = [sum("descriptors"), sum("waits")] as const;
    action();
    return [sum("descriptors") - before[0], sum("waits") - before[1]];
  }

  #run(
    engine: DmaEngine,
    operation: keyof typeof OPERATIONS,
    address: bigint,
    pasid?: number,
    translated = false,
  ): string {
    const { platform } = this.machine;
    const bar = engine.function.bars[0]!.address;
    platform.writeMmio(bar + 8n, 8, address);
    platform.writeMmio(bar + 0x10n, 4, 1n);
    platform.writeMmio(bar + 0x14n, 4, pasid === undefined ? 0n : 0x8000_0000n | BigInt(pasid));
    const command = COMMAND.encode({ operation: OPERATIONS[operation], translated });
    platform.writeMmio(bar + 0x18n, 4, command[0]!);
    const { error, fault } = STATUS.decode([platform.readMmio(bar + 0x1cn, 4)]);
    return error === 1n ? `fault ${fault.toString(16).padStart(2, "0")}` : "ok";
  }

  /** A byte read by DMA in hexadecimal, or `fault` and the code. */
  load(index: number, address: bigint, pasid?: number, translated = false): string {
    const engine = this.machine.engines[index]!;
    const status = this.#run(engine, "read", address, pasid, translated);
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
