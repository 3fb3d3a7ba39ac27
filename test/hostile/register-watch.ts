import type { RegisterRow, RegisterWidth } from "../../src/hardware/vtd/index.ts";
import { registerRows } from "../../src/hardware/vtd/spec/registers.ts";
import type { Coverage } from "./coverage.ts";
import { REGISTER } from "./layout.ts";
import type { HostileMachine } from "./machine.ts";

/** Registers that only software changes: offset, bytes, the bits that it can, and what they need. */
const SOFTWARE_ONLY: readonly (readonly [number, 4 | 8, bigint, string?])[] = [
  [0x20, 8, 0xffff_ffff_ffff_fc00n],
  [0x3c, 4, 0xffff_ffffn],
  [0x40, 4, 0xffff_fffcn],
  [0x44, 4, 0xffff_ffffn, "EIM"],
  [0x68, 4, 0xffe0_0000n, "PLMR"],
  [0x6c, 4, 0xffe0_0000n, "PLMR"],
  [0x70, 8, 0xffff_ffff_ffe0_0000n, "PHMR"],
  [0x78, 8, 0xffff_ffff_ffe0_0000n, "PHMR"],
  [0x88, 8, 0x7_fff0n, "QI"],
  [0x90, 8, 0xffff_ffff_ffff_f007n, "QI"],
  [0x90, 8, 0x800n, "SMTS"],
  [0xa4, 4, 0xffff_ffffn, "QI"],
  [0xa8, 4, 0xffff_fffcn, "QI"],
  [0xac, 4, 0xffff_ffffn, "EIM"],
  [0xb8, 8, 0xffff_ffff_ffff_f80fn, "IR"],
  [0xc0, 8, 0x7_ffe0n, "PRS"],
  [0xd0, 8, 0xffff_ffff_ffff_f007n, "PRS"],
  [0xe4, 4, 0xffff_ffffn, "PRS"],
  [0xe8, 4, 0xffff_fffcn, "PRS"],
];

/** The three events: control, the status that raises each, its bits, and the capability. */
const EVENTS = [
  ["fault", REGISTER.FECTL, REGISTER.FSTS, 0x73],
  ["completion", REGISTER.IECTL, REGISTER.ICS, 1],
  ["page request", REGISTER.PECTL, REGISTER.PRS, 3],
] as const;

const mask = (bytes: number): bigint => (1n << BigInt(8 * bytes)) - 1n;

/** Holds the registers to what must be true of them whatever was written. */
export class RegisterWatch {
  readonly wrong: string[] = [];
  /** Writes of registers. */
  writes = 0;
  readonly #machine: HostileMachine;
  readonly #coverage: Coverage;
  readonly #rows: readonly RegisterRow[];
  readonly #fixed: readonly bigint[];
  /** What the registers hold that only software changes. */
  readonly #expected = new Map<number, bigint>();
  readonly #records: { readonly first: number; readonly count: number };
  #pending = [0, 0, 0];
  #interrupts = 0;

