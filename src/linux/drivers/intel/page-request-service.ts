import { frameAddress } from "../../../bits/halves.ts";
import type { InterruptConnection, Platform } from "../../../hardware/platform/index.ts";
import { PAGE_REQUEST_DESCRIPTOR } from "../../../hardware/vtd/spec/page-request.ts";
import {
  PEADDR,
  PECTL,
  PEDATA,
  PEUADDR,
  PQA,
  PQH,
  PQT,
  PRS,
} from "../../../hardware/vtd/spec/registers.ts";
import { fail, type Outcome, ok } from "../../errno.ts";
import type { Frames } from "../../mm/frames.ts";
import type { UnitRegisters } from "./unit-registers.ts";

/** Pages of the queue, as a log2: PQA.PQS. */
const QUEUE_LG2 = 4;
const REQUEST_BYTES = 32;
/** Requests that fit: more of them than this no unit may have outstanding. */
export const PAGE_REQUEST_ROOM: number = (4096 / REQUEST_BYTES) << QUEUE_LG2;

/** PECTL.IM. */
const MASKED = 1n << 31n;
const PENDING = PRS.encode({ PPR: 1 })[0]!;
const OVERFLOW = PRS.encode({ PRO: 1 })[0]!;

/** A page request as the unit has queued it. */
export interface QueuedPageRequest {
  /** Requester ID. */
  readonly source: number;
  readonly pasid: number | undefined;
  readonly group: number;
  readonly last: boolean;
  readonly address: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
}

/** Who is told of what comes out of the queue. */
export interface PageRequestListener {
  requested(request: QueuedPageRequest): void;
  /** Requests have been lost; the unit has told the devices to try again. */
  overflowed(): void;
}

/** A unit's page request queue: devices' requests come out of it in order. */
export class PageRequestService {
  readonly #registers: UnitRegisters;
  readonly #frames: Frames;
  readonly #firstPfn: number;
  readonly #told: PageRequestListener;
  #connection: InterruptConnection | undefined;
  #head = 0;
  #busy = false;
  #pauses = 0;
  #wanted = false;

  private constructor(
    registers: UnitRegisters,
    frames: Frames,
    firstPfn: number,
    told: PageRequestListener,
  ) {
    this.#registers = registers;
    this.#frames = frames;
    this.#firstPfn = firstPfn;
    this.#told = told;
  }

  /** Gives a unit a queue and points its event at a handler. @returns ENOMEM; ENOSPC when the machine has no vector left */
  static start(
    platform: Platform,
    registers: UnitRegisters,
    frames: Frames,
    told: PageRequestListener,
  ): Outcome<PageRequestService> {
    const pfn = frames.allocateBlock(QUEUE_LG2, "table");
    if (pfn === undefined) return fail("ENOMEM");
    const service = new PageRequestService(registers, frames, pfn, told);
    const connection = platform.connectInterrupt(() => service.handle());
    if (connection === undefined) {
      service.stop();
      return fail("ENOSPC");
    }
    service.#connection = connection;
    registers.write(PQH, 0n);
    registers.write(PQT, 0n);
    registers.write(PQA, PQA.encode({ PQS: QUEUE_LG2, PQA: frameAddress(pfn) })[0]!);
    registers.write(PRS, PENDING | OVERFLOW);
    registers.write(PEDATA, BigInt(connection.data));
    registers.write(PEADDR, connection.address & 0xffff_ffffn);
    registers.write(PEUADDR, connection.address >> 32n);
    registers.write(PECTL, 0n);
    return ok(service);
  }

  /** Has requests wait while `action` goes on: answers need what it is using. */
  holdOff<T>(action: () => T): T {
    this.#pauses += 1;
    const result = action();
    this.#pauses -= 1;
    if (this.#wanted && this.#pauses === 0) this.handle();
    return result;
  }

  /** Takes every request that is in the queue, those included that come meanwhile. */
  handle(): void {
    // An answer may bring the next request at once: whoever is at it already takes that, too.
    if (this.#busy) return;
    this.#wanted = this.#pauses > 0;
    if (this.#wanted) return;
    this.#busy = true;
    do {
      this.#registers.write(PRS, PENDING);
      while (this.#head !== Number(this.#registers.read(PQT).PQT)) this.#take();
    } while (this.#registers.read(PRS).PPR === 1n);
    this.#busy = false;
    if (this.#registers.read(PRS).PRO === 0n) return;
    this.#told.overflowed();
    this.#registers.write(PQH, PQH.encode({ PQH: this.#head })[0]!);
    this.#registers.write(PRS, OVERFLOW);
  }

  #take(): void {
    const at = frameAddress(this.#firstPfn) + BigInt(this.#head * REQUEST_BYTES);
    const words = [0n, 8n, 16n, 24n].map((i) => this.#frames.memory.read64(at + i)!);
    const request = PAGE_REQUEST_DESCRIPTOR.decode(words);
    this.#head = (this.#head + 1) % PAGE_REQUEST_ROOM;
    this.#registers.write(PQH, PQH.encode({ PQH: this.#head })[0]!);
    this.#told.requested({
      source: Number(request.RID),
      pasid: request.PP === 1n ? Number(request.PASID) : undefined,
      group: Number(request.PRGI),
      last: request.LPIG === 1n,
      address: request.ADDR,
      read: request.R === 1n,
      write: request.W === 1n,
      execute: request.EXR === 1n,
      privileged: request.PMR === 1n,
    });
  }

  /** Masks the event and gives the queue's memory back. No device may request pages any more. */
  stop(): void {
    if (this.#connection !== undefined) {
      this.#registers.write(PECTL, MASKED);
      this.#connection.disconnect();
    }
    for (let i = 0; i < 2 ** QUEUE_LG2; i++) this.#frames.free(this.#firstPfn + i);
  }
}
