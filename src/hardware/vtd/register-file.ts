import type { Field, Layout } from "../../struct/layout.ts";
import { restoreWords, type SavedWords, saveWords } from "../../struct/saved-state.ts";
import type { Capabilities } from "./capabilities.ts";
import { capabilityProblem, registerWindow } from "./capability-problem.ts";
import type { Deviations } from "./deviations.ts";
import { type RegisterRow, registerRows } from "./spec/registers.ts";

/** Size in bytes of the register window of a unit whose CAP and ECAP keep to the first page. */
export const REGISTER_WINDOW = 4096;

/** Widths of an access in bytes. */
export type RegisterWidth = 1 | 2 | 4 | 8;

/**
 * Called after a write that touched the register.
 *
 * @param written the bits that were written to it; others are 0
 * @param touched which bits those are
 */
export type RegisterHandler = (written: bigint, touched: bigint) => void;

interface Placed extends RegisterRow {
  readonly bytes: number;
}

/** Event control registers that have a data register in the same 8 bytes. */
const EVENT_CONTROLS: readonly number[] = [0x38, 0xa0, 0xe0];

/** Status registers that stand in the upper half of 8 bytes whose lower half is no register: where those begin. */
const STATUS_HALVES: readonly number[] = [0x30, 0x98, 0xd8];

/**
 * A unit's registers as software sees them: bytes, and for each bit whether it
 * can be read, written, or cleared by writing 1. Accesses of any width at any
 * place are answered; what is no register reads 0 and ignores writes.
 */
export class RegisterFile {
  readonly rows: readonly RegisterRow[];
  /** Bytes of the window: 2^N pages, as many as CAP and ECAP make it (§8.3). */
  readonly size: number;
  readonly #bytes: DataView;
  readonly #writable: Uint8Array;
  readonly #clearable: Uint8Array;
  readonly #placed: readonly Placed[];
  /** Where the registers of a layout are: one, or for fault records several. */
  readonly #offsets = new Map<Layout<string>, number[]>();
  readonly #handlers = new Map<Layout<string>, RegisterHandler>();
  readonly deviations: Deviations;

  /** @throws RangeError when no unit can have these capabilities, naming the field: a bug in the caller */
  constructor(capabilities: Capabilities) {
    const problem = capabilityProblem(capabilities);
    if (problem !== undefined) throw new RangeError(`a unit cannot be made: ${problem}`);
    this.deviations = capabilities.deviations;
    this.rows = registerRows(capabilities.cap, capabilities.ecap);
    this.size = registerWindow(this.rows);
    this.#bytes = new DataView(new ArrayBuffer(this.size));
    this.#writable = new Uint8Array(this.size);
    this.#clearable = new Uint8Array(this.size);
    this.#placed = this.rows
      .filter((row) => row.needs === undefined || capabilities.has(row.needs))
      .map((row) => ({ ...row, bytes: row.layout.bytes }));
    for (const { layout, offset } of this.rows) {
      this.#offsets.set(layout, [...(this.#offsets.get(layout) ?? []), offset]);
    }
    for (const row of this.#placed) this.#setAccess(row, capabilities);
    this.reset();
  }

  #setAccess({ layout, offset }: Placed, capabilities: Capabilities): void {
    const fixed = capabilities.deviations.readOnlyBits[layout.name] ?? 0n;
    const extra = capabilities.deviations.writableBits[layout.name] ?? 0n;
    for (let bit = 0; bit < layout.bytes * 8; bit++)
      if (((extra >> BigInt(bit)) & 1n) !== 0n)
        this.#writable[offset + (bit >> 3)]! |= 1 << (bit & 7);
    for (const field of Object.values<Field>(layout.fields)) {
      if (field.needs !== undefined && !capabilities.has(field.needs)) continue;
      for (let bit = field.at; bit < field.at + field.width; bit++) {
        if (((fixed >> BigInt(bit)) & 1n) !== 0n) continue;
        const at = offset + (bit >> 3);
        const mask = 1 << (bit & 7);
        if (field.access === "rw") this.#writable[at]! |= mask;
        if (field.access === "w1c") this.#clearable[at]! |= mask;
      }
    }
  }

