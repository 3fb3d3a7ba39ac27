import { frameAddress } from "../../../bits/halves.ts";
import { hex } from "../../../bits/hex.ts";
import type { Platform, UnitDescription } from "../../../hardware/platform/index.ts";
import type { CAP, ECAP } from "../../../hardware/vtd/spec/capability-registers.ts";
import { CCMD, IOTLB, IRTA } from "../../../hardware/vtd/spec/registers.ts";
import { RTADDR, TTM_LEGACY, TTM_SCALABLE } from "../../../hardware/vtd/spec/root-table-address.ts";
import { DONE, fail, type Outcome, ok } from "../../errno.ts";
import type { FaultInjector } from "../../fault-injector.ts";
import type { IommuDevice, PageRequestReport } from "../../iommu/index.ts";
import type { Frames } from "../../mm/frames.ts";
import {
  contextCacheGlobal,
  type Descriptor,
  type Drains,
  drainPageRequests,
  interruptEntries,
  iotlbGlobal,
  pageGroupResponse,
  pasidCacheGlobal,
  RESPONSE_CODES,
} from "./descriptors.ts";
import { DomainIds } from "./domain-ids.ts";
import { FaultHandler, faultLine, type RecordedFault } from "./fault-handler.ts";
import { InvalidationQueue } from "./invalidation-queue.ts";
import { PageRequestService, type QueuedPageRequest } from "./page-request-service.ts";
import { RootTable } from "./root-table.ts";
import { UnitRegisters } from "./unit-registers.ts";

/** What a unit is driven with. */
export interface UnitParts {
  readonly platform: Platform;
  readonly frames: Frames;
  readonly faults: FaultInjector;
  /** Takes lines of the kernel's log. */
  readonly log: (line: string) => void;
  /** Told of each fault that a unit records, after the log. */
  readonly faulted?: (fault: RecordedFault) => void;
  /** Takes devices' page requests; they are refused when absent. */
  readonly pageRequested?: (request: PageRequestReport) => void;
  /** Told that requests of some of these devices have been lost. */
  readonly pageRequestsLost?: (devices: readonly IommuDevice[]) => void;
}

/** How a unit is driven. */
export interface UnitMode {
  /** Scalable mode, where the unit has it. */
  readonly scalable: boolean;
  /** Legacy mode also on a unit that has scalable mode and says nothing of a second stage. */
  readonly legacyWithoutSecondStage: boolean;
  /** Interrupts are remapped, by a table in which no device has an entry yet. */
  readonly interruptRemapping: boolean;
}

/** Who can end its part of an invalidation by dropping all that it has cached. */
export interface CachingDevice {
  readonly name: string;
  /** Requester ID. */
  readonly source: number;
  /** Ends the device's caching for good. */
  quarantine(): void;
}

/** One descriptor of a flush, and the device that has to answer it, if any. */
export interface FlushItem {
  readonly descriptor: Descriptor;
  readonly device?: CachingDevice;
}

/** Entries of the interrupt remapping table in one page, as IRTA has it: 2^(S+1). */
const ONE_PAGE_OF_ENTRIES = 7;

/** A remapping unit as its driver holds it: registers, queue, root table, domain ids. */
export class IntelUnit {
  readonly description: UnitDescription;
  readonly registers: UnitRegisters;
  readonly scalable: boolean;
  readonly queue: InvalidationQueue;
  readonly root: RootTable;
  readonly domainIds: DomainIds;
  readonly drains: Drains;
  readonly #parts: UnitParts;
  #interruptTable: number | undefined;
  #faultHandler: FaultHandler | undefined;
  #pageRequests: PageRequestService | undefined;
  /** Takes page requests; without it they are refused. */
  onPageRequest: ((request: QueuedPageRequest) => void) | undefined = undefined;
  /** Told when page requests have been lost. */
  onPageRequestsLost: (() => void) | undefined = undefined;
  #dead = false;

  private constructor(
    parts: UnitParts,
    description: UnitDescription,
    registers: UnitRegisters,
    made: { readonly queue: InvalidationQueue; readonly root: RootTable },
  ) {
    const { ND, DRD, DWD } = registers.capFields;
    this.#parts = parts;
    this.description = description;
    this.registers = registers;
    this.queue = made.queue;
    this.root = made.root;
    this.scalable = made.root.scalable;
    this.domainIds = new DomainIds(parts.faults, 2 ** (4 + 2 * Number(ND)));
    this.drains = { DR: DRD === 1n, DW: DWD === 1n };
  }

