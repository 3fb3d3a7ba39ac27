import type { DmaEngine } from "../../src/hardware/devices/index.ts";
import * as engineSpec from "../../src/hardware/devices/spec/engine-registers.ts";
import {
  type Capabilities,
  INTERRUPT_REMAPPED,
  PAGE_REQUESTED,
  type RegisterWidth,
} from "../../src/hardware/vtd/index.ts";
import { Random } from "../reference/random.ts";
import { buildTables } from "./contents.ts";
import type { Coverage } from "./coverage.ts";
import { type Action, type EngineCommand, HostileGuest } from "./guest.ts";
import { REGISTER, SRTP, TE } from "./layout.ts";
import { HostileMachine } from "./machine.ts";
import { predictChanges } from "./prediction.ts";
import { QueueWatch } from "./queue-watch.ts";
import { RegisterWatch } from "./register-watch.ts";
import { takeOver } from "./takeover.ts";
import { type Allowance, WriteWatch } from "./write-watch.ts";

/** Entries of tables that one request may have read: 5 levels over 5 and the device's, twice. */
const READS_PER_PAGE = 100;
/** Bytes that an engine moves by one command. */
const LONGEST = engineSpec.ENGINE_FILL_LIMIT;
/** Steps between two looks at everything. */
const THOROUGH = 128;
const MINUTE = 60_000_000_000n;
const MAX_SUBSCRIBERS = 3;

/** How far a campaign has come. */
export interface Progress {
  readonly registerWrites: number;
  readonly descriptors: number;
  readonly memoryWrites: Readonly<Record<string, number>>;
}

/** One guest on one machine, and everybody who watches. */
export class Campaign {
  readonly #random: Random;
  readonly #machine: HostileMachine;
  readonly #guest: HostileGuest;
  readonly #writes = new WriteWatch();
  readonly #queue: QueueWatch;
  readonly #registers: RegisterWatch;
  readonly #coverage: Coverage;
  readonly #owed: (() => void)[] = [];
  readonly #subscriptions: (() => void)[] = [];
  #steps = 0;
  /** What the guest's commands have made of translation. */
  #enabled = false;
  #rtaddr = 0n;

