import { hex } from "../bits/hex.ts";
import { rangeLength } from "../bits/range.ts";
import type { Platform } from "../hardware/platform/index.ts";
import { PROT_READ, PROT_WRITE } from "../page-table/format.ts";
import { TraceChannel } from "../trace/channel.ts";
import { DirectDma } from "./dma/direct-dma.ts";
import { type DmaApi, DmaDevice } from "./dma/dma-device.ts";
import { DmaDomain } from "./dma/dma-domain.ts";
import { type IntelDevice, IntelIommu, type IntelIommuOptions } from "./drivers/intel/index.ts";
import { DONE, type Outcome, ok } from "./errno.ts";
import { FaultInjector } from "./fault-injector.ts";
import { type Group, IommuCore, type PagingDomain } from "./iommu/index.ts";
import { type IommufdFile, type IommufdParts, openIommufd } from "./iommufd/context.ts";
import { Frames } from "./mm/frames.ts";
import { Processes } from "./mm/process.ts";
import { enumeratePci, type PciDevice } from "./pci/index.ts";
import { Vfio } from "./vfio/vfio.ts";
import type { VfioDevice } from "./vfio/vfio-device.ts";

/** What stands on a kernel's command line, so to speak. */
export interface KernelOptions {
  /**
   * What devices have that no client owns: domains of the kernel's own, which
   * hardware is told of at once or later, or physical addresses. Lazy when absent.
   */
  readonly dma?: "strict" | "lazy" | "passthrough";
  readonly intel?: Omit<IntelIommuOptions, "unclaimed">;
  /** Devices whose interrupts nothing remaps may be given to clients all the same. */
  readonly allowUnsafeInterrupts?: boolean;
  /** Makes resources fail. */
  readonly faults?: FaultInjector;
  readonly trace?: TraceChannel;
}

interface DefaultDomain {
  readonly paging: PagingDomain;
  readonly dma: DmaDomain;
}

/** One kernel on one machine. All that it knows is in here: two of them have nothing in common. */
export class Kernel {
  readonly platform: Platform;
  readonly faults: FaultInjector;
  readonly frames: Frames;
  readonly processes: Processes;
  /** Every function, found by enumeration. */
  readonly functions: readonly PciDevice[];
  readonly core: IommuCore = new IommuCore();
  readonly vfio: Vfio;
  readonly iommu: IntelIommu;
  readonly #lines: string[];
  readonly #options: KernelOptions;
  readonly #trace: TraceChannel;
  readonly #iommufd: IommufdParts;
  readonly #defaults = new Map<Group, DefaultDomain>();
  readonly #inUse = new Map<IntelDevice, DmaApi>();

  private constructor(
    parts: Pick<Kernel, "platform" | "faults" | "frames" | "functions" | "iommu" | "core">,
    lines: string[],
    options: KernelOptions,
  ) {
    this.platform = parts.platform;
    this.faults = parts.faults;
    this.frames = parts.frames;
    this.functions = parts.functions;
    this.iommu = parts.iommu;
    this.core = parts.core;
    this.#lines = lines;
    this.#options = options;
    this.#trace = options.trace ?? new TraceChannel();
    this.processes = new Processes(this.frames, this.faults);
    const { frames, faults, core } = this;
    const { allowUnsafeInterrupts = false } = options;
    this.#iommufd = { frames, faults, core, allowUnsafeInterrupts };
    this.vfio = new Vfio(this.#iommufd);
  }

  /**
   * Starts a kernel: finds devices, takes the units over, gives each group its default domain.
   *
   * @returns ENODEV without a unit that it can drive; ENOMEM, ENOSPC, EIO,
   *   ETIMEDOUT; nothing is in use then
   */
  static boot(platform: Platform, options: KernelOptions = {}): Outcome<Kernel> {
    const faults = options.faults ?? new FaultInjector();
    const frames = new Frames(platform.memory, usableRam(platform), faults);
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    const core = new IommuCore();
    const functions = enumeratePci(platform);
    const unclaimed = options.dma === "passthrough" ? "identity" : "blocked";
    const iommu = IntelIommu.probe(
      {
        platform,
        frames,
        faults,
        log,
        pageRequested: (request) => core.pageFaults.report(request),
        pageRequestsLost: (devices) => {
          for (const device of devices) core.pageFaults.discardPartial(device);
        },
      },
      functions,
      { ...options.intel, unclaimed },
    );
    if (!iommu.ok) return iommu;
    const parts = { platform, faults, frames, functions, iommu: iommu.value, core };
    const kernel = new Kernel(parts, lines, options);
    const ready = kernel.#giveDefaults();
    if (ready.ok) return ok(kernel);
    kernel.shutDown();
    if (frames.counts.used > 0) throw new Error("a kernel that did not start has memory");
    return ready;
  }

  /** What the kernel has printed. */
  get log(): readonly string[] {
    return this.#lines;
  }

  #print(line: string): void {
    this.#lines.push(line);
  }

  /** The groups of devices that a unit serves. */
  get groups(): readonly Group[] {
    return [...new Set(this.iommu.devices.map(({ group }) => group))];
  }