  /** Puts every register into its reset state. */
  reset(): void {
    new Uint8Array(this.#bytes.buffer).fill(0);
    for (const { offset, bytes, reset } of this.#placed) {
      for (let i = 0; i < bytes; i++) {
        this.#bytes.setUint8(offset + i, Number((reset >> BigInt(8 * i)) & 0xffn));
      }
    }
  }

  /** Every register, as it is. */
  save(): SavedWords {
    return saveWords(new Uint8Array(this.#bytes.buffer));
  }

  /** Puts every register back, unheard by handlers. */
  restore(words: SavedWords): void {
    restoreWords(new Uint8Array(this.#bytes.buffer), words);
  }

  /** Has `handler` called after each write to any of the register's bytes. */
  onWrite(layout: Layout<string>, handler: RegisterHandler): void {
    this.#handlers.set(layout, handler);
  }

  /** Reads `width` bytes at `offset`; bytes beyond the window are 0. */
  read(offset: number, width: RegisterWidth): bigint {
    if (!this.#answers(offset, width)) return 0n;
    let value = 0n;
    for (let i = width - 1; i >= 0; i--) {
      const at = offset + i;
      const byte = at >= 0 && at < this.size ? this.#bytes.getUint8(at) : 0;
      value = (value << 8n) | BigInt(byte);
    }
    return value;
  }

  /** Writes the low `width` bytes of `value` at `offset`, then tells the registers they touch, in their order. */
  write(offset: number, width: RegisterWidth, value: bigint): void {
    if (!this.#answers(offset, width)) return;
    if (width === 8 && this.deviations.eventControlAlone && EVENT_CONTROLS.includes(offset)) {
      this.write(offset, 4, BigInt.asUintN(32, value));
      return;
    }
    for (let i = 0; i < width; i++)
      this.#writeByte(offset + i, Number((value >> BigInt(8 * i)) & 0xffn));
    if (width === 8 && this.deviations.statusHalfUnheard && STATUS_HALVES.includes(offset)) return;
    for (const row of this.#placed) {
      if (offset + width <= row.offset || row.offset + row.bytes <= offset) continue;
      const shift = BigInt(8 * (offset - row.offset));
      const inRegister = (bits: bigint): bigint =>
        BigInt.asUintN(row.bytes * 8, shift >= 0n ? bits << shift : bits >> -shift);
      const written = inRegister(BigInt.asUintN(8 * width, value));
      this.#handlers.get(row.layout)?.(written, inRegister((1n << BigInt(8 * width)) - 1n));
    }
  }

  #answers(offset: number, width: RegisterWidth): boolean {
    return !this.deviations.wholeDwordsOnly || (width >= 4 && offset % width === 0);
  }

  #writeByte(at: number, value: number): void {
    if (at < 0 || at >= this.size) return;
    const writable = this.#writable[at]!;
    const kept = this.#bytes.getUint8(at) & ~(this.#clearable[at]! & value);
    this.#bytes.setUint8(at, (kept & ~writable) | (value & writable));
  }

  /** The value of a field, as hardware sees it. `index` picks one of several registers with this layout. */
  get<Name extends string>(layout: Layout<Name>, name: NoInfer<Name>, index = 0): bigint {
    const field = layout.fields[name];
    const bits = this.#quadword(this.#offsetOf(layout, index), field, layout) & field.mask;
    return field.kind === "address" ? bits : bits >> field.shift;
  }

  /** Whether a one-bit field is set. */
  has<Name extends string>(layout: Layout<Name>, name: NoInfer<Name>, index = 0): boolean {
    return this.get(layout, name, index) !== 0n;
  }

  /** Sets a field, as hardware does: whatever software may do with it. */
  set<Name extends string>(
    layout: Layout<Name>,
    name: NoInfer<Name>,
    value: bigint | number | boolean,
    index = 0,
  ): void {
    const field = layout.fields[name];
    const offset = this.#offsetOf(layout, index);
    const placed = field.kind === "address" ? BigInt(value) : BigInt(value) << field.shift;
    const next = (this.#quadword(offset, field, layout) & ~field.mask) | (placed & field.mask);
    const at = offset + field.qword * 8;
    if (layout.bytes === 4) this.#bytes.setUint32(at, Number(next), true);
    else this.#bytes.setBigUint64(at, next, true);
  }

  #quadword(offset: number, field: Field, layout: Layout<string>): bigint {
    const at = offset + field.qword * 8;
    return layout.bytes === 4
      ? BigInt(this.#bytes.getUint32(at, true))
      : this.#bytes.getBigUint64(at, true);
  }

  #offsetOf(layout: Layout<string>, index: number): number {
    const found = this.#offsets.get(layout)?.[index];
    if (found === undefined) throw new RangeError(`no register ${layout.name} ${index}`);
    return found;
  }
}