  /**
   * Takes a unit over. Every request that it serves is blocked afterwards, once
   * translation is on.
   *
   * @returns ENODEV when nobody answers, or it cannot be driven in this mode;
   *   ENOMEM, ETIMEDOUT, EIO
   */
  static probe(parts: UnitParts, description: UnitDescription, mode: UnitMode): Outcome<IntelUnit> {
    const { frames } = parts;
    const registers = new UnitRegisters(parts.platform, description.base);
    const { SMTS, SSTS, FSTS, QI } = registers.ecapFields;
    if (!registers.isPresent || QI === 0n) return fail("ENODEV");
    const scalable = mode.scalable && SMTS === 1n && (SSTS === 1n || FSTS === 1n);
    // Its second-stage fields say nothing of what legacy mode would find there.
    const unfit = !scalable && SMTS === 1n && SSTS === 0n;
    if (unfit && !mode.legacyWithoutSecondStage) return fail("ENODEV");
    const root = RootTable.create(frames, scalable);
    if (!root.ok) return root;
    const queue = InvalidationQueue.start(registers, parts, scalable);
    if (!queue.ok) {
      root.value.free();
      return queue;
    }
    const unit = new IntelUnit(parts, description, registers, {
      queue: queue.value,
      root: root.value,
    });
    const started = unit.#start(mode);
    if (started.ok) return ok(unit);
    unit.free();
    return started;
  }

  get name(): string {
    return `dmar at ${hex(this.description.base)}`;
  }

  /** It has blocked everything, because it did not do what it was told. */
  get isDead(): boolean {
    return this.#dead;
  }

  /** A one-bit capability. */
  has(name: keyof typeof CAP.fields | keyof typeof ECAP.fields): boolean {
    const { capFields, ecapFields } = this.registers;
    return { ...capFields, ...ecapFields }[name] === 1n;
  }

  #start({ interruptRemapping }: UnitMode): Outcome<undefined> {
    const rooted = this.#setRoot();
    if (!rooted.ok) return rooted;
    const flushed = this.queue.submit(this.#everything());
    if (!flushed.ok) return flushed;
    const connected = this.#connectFaults();
    if (!connected.ok) return connected;
    const serving = this.scalable && this.has("PRS") ? this.#servePageRequests() : DONE;
    if (!serving.ok) return serving;
    return interruptRemapping && this.has("IR") ? this.#remapInterrupts() : DONE;
  }

