import { hex } from "../../bits/hex.ts";
import type { Capabilities } from "./capabilities.ts";
import type { Invalidation } from "./invalidation.ts";
import type { RegisterFile } from "./register-file.ts";
import { CCMD, GSTS, IOTLB, IVA } from "./spec/registers.ts";

/** CIRG, IIRG and their actual counterparts. */
const GLOBAL = 1;
const DOMAIN = 2;
const SELECTIVE = 3;

/**
 * Invalidation by register: CCMD for contexts, IVA and IOTLB for translations
 * (§6.5.1). Software must not use it while the queue is on; what it asks for
 * then stays undone.
 */
export class RegisterInvalidation {
  readonly #registers: RegisterFile;
  readonly #capabilities: Capabilities;
  readonly #perform: (invalidation: Invalidation, done: () => void) => void;
  /** SID and FM of CCMD and all of IVA cannot be read back, and are kept here. */
  #contextCommand = 0n;
  #address = 0n;
  /** One of each is under way; what is written meanwhile starts no other. */
  #contextRuns = false;
  #iotlbRuns = false;

  constructor(
    registers: RegisterFile,
    capabilities: Capabilities,
    perform: (invalidation: Invalidation, done: () => void) => void,
  ) {
    this.#registers = registers;
    this.#capabilities = capabilities;
    this.#perform = perform;
    registers.onWrite(CCMD, (written, touched) => this.#contextWritten(written, touched));
    registers.onWrite(IVA, (written, touched) => {
      this.#address = (this.#address & ~touched) | written;
    });
    registers.onWrite(IOTLB, (written) => this.#iotlbWritten(written));
  }

  #contextWritten(written: bigint, touched: bigint): void {
    const registers = this.#registers;
    this.#contextCommand = (this.#contextCommand & ~touched) | written;
    if ((written & CCMD.fields.ICC.mask) === 0n || registers.has(GSTS, "QIES")) return;
    const { SID, FM } = CCMD.decode([this.#contextCommand]);
    const domain = Number(registers.get(CCMD, "DID"));
    const asked = Number(registers.get(CCMD, "CIRG"));
    const asGlobal = asked === DOMAIN && registers.deviations.contextDomainAsGlobal;
    const granularity = asGlobal ? GLOBAL : asked;
    const what = {
      [GLOBAL]: { granularity: "global" },
      [DOMAIN]: { granularity: "domain", domain },
      [SELECTIVE]: { granularity: "device", source: Number(SID), functionMask: Number(FM) },
    }[granularity] as Extract<Invalidation, { kind: "context" }>["what"] | undefined;
    if (this.#contextRuns) return;
    this.#contextRuns = true;
    const finish = (performed: number) => () => {
      this.#contextRuns = false;
      registers.set(CCMD, "CAIG", performed);
      registers.set(CCMD, "ICC", 0);
    };
    if (what === undefined) finish(0)();
    else this.#perform({ kind: "context", what }, finish(granularity));
  }

  #iotlbWritten(written: bigint): void {
    const registers = this.#registers;
    if ((written & IOTLB.fields.IVT.mask) === 0n || registers.has(GSTS, "QIES")) return;
    const granularity = Number(registers.get(IOTLB, "IIRG"));
    const what = this.#iotlbInvalidation(granularity, Number(registers.get(IOTLB, "DID")));
    if (this.#iotlbRuns) return;
    this.#iotlbRuns = true;
    const finish = (performed: number) => () => {
      this.#iotlbRuns = false;
      registers.set(IOTLB, "IAIG", performed);
      registers.set(IOTLB, "IVT", 0);
    };
    if (what === undefined) return finish(0)();
    const drain = registers.has(IOTLB, "DR") || registers.has(IOTLB, "DW");
    this.#perform({ kind: "iotlb", what, drain }, finish(granularity));
  }

  #iotlbInvalidation(
    granularity: number,
    domain: number,
  ): Extract<Invalidation, { kind: "iotlb" }>["what"] | undefined {
    if (granularity === GLOBAL) return { granularity: "global" };
    if (granularity === DOMAIN) return { granularity: "domain", domain };
    const { ADDR, AM, IH } = IVA.decode([this.#address]);
    if (granularity !== SELECTIVE || AM > this.#capabilities.largestAddressMask) return undefined;
    return { granularity: "page", domain, address: ADDR, mask: Number(AM), hint: IH === 1n };
  }

  /** What was written and cannot be read, as hexadecimal. */
  save(): { readonly contextCommand: string; readonly address: string } {
    return { contextCommand: hex(this.#contextCommand), address: hex(this.#address) };
  }

  restore(state: ReturnType<RegisterInvalidation["save"]>): void {
    this.#contextCommand = BigInt(state.contextCommand);
    this.#address = BigInt(state.address);
  }

  /** Forgets what was written and cannot be read. */
  reset(): void {
    this.#contextCommand = 0n;
    this.#address = 0n;
    this.#contextRuns = false;
    this.#iotlbRuns = false;
  }
}
