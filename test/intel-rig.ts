import { frameAddress } from "../src/bits/halves.ts";
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
import { HostRig } from "./host-rig.ts";

export const must = <T>(outcome: Outcome<T>): T => {
  if (!outcome.ok) throw new Error(outcome.errno);
  return outcome.value;
};

/** A machine with a kernel's driver on it: what a test asserts of it is DMA and bytes. */
export class IntelRig extends HostRig {
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
    super(options);
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
}