  #setRoot(): Outcome<undefined> {
    const TTM = this.scalable ? TTM_SCALABLE : TTM_LEGACY;
    this.registers.write(RTADDR, RTADDR.encode({ TTM, RTA: this.root.address })[0]!);
    return this.registers.command("SRTP", "RTPS", true);
  }

  #everything(): readonly Descriptor[] {
    return [
      contextCacheGlobal(),
      ...(this.scalable ? [pasidCacheGlobal()] : []),
      iotlbGlobal(this.drains),
    ];
  }

  #connectFaults(): Outcome<undefined> {
    const { platform, log, faulted } = this.#parts;
    const connected = FaultHandler.connect(platform, this.registers, this.description.segment, {
      recorded: (fault) => {
        log(`${this.name}: ${faultLine(fault)}`);
        faulted?.(fault);
      },
      lost: () => log(`${this.name}: faults were lost`),
    });
    if (!connected.ok) return connected;
    this.#faultHandler = connected.value;
    return DONE;
  }

  #servePageRequests(): Outcome<undefined> {
    const { platform, frames, log } = this.#parts;
    const started = PageRequestService.start(platform, this.registers, frames, {
      requested: (request) => {
        if (this.onPageRequest !== undefined) this.onPageRequest(request);
        else if (request.last) this.answer(request, "invalid");
      },
      overflowed: () => {
        log(`${this.name}: page requests were lost`);
        this.onPageRequestsLost?.();
      },
    });
    if (!started.ok) return started;
    this.#pageRequests = started.value;
    return DONE;
  }

  /** Whether devices' page requests can reach the driver. */
  get takesPageRequests(): boolean {
    return this.#pageRequests !== undefined;
  }

  /** Answers a group of page requests. */
  answer({ source, pasid, group }: QueuedPageRequest, response: keyof typeof RESPONSE_CODES): void {
    const descriptor = pageGroupResponse(source, pasid, group, RESPONSE_CODES[response]);
    if (this.flush([{ descriptor }]).ok || this.flush([{ descriptor }]).ok) return;
    this.#parts.log(`${this.name}: a page response was lost`);
  }

  /** Takes every page request that has been sent until now. */
  drainPageRequests(): void {
    const service = this.#pageRequests;
    if (service === undefined) return;
    if (this.has("PDS")) this.mustFlush([{ descriptor: drainPageRequests() }]);
    service.handle();
  }

  #remapInterrupts(): Outcome<undefined> {
    const pfn = this.#parts.frames.allocate();
    if (pfn === undefined) return fail("ENOMEM");
    this.#interruptTable = pfn;
    const table = { S: ONE_PAGE_OF_ENTRIES, EIME: this.has("EIM"), IRTA: frameAddress(pfn) };
    this.registers.write(IRTA, IRTA.encode(table)[0]!);
    const set = this.registers.command("SIRTP", "IRTPS", true);
    if (!set.ok) return set;
    const flushed = this.queue.submit([interruptEntries()]);
    return flushed.ok ? this.registers.command("IRE", "IRES", true) : flushed;
  }

  get remapsInterrupts(): boolean {
    return this.#interruptTable !== undefined;
  }

  /** Has requests translated from now on. */
  enableTranslation(): Outcome<undefined> {
    return this.registers.command("TE", "TES", true);
  }

  /** Carries out a flush. @returns as `InvalidationQueue.submit` */
  flush(items: readonly FlushItem[]): Outcome<undefined> {
    if (items.length === 0 || this.#dead) return DONE;
    const submit = () => this.queue.submit(items.map(({ descriptor }) => descriptor));
    return this.#pageRequests?.holdOff(submit) ?? submit();
  }

  /**
   * Carries out a flush that has to happen: nothing stale is used afterwards,
   * whatever it takes. A device that does not answer loses its cache; a unit
   * that does not obey blocks everything.
   */
  mustFlush(items: readonly FlushItem[]): void {
    let left = items;
    for (let tries = 0; tries < 2; ) {
      const outcome = this.flush(left);
      if (outcome.ok) return;
      const stuck = outcome.errno === "ETIMEDOUT" ? this.#stuckDevices(left) : [];
      if (stuck.length === 0) tries += 1;
      for (const device of stuck) {
        this.#parts.log(`${this.name}: ${device.name} does not answer invalidations: ATS disabled`);
        device.quarantine();
      }
      left = left.filter(({ device }) => device === undefined || !stuck.includes(device));
    }
    this.#parts.log(`${this.name}: invalidation failed: all DMA blocked`);
    this.#blockEverything();
  }

  /** The device that the unit named, or every one that was asked. */
  #stuckDevices(items: readonly FlushItem[]): readonly CachingDevice[] {
    const asked = items.flatMap(({ device }) => (device === undefined ? [] : [device]));
    const named = asked.filter(({ source }) => source === this.queue.stuckSource);
    return [...new Set(named.length > 0 ? named : asked)];
  }

  #blockEverything(): void {
    this.#dead = true;
    this.root.blockAll();
    this.queue.stop();
    this.#setRoot();
    if (this.has("ESRTPS")) return;
    this.registers.write(CCMD, CCMD.encode({ ICC: 1, CIRG: 1 })[0]!);
    this.registers.poll(CCMD, ({ ICC }) => ICC === 0n);
    this.registers.write(IOTLB, IOTLB.encode({ IVT: 1, IIRG: 1, ...this.drains })[0]!);
    this.registers.poll(IOTLB, ({ IVT }) => IVT === 0n);
  }

  /**
   * Switches remapping off and gives every table back.
   *
   * Requests are not translated afterwards: only for a machine that goes down.
   */
  free(): void {
    this.registers.command("TE", "TES", false);
    this.registers.command("IRE", "IRES", false);
    this.#faultHandler?.disconnect();
    this.#pageRequests?.stop();
    this.#pageRequests = undefined;
    this.queue.stop();
    this.queue.free();
    this.root.free();
    if (this.#interruptTable !== undefined) this.#parts.frames.free(this.#interruptTable);
    this.#interruptTable = undefined;
  }
}
