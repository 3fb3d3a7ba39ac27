import { highHalf, lowHalf } from "../../bits/halves.ts";
import { decodeCompatibleMessage, type Interrupt } from "../../hardware/interrupt/message.ts";
import type { PageRequest } from "../../hardware/pci/ats.ts";
import { DmaRequest, NO_PASID, READ, UNTRANSLATED, WRITE } from "../../hardware/pci/dma-request.ts";
import { type Capabilities, createCapabilities } from "../../hardware/vtd/capabilities.ts";
import { capabilityProblem } from "../../hardware/vtd/capability-problem.ts";
import { DESCRIPTOR_FETCHED, WAIT_COMPLETED } from "../../hardware/vtd/events.ts";
import type { VtdFault } from "../../hardware/vtd/fault.ts";
import { REGISTER_WINDOW, type RegisterWidth } from "../../hardware/vtd/register-file.ts";
import { RemappingUnit } from "../../hardware/vtd/remapping-unit.ts";
import { ECAP } from "../../hardware/vtd/spec/capability-registers.ts";
import { IQA } from "../../hardware/vtd/spec/registers.ts";
import { TranslationUnit } from "../../hardware/vtd/unit.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { TraceChannel, type TraceEvent } from "../../trace/channel.ts";
import type { VtdCapture } from "../capture.ts";
import { CaptureError } from "../capture-error.ts";
import { faultRecordsOf } from "../registers.ts";
import { emptyMemory } from "./recorded-memory.ts";
import type { RequestDetails } from "./trace-line.ts";

/** Descriptors that one replay fetches: far more than fit a trace, unless its tail goes round and round. */
const MAX_FETCHED = 2 ** 22;

/** A request that was refused. */
export interface RecordedRequest {
  readonly source: number;
  readonly address: bigint;
  readonly write: boolean;
  readonly request?: RequestDetails;
}

/** A descriptor that the unit has fetched. */
export interface FetchedDescriptor {
  readonly address: bigint;
  readonly words: readonly bigint[];
}

/** A status that a wait has written. */
export interface WaitStatus {
  readonly address: bigint;
  readonly data: number;
}

/** Registers must lie in the window, wherever CAP and ECAP put them, and be those of a unit. */
const checkPlaces = ({ name, registers }: VtdCapture, capabilities: Capabilities): void => {
  const { offset, count } = faultRecordsOf(registers.cap);
  const iotlb = Number(ECAP.decode([registers.ecap]).IRO) * 16;
  if (count > 0 && offset + count * 16 <= REGISTER_WINDOW && iotlb + 16 <= REGISTER_WINDOW) {
    const found = capabilityProblem(capabilities);
    if (found === undefined) return;
    throw new CaptureError({ file: name, expected: "CAP and ECAP of a unit", found });
  }
  throw new CaptureError({
    file: name,
    expected: "CAP and ECAP that place their registers in the first 4096 bytes",
    found: `${count} fault records at 0x${offset.toString(16)}, IOTLB registers at 0x${iotlb.toString(16)}`,
  });
};

/**
 * The unit that a recording is replayed on, its memory, and a note of what it
 * does. A second unit hears of the same writes and is asked for translations
 * at every moment: so its caches are warm, and the first one's are not touched.
 */
export class ReplayedUnit {
  readonly memory: PhysicalMemory;
  readonly capabilities: Capabilities;
  readonly unit: RemappingUnit;
  readonly #warm: RemappingUnit;
  /** What the unit has fetched, completed and sent since the caller last emptied them. */
  readonly fetched: FetchedDescriptor[] = [];
  readonly waits: WaitStatus[] = [];
  readonly messages: Interrupt[] = [];
  #count = 0;
  readonly #file: string;

  /** @param first the first moment: what the unit can do, and where RAM is */
  constructor(first: VtdCapture) {
    this.#file = first.name;
    this.memory = emptyMemory(first.ram);
    // The registers do not say this; QEMU's units do it.
    const { cap, ecap } = first.registers;
    this.capabilities = createCapabilities({ cap, ecap, unsnoopedUpdates: true });
    checkPlaces(first, this.capabilities);
    const trace = new TraceChannel();
    trace.listen("vtd.*", (event) => this.#note(event));
    const interrupts = { deliver: (interrupt: Interrupt) => void this.messages.push(interrupt) };
    const { capabilities, memory } = this;
    this.unit = new RemappingUnit({ capabilities, memory, interrupts, trace });
    this.#warm = new RemappingUnit({ capabilities, memory, interrupts: { deliver: () => {} } });
  }

  #note({ name, payload }: TraceEvent): void {
    if (name === DESCRIPTOR_FETCHED.name) {
      if (++this.#count > MAX_FETCHED) {
        const expected = `at most ${MAX_FETCHED} descriptors`;
        throw new CaptureError({ file: this.#file, expected, found: "a tail that submits more" });
      }
      this.fetched.push(payload as FetchedDescriptor);
    }
    if (name === WAIT_COMPLETED.name) {
      const { status } = payload as { readonly status: WaitStatus | undefined };
      if (status !== undefined) this.waits.push(status);
    }
  }

  reset(): void {
    this.unit.reset();
    this.#warm.reset();
  }

  write(offset: number, width: RegisterWidth, value: bigint): void {
    this.unit.writeRegister(offset, width, value);
    this.#warm.writeRegister(offset, width, value);
  }

  /** Makes the request of a device that was recorded as refused. */
  request(recorded: RecordedRequest): VtdFault | undefined {
    const { source, address, write, request: details } = recorded;
    const request = new DmaRequest();
    request.source = source;
    request.hi = highHalf(address);
    request.lo = lowHalf(address);
    request.access = details?.access ?? (write ? WRITE : READ);
    request.addressType = details?.addressType ?? UNTRANSLATED;
    request.pasid = details?.pasid ?? NO_PASID;
    return this.unit.translate(request) ? undefined : (request.fault as VtdFault);
  }

  /** Makes a device's request for a page. */
  requestPage(request: PageRequest): void {
    this.unit.requestPage(request);
    this.#warm.requestPage(request);
  }

  /** The message that a write of `data` to `address` is, as the unit's own are delivered. */
  messageOf(address: bigint, data: number): Interrupt {
    return decodeCompatibleMessage(
      { source: 0, address, data },
      Number(address >> 40n) & 0xff_ffff,
    );
  }

  get isScalable(): boolean {
    return this.unit.translation.isScalable;
  }

  /** Where the queue is, how many descriptors it holds, and bytes of each. */
  get queue(): { readonly base: bigint; readonly count: number; readonly step: 16 | 32 } {
    const { IQA: base, QS, DW } = IQA.decode([this.unit.readRegister(0x90, 8)]);
    const step = DW === 1n ? 32 : 16;
    return { base, count: (4096 << Number(QS)) / step, step };
  }

  /** Every word of register space that is not 0. */
  get words(): Map<number, number> {
    const words = new Map<number, number>();
    for (let offset = 0; offset < REGISTER_WINDOW; offset += 4) {
      const value = Number(this.unit.readRegister(offset, 4));
      if (value !== 0) words.set(offset, value);
    }
    return words;
  }

  /** The second unit's translation, and one that reads the same tables for every request. */
  get translations(): { readonly warm: TranslationUnit; readonly cold: TranslationUnit } {
    const { capabilities, memory } = this;
    const cold = new TranslationUnit({ capabilities, memory, caches: "off" });
    cold.setRootTable(this.unit.translation.rootTableAddress);
    cold.setTranslation(this.unit.translation.enabled);
    return { warm: this.#warm.translation, cold };
  }
}
