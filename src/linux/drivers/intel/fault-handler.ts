import { hex } from "../../../bits/hex.ts";
import type { InterruptConnection, Platform } from "../../../hardware/platform/index.ts";
import { FAULT_REASONS } from "../../../hardware/vtd/spec/fault-reasons.ts";
import {
  FEADDR,
  FECTL,
  FEDATA,
  FEUADDR,
  FRCD,
  FSTS,
} from "../../../hardware/vtd/spec/registers.ts";
import { fail, type Outcome } from "../../errno.ts";
import type { UnitRegisters } from "./unit-registers.ts";

/** A request that a unit has refused, as it recorded it. */
export interface RecordedFault {
  readonly segment: number;
  /** Requester ID. */
  readonly source: number;
  readonly pasid: number | undefined;
  readonly kind: "read" | "write" | "page request" | "atomic";
  /** Address of the page; of an interrupt, its index in bits 63:48. */
  readonly address: bigint;
  /** See the fault table (VT-d 4.1 §7.1.3). */
  readonly reason: number;
}

/** Who is told of what a unit records. */
export interface FaultListener {
  recorded(fault: RecordedFault): void;
  /** At least one fault could not be recorded. */
  lost(): void;
}

/** FRCD.F, in the last 32 bits of a record. */
const CLEAR_RECORD = 1n << 31n;
const RECORD_LAST_WORD = 12n;
/** FSTS.PFO, which is cleared by writing 1. */
const OVERFLOW = 1n;
/** FECTL.IM. */
const MASKED = 1n << 31n;

const digits = (value: number, width: number): string => value.toString(16).padStart(width, "0");

/** A fault as a line of the kernel's log. */
export const faultLine = (fault: RecordedFault): string => {
  const { segment, source, pasid, kind, address, reason } = fault;
  const place = `${digits(segment, 4)}:${digits(source >>> 8, 2)}:${digits((source >>> 3) & 31, 2)}.${source & 7}`;
  const who = pasid === undefined ? place : `${place} PASID ${hex(pasid)}`;
  const why = FAULT_REASONS.get(reason)?.text ?? "unknown";
  return `${who}: ${kind} of ${hex(address)} refused: ${why} (reason ${hex(reason)})`;
};

/** Takes a unit's fault records as they come. */
export class FaultHandler {
  readonly #registers: UnitRegisters;
  readonly #segment: number;
  readonly #connection: InterruptConnection;
  readonly #told: FaultListener;

  private constructor(
    registers: UnitRegisters,
    segment: number,
    connection: InterruptConnection,
    told: FaultListener,
  ) {
    this.#registers = registers;
    this.#segment = segment;
    this.#told = told;
    this.#connection = connection;
  }

  /**
   * Points a unit's fault event at a handler, and takes what has been recorded already.
   *
   * @returns ENOSPC when the machine has no vector left
   */
  static connect(
    platform: Platform,
    registers: UnitRegisters,
    segment: number,
    told: FaultListener,
  ): Outcome<FaultHandler> {
    let handler: FaultHandler | undefined;
    const connection = platform.connectInterrupt(() => handler?.handle());
    if (connection === undefined) return fail("ENOSPC");
    handler = new FaultHandler(registers, segment, connection, told);
    registers.write(FEDATA, BigInt(connection.data));
    registers.write(FEADDR, connection.address & 0xffff_ffffn);
    if (registers.ecapFields.EIM === 1n) registers.write(FEUADDR, connection.address >> 32n);
    handler.handle();
    registers.write(FECTL, 0n);
    return { ok: true, value: handler };
  }

  /** Takes every record in use, from the one that the unit names first. */
  handle(): void {
    const registers = this.#registers;
    const { FRI, PPF, PFO } = registers.read(FSTS);
    const count = Number(registers.capFields.NFR) + 1;
    for (let i = 0; PPF === 1n && i < count; i++) this.#take((Number(FRI) + i) % count);
    if (PFO === 0n) return;
    this.#told.lost();
    registers.write(FSTS, OVERFLOW);
  }

  #take(index: number): void {
    const registers = this.#registers;
    const record = registers.read(FRCD, index);
    if (record.F === 0n) return;
    registers.write32(registers.addressOf(FRCD, index) + RECORD_LAST_WORD, CLEAR_RECORD);
    const kinds = ["write", "page request", "read", "atomic"] as const;
    this.#told.recorded({
      segment: this.#segment,
      source: Number(record.SID),
      pasid: record.PP === 1n ? Number(record.PV) : undefined,
      kind: kinds[Number(record.T1) * 2 + Number(record.T2)]!,
      address: record.FI,
      reason: Number(record.FR),
    });
  }

  disconnect(): void {
    this.#registers.write(FECTL, MASKED);
    this.#connection.disconnect();
  }
}