  constructor(machine: HostileMachine, coverage: Coverage) {
    this.#machine = machine;
    this.#coverage = coverage;
    const { cap, ecap } = machine.unit.capabilities;
    this.#rows = registerRows(cap, ecap);
    this.#fixed = [0n, 8n, 16n].map((at) => machine.read(Number(at), 8));
    this.#records = {
      first: Number((cap >> 24n) & 0x3ffn) * 16,
      count: Number((cap >> 40n) & 0xffn) + 1,
    };
    this.reset();
  }

  /** The unit has been reset. */
  reset(): void {
    for (const [offset] of SOFTWARE_ONLY) this.#expected.set(offset, 0n);
  }

  /** Software has written. */
  wrote(offset: number, width: RegisterWidth, value: bigint): void {
    this.writes++;
    this.#coverage.count(`width ${width}${offset % width === 0 ? "" : " unaligned"}`);
    for (const { layout, offset: at } of this.#rows) {
      if (offset < at + layout.bytes && at < offset + width)
        this.#coverage.count(`register ${layout.name}`);
    }
    for (const [at, bytes, writable, needs] of SOFTWARE_ONLY) {
      if (offset >= at + bytes || at >= offset + width) continue;
      if (needs !== undefined && !this.#machine.unit.capabilities.has(needs)) continue;
      const move = (bits: bigint): bigint =>
        offset >= at ? bits << BigInt(8 * (offset - at)) : bits >> BigInt(8 * (at - offset));
      const touched = move(mask(width)) & writable;
      const old = this.#expected.get(at)!;
      this.#expected.set(at, (old & ~touched) | (move(value & mask(width)) & touched));
    }
  }

  /** A step begins. */
  begin(): void {
    this.#pending = EVENTS.map(([, , status, bits]) => this.#machine.read32(status) & bits);
    this.#interrupts = this.#machine.interrupts;
  }

  #fail(what: string): void {
    this.wrong.push(what);
  }

  /** After each step. */
  check(): void {
    const machine = this.#machine;
    if ((machine.read32(REGISTER.GSTS) & 0x387f_ffff) !== 0) this.#fail("GSTS has other bits");
    if (machine.read32(REGISTER.GCMD) !== 0) this.#fail("GCMD reads something");
    EVENTS.forEach(([name, control, status, bits], i) => {
      const word = machine.read32(control);
      const pending = machine.read32(status) & bits;
      if (word >>> 30 === 1) this.#fail(`the ${name} event waits though it is not masked`);
      if (this.#pending[i] !== 0 || pending === 0) return;
      const masked = word >>> 31 === 1;
      this.#coverage.count(`event ${name} ${masked ? "masked" : "sent"}`);
      if (masked && word >>> 30 !== 3) this.#fail(`the ${name} event is lost behind its mask`);
      if (!masked && machine.interrupts === this.#interrupts)
        this.#fail(`the ${name} event was not sent`);
    });
    this.#checkQueue();
    this.#checkFaults();
  }

  #checkQueue(): void {
    const machine = this.#machine;
    const head = machine.read(REGISTER.IQH, 8);
    const isOn = (machine.read32(REGISTER.GSTS) & 0x0400_0000) !== 0;
    if (!isOn && head !== 0n) this.#fail("IQH is not 0 with the queue off");
    const stopped = (machine.read32(REGISTER.FSTS) & 0x10) !== 0;
    if (stopped !== ((machine.read32(REGISTER.IQERCD) & 0xf) !== 0))
      this.#fail("IQE and IQEI say different things");
  }

  #checkFaults(): void {
    const machine = this.#machine;
    const status = machine.read32(REGISTER.FSTS);
    for (const [bit, name] of [
      [1, "PFO"],
      [0x20, "ICE"],
      [0x40, "ITE"],
    ] as const) {
      if ((status & bit) !== 0) this.#coverage.count(`status ${name}`);
    }
    if ((machine.read32(REGISTER.PRS) & 2) !== 0) this.#coverage.count("status PRO");
    if ((status & 2) === 0) return;
    const index = (status >>> 8) & 0xff;
    if (index >= this.#records.count) this.#fail(`FRI is ${index}`);
  }

  /** Everything, now and then. */
  checkAll(): void {
    this.#checkRecords();
    this.#checkExpected();
  }

  #checkRecords(): void {
    const { first, count } = this.#records;
    let pending = false;
    for (let i = 0; i < count; i++) {
      const high = this.#machine.read(first + 16 * i + 8, 8);
      if (high >> 63n === 0n) continue;
      pending = true;
      this.#coverage.count(`reason ${((high >> 32n) & 0xffn).toString(16).padStart(2, "0")}`);
    }
    if (pending !== ((this.#machine.read32(REGISTER.FSTS) & 2) !== 0))
      this.#fail("PPF and the records' F say different things");
  }

  #checkExpected(): void {
    for (const [offset, bytes] of SOFTWARE_ONLY) {
      const found = this.#machine.read(offset, bytes);
      const expected = this.#expected.get(offset)!;
      if (found !== expected)
        this.#fail(
          `0x${offset.toString(16)} holds 0x${found.toString(16)}, 0x${expected.toString(16)} was written`,
        );
    }
    this.#fixed.forEach((value, i) => {
      if (this.#machine.read(8 * i, 8) !== value) this.#fail("VER, CAP or ECAP has changed");
    });
  }

  /** Wide reads at every place where there are registers; of many fault records, the first few. */
  checkWidths(): void {
    const machine = this.#machine;
    for (const { offset, layout } of this.#rows.slice(0, 48)) {
      for (let at = offset - 4; at < offset + layout.bytes; at++) this.checkRead(at, 8);
      const before = machine.read(offset, 4);
      if (machine.read(offset, 4) !== before) this.#fail("a read has an effect");
    }
  }

  /** A wide read is the narrow ones side by side: of `width` bytes at `offset`, two of half the width, and those to their halves. */
  checkRead(offset: number, width: 2 | 4 | 8): void {
    const machine = this.#machine;
    const half = (width / 2) as 1 | 2 | 4;
    const low = machine.read(offset, half);
    const high = machine.read(offset + half, half);
    if (machine.read(offset, width) !== (low | (high << BigInt(8 * half))))
      this.#fail(`${width} bytes at 0x${offset.toString(16)} are not their halves`);
    if (half === 1) return;
    this.checkRead(offset, half);
    this.checkRead(offset + half, half);
  }
}