  /** The device with a requester ID, if a unit serves it. */
  device(source: number, segment = 0): IntelDevice | undefined {
    return this.iommu.devices.find(({ pci }) => pci.source === source && pci.segment === segment);
  }

  #giveDefaults(): Outcome<undefined> {
    const { dma = "lazy" } = this.#options;
    this.#print(`iommu: default domain type: ${dma}`);
    if (dma === "passthrough") return DONE;
    for (const group of this.groups) {
      const given = this.#giveDefault(group, dma);
      if (!given.ok) return given;
    }
    return DONE;
  }

  #giveDefault(group: Group, mode: "strict" | "lazy"): Outcome<undefined> {
    const { iommu, core, platform } = this;
    const request = { nestParent: false, dirtyTracking: false, pasid: false };
    const made = iommu.allocPaging(group.devices[0]!, request);
    if (!made.ok) return made;
    const domain = made.value;
    const reserved = group.devices.flatMap((device) => iommu.reservedRegions(device));
    const prepared = this.#mapDirect(group, domain);
    const attached = prepared.ok ? core.setDefaultDomain(group, domain) : prepared;
    const dma = attached.ok
      ? DmaDomain.create({
          name: `group ${group.id}`,
          domain,
          mode,
          reserved,
          clock: platform.clock,
          trace: this.#trace,
          log: (line) => this.#print(line),
        })
      : attached;
    if (dma.ok) {
      this.#defaults.set(group, { paging: domain, dma: dma.value });
      return DONE;
    }
    if (attached.ok) core.setDefaultDomain(group, undefined);
    this.#unmapDirect(group, domain);
    domain.free();
    return dma;
  }

  /** Maps what firmware needs for devices of a group to itself. */
  #mapDirect(group: Group, domain: PagingDomain): Outcome<undefined> {
    for (const device of group.devices) {
      for (const region of this.iommu.reservedRegions(device)) {
        if (region.type !== "direct" || domain.iovaToPhys(region.start) !== undefined) continue;
        const length = rangeLength(region);
        const mapped = domain.map(region.start, region.start, length, PROT_READ | PROT_WRITE);
        if (!mapped.ok) return mapped;
        this.#print(
          `iommu: ${device.name}: ${hex(region.start)} to ${hex(region.last)} stay mapped`,
        );
      }
    }
    return DONE;
  }

  #unmapDirect(group: Group, domain: PagingDomain): void {
    for (const device of group.devices) {
      for (const region of this.iommu.reservedRegions(device)) {
        if (region.type !== "direct" || domain.iovaToPhys(region.start) === undefined) continue;
        domain.unmap(region.start, rangeLength(region));
      }
    }
  }

  /**
   * The DMA of a device for a driver of this kernel, until `endDma`.
   *
   * @returns EBUSY when a client owns its group
   */
  useDma(device: IntelDevice): Outcome<DmaApi> {
    const used = this.core.useDma(device);
    if (!used.ok) return used;
    device.pci.enable();
    const given = this.#defaults.get(device.group);
    const api =
      this.#inUse.get(device) ??
      (given === undefined
        ? new DirectDma()
        : new DmaDevice(device.name, given.dma, (line) => this.#print(line)));
    this.#inUse.set(device, api);
    return ok(api);
  }

  /** Ends what `useDma` began. */
  endDma(device: IntelDevice): void {
    this.core.endDma(device);
    this.#inUse.delete(device);
  }

  /** Hands a device to VFIO, for clients. */
  assign(device: IntelDevice): VfioDevice {
    const { pci, name } = device;
    pci.enable();
    const place = { segment: pci.segment, bus: pci.source >>> 8, devfn: pci.source & 0xff };
    return this.vfio.register(name, device, place, {
      pasids: device.pasidLg2 > 0,
      reset: () => this.reset(device),
    });
  }

  /** Resets a device. @returns ENOTTY when it cannot be reset by itself */
  reset(device: IntelDevice): Outcome<undefined> {
    return this.core.reset(device, () => device.pci.reset());
  }

  /** Opens `/dev/iommu`; the reference is the caller's. */
  openIommufd(): IommufdFile {
    return openIommufd(this.#iommufd);
  }

  /** Blocks every device and gives all memory back. Nobody may use anything of the kernel any more. */
  shutDown(): void {
    for (const { dma } of this.#defaults.values()) dma.destroy();
    this.iommu.shutDown();
    for (const [group, { paging }] of this.#defaults) {
      this.#unmapDirect(group, paging);
      paging.free();
    }
    this.#defaults.clear();
  }
}

const usableRam = ({ ram, reserved }: Platform) =>
  ram.flatMap((range) => {
    let parts = [range];
    for (const { base, length } of reserved) {
      parts = parts.flatMap((part) => {
        const end = part.base + part.length;
        const [first, last] = [base & ~0xfffn, (base + length + 0xfffn) & ~0xfffn];
        if (last <= part.base || end <= first) return [part];
        return [
          { base: part.base, length: first - part.base },
          { base: last, length: end - last },
        ].filter((left) => left.length > 0n);
      });
    }
    return parts;
  });
