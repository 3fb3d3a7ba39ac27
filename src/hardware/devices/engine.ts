import { RestoreError, type SavedWords, SaveRefusedError } from "../../struct/saved-state.ts";
import {
  ATS_CAPABILITY,
  type AtsInvalidation,
  type AtsTarget,
  type Bus,
  type DmaPort,
  EXECUTE,
  type Fabric,
  type FunctionDeclaration,
  type MmioTarget,
  type MmioWidth,
  NO_PASID,
  PAGE_RESPONSE_SUCCESS,
  type PageGroupResponse,
  type PciFunction,
  PRIVILEGED,
  READ,
  sendMsi,
  WRITE,
} from "../pci/index.ts";
import { DeviceTlb, type InvalidationAnswers } from "./device-tlb.ts";
import { EngineTransfer, type Span } from "./engine-transfer.ts";
import { RegisterPage } from "./register-page.ts";
import * as spec from "./spec/engine-registers.ts";

/** What may differ from one engine to the next. */
export interface DmaEngineOptions {
  readonly answers?: InvalidationAnswers;
  /** Commands wait for `step`, instead of being carried out as they are written. */
  readonly stepped?: boolean;
}

/** The engine as PCI describes it: one 4 KiB base address register, MSI, ATS, page requests, PASIDs. */
export const engineDeclaration = (
  place: Pick<FunctionDeclaration, "kind" | "device" | "function">,
): FunctionDeclaration => ({
  ...place,
  vendorId: 0x1af4,
  deviceId: 0x10ff,
  classCode: 0x088000,
  bars: [{ index: 0, sizeLg2: 12, width: 64 }],
  msi: { vectorsLg2: 0 },
  ats: { globalInvalidate: true },
  pageRequest: { capacity: 8 },
  pasid: { width: 20, execute: true, privileged: true },
});

/** What `DmaEngine.save` gives: plain data. */
export interface EngineState {
  readonly schema: "softiommu/dma-engine-state@1";
  readonly page: SavedWords;
  /** Whether a command waits for a step. */
  readonly waits: boolean;
  /** Group of the page request whose answer ends the command. */
  readonly awaited: number | null;
}

/** The engine as plain data. */
export interface EngineInspection {
  readonly schema: "softiommu/dma-engine@1";
  readonly function: string;
  readonly status: number;
  readonly held: boolean;
  readonly translations: number;
}

/**
 * A trivial DMA engine: software writes address, length and command, and reads
 * status. It moves memory to and from its own buffer, fills memory, asks for
 * translations and pages, and can hold a transfer between translation and
 * memory, so that everything a remapping unit promises can be seen by DMA.
 *
 * It does nothing by itself: a command is carried out when it is written, or
 * at the next `step`.
 */
