import type { DmaEngine } from "../../src/hardware/devices/index.ts";
import * as engineSpec from "../../src/hardware/devices/spec/engine-registers.ts";
import type { RegisterWidth } from "../../src/hardware/vtd/index.ts";
import { registerRows } from "../../src/hardware/vtd/spec/registers.ts";
import type { Random } from "../reference/random.ts";
import {
  buildTables,
  randomDescriptor,
  randomIova,
  randomPasid,
  randomValue,
  spoilTable,
} from "./contents.ts";
import { AT, CFI, IRE, NOWHERE, QIE, REGISTER, SIRTP, SRTP, TE } from "./layout.ts";
import type { HostileMachine } from "./machine.ts";

/** What the guest does in one step. Everything is data, so that a watcher sees it before it happens. */
export type Action =
  | {
      readonly kind: "register";
      readonly offset: number;
      readonly width: RegisterWidth;
      readonly value: bigint;
    }
  | {
      readonly kind: "engine-register";
      readonly engine: DmaEngine;
      readonly offset: number;
      readonly width: RegisterWidth;
      readonly value: bigint;
    }
  | { readonly kind: "command"; readonly engine: DmaEngine; readonly command: EngineCommand }
  | {
      readonly kind: "config";
      readonly engine: DmaEngine;
      readonly offset: number;
      readonly value: number;
    }
  | {
      readonly kind: "interrupt";
      readonly source: number;
      readonly address: bigint;
      readonly data: number;
    }
  | { readonly kind: "answer"; readonly engine: DmaEngine }
  | { readonly kind: "time"; readonly ns: bigint }
  | { readonly kind: "finish" | "subscribe" | "unsubscribe" | "reset" };

/** What software writes into an engine's registers to have it do something. */
export interface EngineCommand {
  readonly operation: number;
  readonly address: bigint;
  readonly length: number;
  readonly pasid: number | undefined;
  readonly pattern: number;
  /** Bits 31:4 of COMMAND. */
  readonly flags: number;
}

/** A queue in memory: its first byte, its bytes, and those of a descriptor. */
export interface QueuePlace {
  readonly base: number;
  readonly size: number;
  readonly step: number;
}

const WIDTHS: readonly RegisterWidth[] = [1, 2, 4, 8];
const MINUTE = 60_000_000_000n;

/** Control bits of COMMAND, and how often each is set, in percent. */
const FLAGS = [
  [engineSpec.COMMAND.fields.privileged, 15],
  [engineSpec.COMMAND.fields.execute, 8],
  [engineSpec.COMMAND.fields.wantsWrite, 40],
  [engineSpec.COMMAND.fields.translated, 25],
  [engineSpec.COMMAND.fields.hold, 12],
  [engineSpec.COMMAND.fields.interrupt, 20],
  [engineSpec.COMMAND.fields.last, 50],
] as const;

/** A guest that knows where everything is and what it is for, and cares for none of it. */
export class HostileGuest {
  readonly #random: Random;
  readonly #machine: HostileMachine;
  readonly #queueInUse: () => QueuePlace | undefined;
  readonly #places: readonly (readonly [number, number])[];

  /** @param queueInUse where the queue is that the unit fetches from; `undefined` while it is off */
  constructor(random: Random, machine: HostileMachine, queueInUse: () => QueuePlace | undefined) {
    this.#queueInUse = queueInUse;
    this.#random = random;
    this.#machine = machine;
    const { cap, ecap } = machine.unit.capabilities;
    this.#places = registerRows(cap, ecap)
      .filter((_, i) => i < 50)
      .map(({ offset, layout }) => [offset, layout.bytes]);
  }

