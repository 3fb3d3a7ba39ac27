import type { EventMessage } from "./event-message.ts";
import type { RegisterFile } from "./register-file.ts";
import { FRCD, FSTS, IQERCD } from "./spec/registers.ts";

/** What goes into a fault record. */
export interface FaultRecord {
  readonly source: number;
  /** Address of the request, or the interrupt's index in bits 63:48. */
  readonly info: bigint;
  readonly code: number;
  /** Set when page tables have refused the request, and not what leads to them. */
  readonly inTables?: boolean;
  readonly pasid: number | undefined;
  readonly kind: "read" | "write" | "page-request" | "atomic";
  readonly execute: boolean;
  readonly privileged: boolean;
  /** PCIe AT of the request. */
  readonly addressType: number;
}

/** FRCD's T1 and T2 for each kind of request. */
const TYPES = {
  write: [0, 0],
  read: [1, 0],
  "page-request": [0, 1],
  atomic: [1, 1],
} as const;

/** Why the queue stopped, as FSTS and IQERCD say it. */
export type QueueFailure =
  | { readonly kind: "IQE"; readonly info: number }
  | { readonly kind: "ICE" | "ITE"; readonly source: number };

/** Primary fault logging: the ring of records, overflow, compression, and the fault event (§7.2, §7.3). */
export class FaultRecording {
  readonly #registers: RegisterFile;
  readonly #event: EventMessage;
  readonly #records: number;
  readonly #keepsEvent: boolean;
  #next = 0;

  /** @param records number of fault records, CAP.NFR + 1 */
  constructor(registers: RegisterFile, event: EventMessage, records: number) {
    this.#registers = registers;
    this.#event = event;
    this.#records = records;
    this.#keepsEvent = registers.deviations.faultEventKept;
    registers.onWrite(FRCD, () => this.#recordsWritten());
    registers.onWrite(FSTS, () => this.#statusWritten());
  }

  /** Begins with record `next`, the first when absent. */
  restart(next = 0): void {
    this.#next = next;
  }

  /** The record that the next fault goes into. */
  get next(): number {
    return this.#next;
  }

  /** Records a fault, if there is room and the source has none pending. */
  record(fault: FaultRecord): void {
    const registers = this.#registers;
    if (registers.has(FSTS, "PFO")) return;
    // Faults of a source that has one pending are compressed into that one (§7.2.1).
    for (let i = 0; i < this.#records; i++) {
      const pending = registers.has(FRCD, "F", i);
      if (pending && registers.get(FRCD, "SID", i) === BigInt(fault.source)) return;
    }
    const index = this.#next;
    const quiet = this.#isQuiet();
    if (registers.has(FRCD, "F", index)) {
      registers.set(FSTS, "PFO", 1);
      if (quiet) this.#event.raise();
      return;
    }
    this.#fill(index, fault);
    this.#next = (index + 1) % this.#records;
    if (registers.has(FSTS, "PPF")) return;
    registers.set(FSTS, "FRI", index);
    registers.set(FSTS, "PPF", 1);
    if (quiet) this.#event.raise();
  }

  #fill(index: number, fault: FaultRecord): void {
    const registers = this.#registers;
    const [t1, t2] = TYPES[fault.kind];
    registers.set(FRCD, "FI", fault.info, index);
    registers.set(FRCD, "SID", fault.source, index);
    registers.set(FRCD, "FR", fault.code, index);
    registers.set(FRCD, "T1", t1, index);
    registers.set(FRCD, "T2", t2, index);
    const standIn = fault.inTables === true ? registers.deviations.recordedWithoutPasid : undefined;
    const none = { pp: false, pv: 0 };
    const { pp, pv } =
      fault.pasid === undefined ? (standIn ?? none) : { pp: true, pv: fault.pasid };
    registers.set(FRCD, "PP", pp, index);
    registers.set(FRCD, "PV", pv, index);
    registers.set(FRCD, "EXE", fault.execute, index);
    registers.set(FRCD, "PRIV", fault.privileged, index);
    registers.set(FRCD, "AT", fault.addressType, index);
    registers.set(FRCD, "F", 1, index);
  }

  /** The queue has stopped, or a device has failed it. */
  queueFailed(failure: QueueFailure): void {
    const registers = this.#registers;
    const quiet = this.#isQuiet();
    registers.set(FSTS, failure.kind, 1);
    const explained = !registers.deviations.queueErrorsUnexplained;
    if (failure.kind === "IQE") registers.set(IQERCD, "IQEI", explained ? failure.info : 0);
    else registers.set(IQERCD, failure.kind === "ICE" ? "ICESID" : "ITESID", failure.source);
    if (quiet) this.#event.raise();
  }

  /** Whether no condition is pending: only then does a new one raise the event. */
  #isQuiet(): boolean {
    return CONDITIONS.every((name) => !this.#registers.has(FSTS, name));
  }

  #recordsWritten(): void {
    const registers = this.#registers;
    let pending = false;
    for (let i = 0; i < this.#records; i++) pending ||= registers.has(FRCD, "F", i);
    registers.set(FSTS, "PPF", pending);
    if (!this.#keepsEvent) this.#withdrawIfQuiet();
  }

  #statusWritten(): void {
    const registers = this.#registers;
    if (!registers.has(FSTS, "IQE")) registers.set(IQERCD, "IQEI", 0);
    this.#withdrawIfQuiet();
  }

  #withdrawIfQuiet(): void {
    if (this.#isQuiet()) this.#event.withdraw();
  }
}

const CONDITIONS = ["PFO", "PPF", "IQE", "ICE", "ITE"] as const;