export class DmaEngine implements MmioTarget, AtsTarget {
  readonly function: PciFunction;
  readonly port: DmaPort;
  /** Its cache of translations. */
  readonly tlb: DeviceTlb;
  readonly #stepped: boolean;
  readonly #page = new RegisterPage(
    spec.ENGINE_REGISTERS,
    spec.ENGINE_BAR_SIZE,
    spec.ENGINE_BUFFER,
  );
  readonly #operations: ReadonlyMap<number, () => void> = new Map([
    [spec.OPERATIONS.read, () => this.#move(false, this.#page.window)],
    [spec.OPERATIONS.write, () => this.#move(true, this.#page.window)],
    [spec.OPERATIONS.fill, () => this.#fill()],
    [spec.OPERATIONS.translate, () => this.#translate()],
    [spec.OPERATIONS.requestPage, () => this.#requestPage()],
    [spec.OPERATIONS.release, () => this.#release()],
    [spec.OPERATIONS.stopMarker, () => this.#stopMarker()],
  ]);
  /** The command that waits for a step. */
  #waits = false;
  #held: EngineTransfer | undefined;
  /** Group of the page request whose answer ends the command. */
  #awaited: number | undefined;

  constructor(fabric: Fabric, fn: PciFunction, options: DmaEngineOptions = {}) {
    this.function = fn;
    this.port = fabric.port(fn);
    this.tlb = new DeviceTlb(options.answers ?? "in-time", this.port.inFlight);
    this.#stepped = options.stepped ?? false;
    fn.mmioTarget = this;
    fn.atsTarget = this;
    fn.onReset(() => this.#reset());
    fn.onConfigWrite(() => {
      // What was cached is worth nothing once ATS is off (PCIe 6.3 §10.5.1.3).
      if (!fn.config.has(ATS_CAPABILITY.layout, "atsEnable")) this.tlb.clear();
    });
  }

  #reset(): void {
    this.#page.reset();
    this.tlb.clear();
    this.#waits = false;
    this.#held = undefined;
    this.#awaited = undefined;
  }

  readRegister(_bar: number, offset: number, width: MmioWidth): bigint {
    return this.#page.read(offset, width);
  }

  /** A write that covers the operation's byte starts the command; one that comes while another is not done is not heard. */
  writeRegister(_bar: number, offset: number, width: MmioWidth, value: bigint): void {
    this.#page.write(offset, width, value);
    const command = this.#page.offsetOf(spec.COMMAND);
    if (offset > command || offset + width <= command) return;
    const { busy } = this.#page.decode(spec.STATUS);
    if (busy === 1n) return;
    this.#page.set(spec.STATUS, { busy: 1, done: 0, error: 0, fault: 0 });
    this.#waits = true;
    if (!this.#stepped) this.step();
  }

  /**
   * Carries out the command that waits.
   *
   * @returns whether there was one
   */
  step(): boolean {
    if (!this.#waits) return false;
    this.#waits = false;
    this.#perform();
    return true;
  }

  #perform(): void {
    const { operation } = this.#page.decode(spec.COMMAND);
    const perform = this.#operations.get(Number(operation));
    if (perform === undefined) this.#end(spec.ENGINE_FAULTS.command);
    else perform();
  }

  #fill(): void {
    const { pattern } = this.#page.decode(spec.PATTERN);
    const { length } = this.#page.decode(spec.LENGTH);
    const count = Math.min(Number(length), spec.ENGINE_FILL_LIMIT + 1);
    this.#move(true, new Uint8Array(count).fill(Number(pattern)), spec.ENGINE_FILL_LIMIT);
  }

  #move(writes: boolean, from: Uint8Array, limit = spec.ENGINE_BUFFER_SIZE): void {
    const length = Number(this.#page.decode(spec.LENGTH).length);
    const isLengthRight = length > 0 && length <= limit;
    this.#end(isLengthRight ? this.#transfer(writes, from, length) : spec.ENGINE_FAULTS.length);
  }

  /** Carries a transfer out, or begins it; returns 0, or the code of what was refused. */
  #transfer(writes: boolean, from: Uint8Array, length: number): number {
    const { hold, translated } = this.#page.decode(spec.COMMAND);
    if (hold === 1n && this.#held !== undefined) return spec.ENGINE_FAULTS.command;
    const span = { ...this.#request(writes ? WRITE : READ), length };
    const spans = translated === 1n ? this.#throughTlb(span) : [span];
    if (typeof spans === "number") return spans;
    // A write that is held has taken its data with it.
    const bytes = hold === 1n && writes ? from.slice(0, length) : from.subarray(0, length);
    const transfer = new EngineTransfer(this.port, spans, bytes);
    if (hold === 0n) return transfer.run();
    const code = transfer.begin();
    if (code === 0) {
      this.#held = transfer;
      this.#page.set(spec.STATUS, { held: 1 });
    }
    return code;
  }

  /** What COMMAND, ADDRESS and PASID say of a request. */
  #request(access: number): Omit<Span, "length"> {
    const { execute, privileged } = this.#page.decode(spec.COMMAND);
    const { pasid, tagged } = this.#page.decode(spec.PASID);
    return {
      address: this.#page.decode(spec.ADDRESS).address,
      access: access | (execute === 1n ? EXECUTE : 0) | (privileged === 1n ? PRIVILEGED : 0),
      pasid: tagged === 1n ? Number(pasid) : NO_PASID,
      isTranslated: false,
    };
  }

  /** The translated spans of `span`, each asked for where the cache has none; or the code of what was refused. */
  #throughTlb(span: Span): readonly Span[] | number {
    const spans: Span[] = [];
    const need = span.access & (READ | WRITE | EXECUTE);
    for (let done = 0; done < span.length; ) {
      const address = BigInt.asUintN(64, span.address + BigInt(done));
      const found = this.#lookUp({ ...span, address });
      if (typeof found === "number") return found;
      if ((found.granted & need) !== need) return spec.ENGINE_FAULTS.permission;
      const length = Math.min(4096 - Number(address & 0xfffn), span.length - done);
      spans.push({
        address: found.target + (address - found.address),
        length,
        access: span.access & (READ | WRITE),
        // The PASID has done its part when the address was translated (PCIe 6.3 §10.2.1).
        pasid: NO_PASID,
        isTranslated: true,
      });
      done += length;
    }
    return spans;
  }

  #lookUp(request: Omit<Span, "length">) {
    const privileged = (request.access & PRIVILEGED) !== 0;
    return this.tlb.find(request.address, request.pasid, privileged) ?? this.#ask(request);
  }

  /** Asks for a translation, and keeps it unless it grants nothing. */
  #ask({ address, access, pasid }: Omit<Span, "length">) {
    const answer = this.port.requestTranslation(address, access, pasid);
    if (!answer.ok) return answer.fault.code;
    // Where nothing is translated the answer holds for every address: half of them are enough to keep.
    const sizeLg2 = Math.min(answer.sizeLg2, 63);
    const size = 1n << BigInt(sizeLg2);
    const first = address & ~(size - 1n);
    const page = address & ~0xfffn;
    const translation = {
      pasid,
      privileged: (access & PRIVILEGED) !== 0,
      address: first,
      sizeLg2,
      target: answer.address - (page - first),
      granted: answer.granted,
    };
    if (answer.granted !== 0) this.tlb.keep(translation);
    return translation;
  }

  #translate(): void {
    const { wantsWrite } = this.#page.decode(spec.COMMAND);
    const request = this.#request(wantsWrite === 1n ? READ | WRITE : READ);
    const found = this.#ask(request);
    this.#page.set(spec.TRANSLATION, { read: 0, write: 0, execute: 0, sizeLg2: 0, address: 0n });
    if (typeof found === "number") {
      this.#end(found);
      return;
    }
    const page = request.address & ~0xfffn;
    this.#page.set(spec.TRANSLATION, {
      read: (found.granted & READ) !== 0,
      write: (found.granted & WRITE) !== 0,
      execute: (found.granted & EXECUTE) !== 0,
      sizeLg2: found.sizeLg2,
      address: found.target + (page - found.address),
    });
    this.#end(0);
  }

  #requestPage(): void {
    const { wantsWrite, execute, privileged, last, group } = this.#page.decode(spec.COMMAND);
    const { address, pasid } = this.#request(READ);
    // The answer may come before the request has been sent off.
    if (last === 1n) this.#awaited = Number(group);
    const result = this.port.requestPage({
      address: address & ~0xfffn,
      pasid,
      read: true,
      write: wantsWrite === 1n,
      execute: execute === 1n,
      privileged: privileged === 1n,
      group: Number(group),
      last: last === 1n,
    });
    if (result.ok) {
      if (last === 0n) this.#end(0);
      return;
    }
    this.#awaited = undefined;
    this.#end(result.fault.code);
  }

  #stopMarker(): void {
    const { pasid } = this.#request(READ);
    if (pasid === NO_PASID) return this.#end(spec.ENGINE_FAULTS.command);
    const result = this.port.requestPage({
      address: 0n,
      pasid,
      read: false,
      write: false,
      execute: false,
      privileged: false,
      group: 0,
      last: true,
    });
    this.#end(result.ok ? 0 : result.fault.code);
  }

  #release(): void {
    const held = this.#held;
    this.#held = undefined;
    this.#page.set(spec.STATUS, { held: 0 });
    this.#end(held === undefined ? spec.ENGINE_FAULTS.command : held.finish());
  }

  /** The command is done; `code` is 0 when it went well. */
  #end(code: number): void {
    const error = code !== 0;
    this.#page.set(spec.STATUS, { busy: 0, done: 1, error, fault: Math.min(code, 0xff) });
    const { interrupt } = this.#page.decode(spec.COMMAND);
    if (interrupt === 1n) sendMsi(this.port);
  }

  invalidate(what: AtsInvalidation, completed: (right?: boolean) => void): void {
    this.tlb.invalidate(what, completed);
  }

  respond({ group, code }: PageGroupResponse): void {
    this.#page.set(spec.RESPONSE, { code, group, valid: 1 });
    if (this.#awaited !== group) return;
    this.#awaited = undefined;
    this.#end(code === PAGE_RESPONSE_SUCCESS ? 0 : code);
  }

  /**
   * Everything that software could notice, as plain data; cached translations
   * are left out, which the engine may drop at any time.
   *
   * @throws SaveRefusedError while it holds a transfer, or owes an answer to an invalidation
   */
  save(): EngineState {
    const { address } = this.function;
    if (this.#held !== undefined) throw new SaveRefusedError(`${address} holds a transfer`);
    if (this.tlb.owed > 0) throw new SaveRefusedError(`${address} owes answers to invalidations`);
    return {
      schema: "softiommu/dma-engine-state@1",
      page: this.#page.save(),
      waits: this.#waits,
      awaited: this.#awaited ?? null,
    };
  }

  /** Puts everything back to what `save` saw. */
  restore(state: EngineState): void {
    if (state.schema !== "softiommu/dma-engine-state@1") {
      throw new RestoreError(`${String(state.schema)} is not a state of a DMA engine`);
    }
    this.#reset();
    this.#page.restore(state.page);
    this.#waits = state.waits;
    this.#awaited = state.awaited ?? undefined;
  }

  /** The engine's state as plain data. */
  inspect(): EngineInspection {
    return {
      schema: "softiommu/dma-engine@1",
      function: this.function.address,
      status: Number(this.#page.read(this.#page.offsetOf(spec.STATUS), 4)),
      held: this.#held !== undefined,
      translations: this.tlb.translations.length,
    };
  }
}

/**
 * Puts an engine on a bus.
 *
 * @throws RangeError when it cannot sit there: a bug in the caller
 */
export const addDmaEngine = (
  fabric: Fabric,
  bus: Bus,
  place: Pick<FunctionDeclaration, "kind" | "device" | "function">,
  options: DmaEngineOptions = {},
): DmaEngine => new DmaEngine(fabric, bus.add(engineDeclaration(place)), options);