  /** What it does next: one action, or several that belong together. */
  next(): readonly Action[] {
    const random = this.#random;
    return random.weighted<() => readonly Action[]>([
      [30, () => [this.#wildWrite()]],
      [14, () => [this.#aimedWrite()]],
      [34, () => this.#submit()],
      [20, () => [this.#command()]],
      [4, () => [this.#engineWrite()]],
      [7, () => this.#spoil()],
      [4, () => [this.#interrupt()]],
      [7, () => [random.chance(90) ? { kind: "finish" } : this.#subscription()]],
      [4, () => [{ kind: "answer", engine: random.pick(this.#machine.engines) }]],
      [6, () => [{ kind: "time", ns: random.pick([1n, MINUTE / 2n, MINUTE, MINUTE]) }]],
      [3, () => this.#repair()],
      [4, () => this.#serviceFaults()],
      ...(this.#machine.cached ? ([[1, () => [this.#config()]]] as const) : []),
    ])();
  }

  #write(offset: number, width: RegisterWidth, value: bigint): Action {
    return { kind: "register", offset, width, value };
  }

  #wildWrite(): Action {
    const random = this.#random;
    if (random.chance(0.05)) return { kind: "reset" };
    const width = random.pick(WIDTHS);
    const [at, bytes] = random.pick(this.#places);
    const offset = random.chance(85)
      ? at + random.below(bytes + 4) - 2
      : random.below(this.#machine.unit.registerWindow + 16) - 8;
    return this.#write(offset, width, randomValue(random));
  }

  /** A write such as a driver makes, at a time of the guest's choice. */
  #aimedWrite(): Action {
    const random = this.#random;
    const levels = [QIE, IRE, CFI, TE].filter(() => random.chance(85));
    const shots = [SRTP, SIRTP].filter(() => random.chance(30));
    const command = [...levels, ...shots].reduce((sum, bit) => sum | bit, 0n);
    const tables = random.pick([AT.root | 0x400, AT.root | 0x400, AT.legacyRoot, 0xc00]);
    return random.weighted<Action>([
      [8, this.#write(REGISTER.GCMD, 4, command)],
      [2, this.#write(REGISTER.RTADDR, 8, BigInt(tables))],
      [2, this.#write(REGISTER.IQA, 8, BigInt(AT.queue | random.pick([0, 0x800, 0x801, 0x803])))],
      [2, this.#write(REGISTER.CCMD, 8, (1n << 63n) | (BigInt(random.below(4)) << 61n))],
      [2, this.#write(this.#iotlb, 8, (1n << 63n) | (BigInt(random.below(4)) << 60n))],
      [6, this.#write(REGISTER.FSTS, 4, 0x71n)],
      [4, this.#write(REGISTER.ICS, 4, 1n)],
      [2, this.#write(REGISTER.PRS, 4, 3n)],
      [2, this.#write(REGISTER.PQH, 8, this.#machine.read(REGISTER.PQT, 8))],
      [2, this.#write(REGISTER.PQA, 8, BigInt(AT.requests | random.below(3)))],
      [2, this.#write(REGISTER.IRTA, 8, BigInt(AT.interrupts | random.below(6)))],
      [6, this.#clearRecord()],
      [3, this.#mask()],
      [3, this.#write(REGISTER.PMEN, 4, BigInt(random.below(2)) << 31n)],
      [2, this.#write(REGISTER.IQT, 8, this.#endOfQueue())],
    ]);
  }

  /** A tail at the end of the queue in use, or one descriptor from it. */
  #endOfQueue(): bigint {
    const { size, step } = this.#queueInUse() ?? { size: 4096, step: 16 };
    return BigInt(size + step * (this.#random.below(3) - 1));
  }

  get #iotlb(): number {
    return Number((this.#machine.unit.capabilities.ecap >> 8n) & 0x3ffn) * 16 + 8;
  }

  #clearRecord(): Action {
    const { cap, faultRecords } = this.#machine.unit.capabilities;
    const first = Number((cap >> 24n) & 0x3ffn) * 16;
    return this.#write(first + 16 * this.#random.below(faultRecords) + 12, 4, 1n << 31n);
  }

  /** Makes room for new faults, as a driver's handler does. */
  #serviceFaults(): readonly Action[] {
    const { cap, faultRecords } = this.#machine.unit.capabilities;
    const first = Number((cap >> 24n) & 0x3ffn) * 16;
    const pending: Action[] = [];
    for (let i = 0; i < faultRecords && pending.length < 8; i++) {
      const at = first + 16 * i + 12;
      if (this.#machine.read32(at) >>> 31 === 1) pending.push(this.#write(at, 4, 1n << 31n));
    }
    return [...pending, this.#write(REGISTER.FSTS, 4, 1n)];
  }

  #mask(): Action {
    const { FECTL, IECTL, PECTL } = REGISTER;
    const random = this.#random;
    return this.#write(random.pick([FECTL, IECTL, PECTL]), 4, BigInt(random.below(2)) << 31n);
  }

  /** Fills the queue behind its tail and moves that; a queue that has stopped is set going first, now and then. */
  #submit(): readonly Action[] {
    const random = this.#random;
    const machine = this.#machine;
    const queue = this.#queueInUse();
    if (queue === undefined && random.chance(70)) return this.#startQueue();
    const { base, size, step } = queue ?? { base: AT.queue, size: 4096, step: 16 };
    const actions: Action[] = [];
    let tail = Number(machine.read(REGISTER.IQT, 8)) & -step;
    if ((machine.read32(REGISTER.FSTS) & 0x50) !== 0 && random.chance(92)) {
      // Everything from the head on is made new: it begins with the descriptor that was wrong.
      tail = Number(machine.read(REGISTER.IQH, 8));
      actions.push(this.#write(REGISTER.FSTS, 4, 0x70n));
    }
    const count = random.weighted([
      [40, 1 + random.below(4)],
      [60, 4 + random.below(24)],
      [1, Math.min(size / step - 1, 256)],
    ]);
    const devices = machine.unit.capabilities.has("DT");
    for (let i = 0; i < count; i++) {
      machine.ram.poke(base + (tail % size), ...randomDescriptor(random, step / 8, devices));
      tail = (tail + step) % size;
    }
    return [this.#write(REGISTER.IQT, 8, BigInt(tail)), ...actions];
  }

  #startQueue(): readonly Action[] {
    const size = this.#random.weighted([
      [8, 0],
      [1, 3],
    ]);
    const wide = this.#machine.unit.capabilities.has("SMTS") && this.#random.chance(80);
    const base = this.#random.chance(97) ? AT.queue : NOWHERE;
    return [
      this.#write(REGISTER.IQT, 8, 0n),
      this.#write(REGISTER.IQA, 8, BigInt(base | (wide ? 0x800 : 0) | size)),
      this.#write(REGISTER.GCMD, 4, QIE | TE | IRE | CFI),
    ];
  }

  #command(): Action {
    const random = this.#random;
    let flags = random.below(4) << 16;
    for (const [field, percent] of FLAGS) if (random.chance(percent)) flags |= 1 << field.at;
    return {
      kind: "command",
      engine: random.pick(this.#machine.engines),
      command: {
        operation: random.weighted([
          [6, 1],
          [8, 2],
          [8, 3],
          [3, 4],
          [5, 5],
          [3, 6],
          [1, 7],
          [1, random.below(16)],
        ]),
        address: randomIova(random),
        length: random.weighted([
          [10, 4],
          [10, 1 + random.below(16)],
          [4, 1 + random.below(2048)],
          [1, random.below(0x1_0008)],
        ]),
        pasid: random.chance(40) ? undefined : randomPasid(random),
        pattern: random.below(256),
        flags,
      },
    };
  }

  #engineWrite(): Action {
    const random = this.#random;
    const width = random.pick(WIDTHS);
    return {
      kind: "engine-register",
      engine: random.pick(this.#machine.engines),
      offset: random.below(random.chance(80) ? 0x38 : 4096 - width + 1),
      width,
      value: randomValue(random),
    };
  }

  #config(): Action {
    const random = this.#random;
    const engine = random.pick(this.#machine.engines);
    return { kind: "config", engine, offset: 4 * random.below(80), value: random.next() };
  }

  #interrupt(): Action {
    const random = this.#random;
    return {
      kind: "interrupt",
      source: random.pick([0x10, 0x18, 0xf0f8]),
      address: 0xfee0_0000n | BigInt(random.below(1 << 20) & (random.chance(50) ? 0x7fc : ~3)),
      data: random.chance(70) ? random.below(8) : random.next(),
    };
  }

  #subscription(): Action {
    return { kind: this.#random.chance(50) ? "subscribe" : "unsubscribe" };
  }

  #spoil(): readonly Action[] {
    spoilTable(this.#random, this.#machine.ram);
    return [];
  }

  /** Brings things into use as a driver does, so that there is something to spoil. */
  #repair(): readonly Action[] {
    const random = this.#random;
    const machine = this.#machine;
    if (random.chance(60)) buildTables(machine.ram, machine.unit.capabilities);
    for (const engine of machine.engines) if (random.chance(50)) machine.enable(engine);
    const legacy = !machine.unit.capabilities.has("SMTS") || random.chance(20);
    const wide = !legacy && random.chance(85);
    const { RTADDR, IQA, IQT, GCMD, FSTS, PQA, PQH, PQT, PRS, PMEN, IRTA } = REGISTER;
    const levels = QIE | TE | (random.chance(50) ? IRE | CFI : 0n);
    return [
      this.#write(FSTS, 4, 0x71n),
      this.#write(GCMD, 4, 0n),
      this.#write(IQT, 8, 0n),
      this.#write(IQA, 8, BigInt(AT.queue | (wide ? 0x800 : 0) | random.below(3))),
      this.#write(RTADDR, 8, BigInt(legacy ? AT.legacyRoot : AT.root | 0x400)),
      this.#write(IRTA, 8, BigInt(AT.interrupts | random.pick([4, 0x804]))),
      this.#write(PQA, 8, BigInt(AT.requests)),
      this.#write(PQH, 8, 0n),
      this.#write(PQT, 8, 0n),
      this.#write(PRS, 4, 3n),
      this.#write(PMEN, 4, random.chance(15) ? 1n << 31n : 0n),
      this.#write(GCMD, 4, SRTP | SIRTP),
      this.#write(GCMD, 4, levels),
    ];
  }
}
