import { fromHalves } from "../../bits/halves.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { PageRequest } from "../pci/ats.ts";
import { NO_PASID } from "../pci/dma-request.ts";
import type { EventMessage } from "./event-message.ts";
import type { RegisterFile } from "./register-file.ts";
import { PAGE_REQUEST_DESCRIPTOR } from "./spec/page-request.ts";
import { PQA, PQH, PQT, PRS } from "./spec/registers.ts";

/** What became of a page request: in the queue, or why not. */
export type Queued = "queued" | "overflow";

/** The queue in which software finds devices' page requests (§7.4.1). */
export class PageRequestQueue {
  readonly #registers: RegisterFile;
  readonly #memory: PhysicalMemory;
  readonly #event: EventMessage;

  constructor(registers: RegisterFile, memory: PhysicalMemory, event: EventMessage) {
    this.#registers = registers;
    this.#memory = memory;
    this.#event = event;
    registers.onWrite(PRS, () => {
      if (!registers.has(PRS, "PPR") && !registers.has(PRS, "PRO")) event.withdraw();
    });
  }

  /** Puts a request into the queue. Once it has overflowed nothing goes in until software clears PRO. */
  enqueue(request: PageRequest): Queued {
    const registers = this.#registers;
    if (registers.has(PRS, "PRO")) return "overflow";
    const entries = 128 << Number(registers.get(PQA, "PQS"));
    const tail = Number(registers.get(PQT, "PQT")) % entries;
    const next = (tail + 1) % entries;
    const full = next === Number(registers.get(PQH, "PQH")) % entries;
    const address = registers.get(PQA, "PQA") + BigInt(tail * 32);
    if (full || !this.#memory.write(address, encode(request))) {
      registers.set(PRS, "PRO", 1);
      this.#event.raise();
      return "overflow";
    }
    registers.set(PQT, "PQT", next);
    if (!registers.has(PRS, "PPR")) {
      registers.set(PRS, "PPR", 1);
      this.#event.raise();
    }
    return "queued";
  }
}

const encode = (request: PageRequest): Uint8Array => {
  const tagged = request.pasid !== NO_PASID;
  const words = PAGE_REQUEST_DESCRIPTOR.encode({
    TYPE: 1,
    PP: tagged,
    RID: request.source,
    PASID: tagged ? request.pasid : 0,
    EXR: request.execute,
    PMR: request.privileged,
    R: request.read,
    W: request.write,
    LPIG: request.last,
    PRGI: request.group & 0x1ff,
    ADDR: request.address & ~0xfffn,
  });
  return new Uint8Array(BigUint64Array.from(words).buffer);
};

/** The interrupt's index in the place where a fault record has the address. */
export const interruptInfo = (index: number | undefined): bigint =>
  index === undefined ? 0n : fromHalves(index << 16, 0);