  constructor(seed: number, capabilities: Capabilities, caches: boolean, coverage: Coverage) {
    this.#random = new Random(seed);
    this.#coverage = coverage;
    this.#machine = new HostileMachine({
      capabilities,
      caches,
      onWrite: (write) => this.#writes.wrote(write),
    });
    this.#writes.watch(this.#machine);
    this.#queue = new QueueWatch(this.#machine, this.#writes, coverage);
    this.#guest = new HostileGuest(this.#random, this.#machine, () => this.#queue.inUse);
    this.#registers = new RegisterWatch(this.#machine, coverage);
    buildTables(this.#machine.ram, capabilities);
    this.#machine.onRegisterWrite = (offset, width, value) =>
      this.#registerWritten(offset, width, value);
    this.#listen();
  }

  #listen(): void {
    const { trace } = this.#machine;
    trace.listen(PAGE_REQUESTED.name, ({ payload }) => {
      this.#coverage.count(`page request ${(payload as { outcome: string }).outcome}`);
    });
    trace.listen(INTERRUPT_REMAPPED.name, ({ payload }) => {
      const { code, index } = payload as { code: number; index: number | undefined };
      const passed = index === undefined ? "compatible" : "remapped";
      this.#coverage.count(`interrupt ${code === 0 ? passed : code.toString(16)}`);
    });
  }

  get progress(): Progress {
    return {
      registerWrites: this.#registers.writes,
      descriptors: this.#queue.fetched,
      memoryWrites: this.#writes.seen,
    };
  }

  /** @returns what went wrong, at which step */
  run(steps: number): string | undefined {
    for (let step = 0; step < steps; step++) {
      for (const action of this.#guest.next()) {
        const wrong = this.#perform(action);
        if (wrong !== undefined) return `step ${step}, ${describe(action)}: ${wrong}`;
      }
    }
    const wrong = this.#end();
    return wrong === undefined ? undefined : `at the end: ${wrong}`;
  }

  #perform(action: Action): string | undefined {
    return this.#watched(this.#allowanceOf(action), () => this.#carryOut(action));
  }

  /** Does `work` before the eyes of all; says what is wrong with it. */
  #watched(allowance: Allowance, work: () => void): string | undefined {
    const { counters } = this.#machine.unit.translation;
    const reads = counters.tableReads + counters.structureReads;
    this.#queue.begin();
    this.#registers.begin();
    this.#writes.allow(allowance);
    const stopped = this.#machine.read32(REGISTER.FSTS) & 0x40;
    try {
      work();
    } catch (error) {
      return `threw ${error instanceof Error ? error.stack : error}`;
    }
    this.#writes.finish();
    this.#queue.finish();
    this.#registers.check();
    if (stopped === 0 && (this.#machine.read32(REGISTER.FSTS) & 0x40) !== 0)
      this.#writes.forgetStatuses();
    if (++this.#steps % THOROUGH === 0) this.#checkAll();
    this.#registers.checkRead(this.#steps % (this.#machine.unit.registerWindow + 8), 8);
    const pages = Math.ceil((allowance.bytes ?? 0) / 4096) + 2;
    if (counters.tableReads + counters.structureReads - reads > READS_PER_PAGE * pages)
      return "more entries read than a request needs";
    return this.#wrong();
  }

  #checkAll(): void {
    this.#registers.checkAll();
    if (this.#machine.ram.hasChangedUnseen) this.#writes.wrong.push("memory has changed unseen");
  }

  #lookAtEverything(): string | undefined {
    this.#checkAll();
    this.#registers.checkWidths();
    return this.#wrong();
  }

  #wrong(): string | undefined {
    return [this.#writes, this.#queue, this.#registers].flatMap(({ wrong }) => wrong)[0];
  }

  #allowanceOf(action: Action): Allowance {
    switch (action.kind) {
      case "command":
        return this.#allowanceOfCommand(action.engine, action.command);
      case "engine-register":
        return { requests: 1, bytes: LONGEST, held: true };
      default:
        return {};
    }
  }

  #allowanceOfCommand(engine: DmaEngine, command: EngineCommand): Allowance {
    const { hold, translated } = engineSpec.COMMAND.decode([BigInt(command.flags)]);
    const { read, write, fill, release, requestPage, stopMarker } = engineSpec.OPERATIONS;
    const { operation } = command;
    if (operation === requestPage || operation === stopMarker) return { requests: 1, bytes: 4 };
    const isBusy = (engine.readRegister(0, 0x1c, 4) & 1n) === 1n;
    const moves = operation === read || operation === write || operation === fill;
    const bytes = operation === release || this.#machine.cached ? LONGEST + 4 : command.length;
    if (this.#machine.cached || !moves || hold === 1n || translated === 1n || isBusy)
      return { bytes: Math.max(bytes, 4096), held: operation === release };
    return { bytes, exactly: this.#predict(engine, command) };
  }

  #predict(engine: DmaEngine, command: EngineCommand): ReadonlyMap<bigint, bigint> {
    const { operation, length, address, pasid, pattern } = command;
    const { privileged, execute } = engineSpec.COMMAND.decode([BigInt(command.flags)]);
    const isFill = operation === engineSpec.OPERATIONS.fill;
    const limit = isFill ? engineSpec.ENGINE_FILL_LIMIT : engineSpec.ENGINE_BUFFER_SIZE;
    if (length === 0 || length > limit) return new Map();
    const bytes = new Uint8Array(length).fill(pattern);
    for (let i = 0; !isFill && i < length; i++)
      bytes[i] = Number(engine.readRegister(0, engineSpec.ENGINE_BUFFER + i, 1));
    const write = operation !== engineSpec.OPERATIONS.read;
    const access = { read: !write, write, execute: execute === 1n, privileged: privileged === 1n };
    const source = engine.function.requesterId!;
    const latched = { enabled: this.#enabled, rtaddr: this.#rtaddr };
    const transfer = { source, address, length, pasid, access, bytes };
    return predictChanges(this.#machine, latched, transfer);
  }

  #carryOut(action: Action): void {
    const { unit, clock } = this.#machine;
    switch (action.kind) {
      case "register":
        return this.#machine.write(action.offset, action.width, action.value);
      case "engine-register":
        return action.engine.writeRegister(0, action.offset, action.width, action.value);
      case "command":
        return this.#command(action.engine, action.command);
      case "config":
        return action.engine.function.config.write(action.offset, 4, action.value);
      case "interrupt":
        return void unit.deliver(action);
      case "answer":
        return action.engine.tlb.answer();
      case "time":
        return clock.advance(action.ns);
      case "reset":
        this.#writes.forgetStatuses();
        this.#registers.reset();
        this.#enabled = false;
        this.#rtaddr = 0n;
        return unit.reset();
      default:
        return this.#subscriber(action.kind);
    }
  }

  /** Keeps what the guest's commands mean, from the bits alone. */
  #registerWritten(offset: number, width: RegisterWidth, value: bigint): void {
    this.#registers.wrote(offset, width, value);
    const bits = BigInt.asUintN(8 * width, value);
    const over = (register: number): bigint =>
      register >= offset
        ? bits >> BigInt(8 * (register - offset))
        : bits << BigInt(8 * (offset - register));
    if (offset + width <= REGISTER.GCMD || offset >= REGISTER.GSTS) return;
    const command = over(REGISTER.GCMD);
    this.#enabled = (command & TE) !== 0n;
    if ((command & SRTP) === 0n) return;
    // A write over both registers is over RTADDR before the command is carried out.
    const covered = Math.max(0, offset + width - REGISTER.RTADDR);
    const mask = (1n << BigInt(8 * covered)) - 1n;
    const before = this.#machine.read(REGISTER.RTADDR, 8) & ~mask;
    this.#rtaddr = (before | (over(REGISTER.RTADDR) & mask)) & ~0x3ffn;
  }

  #command(
    engine: DmaEngine,
    { operation, address, length, pasid, pattern, flags }: EngineCommand,
  ): void {
    engine.writeRegister(0, 0x08, 8, address);
    engine.writeRegister(0, 0x10, 4, BigInt(length));
    engine.writeRegister(0, 0x14, 4, pasid === undefined ? 0n : 0x8000_0000n | BigInt(pasid));
    engine.writeRegister(0, 0x20, 4, BigInt(pattern));
    engine.writeRegister(0, 0x18, 4, BigInt(operation | flags));
    const status = Number(engine.readRegister(0, 0x1c, 4));
    const outcome = (status & 1) !== 0 ? "busy" : (status & 4) !== 0 ? "refused" : "done";
    this.#coverage.count(`engine ${operation <= 7 ? operation : "other"} ${outcome}`);
  }

  #subscriber(kind: "finish" | "subscribe" | "unsubscribe"): void {
    const random = this.#random;
    if (kind === "finish") {
      const [done] = this.#owed.splice(random.below(this.#owed.length + 1), 1);
      done?.();
      if (random.chance(60)) for (const each of this.#owed.splice(0)) each();
    } else if (kind === "unsubscribe") {
      this.#subscriptions.pop()?.();
    } else if (this.#subscriptions.length < MAX_SUBSCRIBERS) {
      const end = this.#machine.unit.subscribe({
        invalidated: ({ kind: what }, done) => {
          this.#coverage.count(`told of ${what}`);
          if (random.chance(50)) done();
          else this.#owed.push(done);
          // One that says so twice.
          if (random.chance(2)) done();
        },
      });
      this.#subscriptions.push(end);
    }
  }

  /** Everybody does what is owed; then a driver that minds the rules takes over. */
  #end(): string | undefined {
    const { engines, clock } = this.#machine;
    const held = { bytes: LONGEST, held: true };
    return (
      this.#watched({}, () => {
        for (const end of this.#subscriptions.splice(0)) end();
        for (const done of this.#owed.splice(0)) done();
      }) ??
      this.#watched(held, () => {
        for (const { tlb } of engines) tlb.answer();
        for (const engine of engines) engine.function.reset();
      }) ??
      this.#watched({}, () => clock.advance(MINUTE)) ??
      takeOver(this.#machine, (allowance, work) => this.#watched(allowance, work)) ??
      this.#lookAtEverything()
    );
  }
}

const describe = (action: Action): string =>
  JSON.stringify(action, (key, value: unknown) =>
    key === "engine"
      ? (value as DmaEngine).function.address
      : typeof value === "bigint"
        ? `0x${value.toString(16)}`
        : value,
  );
