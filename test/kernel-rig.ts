import { frameAddress } from "../src/bits/halves.ts";
import type { IntelDevice } from "../src/linux/drivers/intel/index.ts";
import { FaultInjector } from "../src/linux/fault-injector.ts";
import { Kernel, type KernelOptions } from "../src/linux/kernel.ts";
import type { HostMachineOptions } from "../src/machine/host-machine.ts";
import { HostRig } from "./host-rig.ts";
import { must } from "./intel-rig.ts";

/** A machine with a whole kernel on it. */
export class KernelRig extends HostRig {
  readonly kernel: Kernel;
  readonly faults: FaultInjector;

  constructor(machine: Partial<HostMachineOptions> = {}, options: KernelOptions = {}) {
    super(machine);
    this.faults = options.faults ?? new FaultInjector();
    const trace = this.machine.trace;
    this.kernel = must(
      Kernel.boot(this.machine.platform, { trace, ...options, faults: this.faults }),
    );
  }

  device(index: number): IntelDevice {
    return this.kernel.device(this.machine.engines[index]!.function.requesterId!)!;
  }

  /** Lets an engine do DMA, as whoever drives it would. */
  enable(...indices: readonly number[]): void {
    for (const index of indices) this.device(index).pci.enable();
  }

  paging(
    index = 0,
    kind: { readonly dirtyTracking?: boolean; readonly nestParent?: boolean } = {},
  ) {
    const request = { nestParent: false, dirtyTracking: false, pasid: true, ...kind };
    return must(this.kernel.iommu.allocPaging(this.device(index), request));
  }

  /** A page of RAM that begins with `byte`. */
  page(byte: number): bigint {
    const address = frameAddress(this.kernel.frames.allocate()!);
    this.machine.memory.write8(address, byte);
    return address;
  }
}
