import type { Field, Layout } from "../../struct/layout.ts";
import { restoreWords, type SavedWords, saveWords } from "../../struct/saved-state.ts";
import type { PciCapability } from "./spec/capabilities.ts";

/** Size in bytes of a PCI Express function's configuration space. */
export const EXTENDED_CONFIG_SIZE = 4096;
/** Size in bytes of a conventional function's configuration space. */
export const CONVENTIONAL_CONFIG_SIZE = 256;

const CAPABILITIES_POINTER = 0x34;
const FIRST_CAPABILITY = 0x40;
const FIRST_EXTENDED_CAPABILITY = 0x100;

/** Width in bytes of one configuration access. */
export type ConfigWidth = 1 | 2 | 4;

/** Values of a layout's fields; those left out are 0. */
export type FieldValues<Name extends string> = { readonly [N in Name]?: number | boolean };

/** Called after software has written, with the offset, the width in bytes and what it wrote. */
export type ConfigWriteListener = (offset: number, width: ConfigWidth, value: number) => void;

/**
 * A function's configuration space: bytes, of which software may change some.
 *
 * What a field does to a write comes from its `access`: `rw` bits take the new
 * value, `w1c` bits are cleared by a 1, all others keep theirs. A `wo` bit reads
 * 0; whoever acts on it hears of it through `onWrite`.
 */
export class ConfigSpace {
  /** Size in bytes; accesses beyond it read all ones and write nothing. */
  readonly size: number;
  /** What to call after each write by software. */
  onWrite: ConfigWriteListener | undefined = undefined;
  readonly #bytes: Uint8Array;
  readonly #resetBytes: Uint8Array;
  readonly #writable: Uint8Array;
  readonly #clearable: Uint8Array;
  /** Where each layout has been placed. */
  readonly #offsets = new Map<object, number>();
  #nextFree = FIRST_CAPABILITY;
  #nextFreeExtended = FIRST_EXTENDED_CAPABILITY;
  /** Offset of the extended capability that ends the list. */
  #lastExtended = 0;
  /** Offset of the byte that points at the next capability. */
  #lastPointer = CAPABILITIES_POINTER;

  /** @param size `EXTENDED_CONFIG_SIZE` or `CONVENTIONAL_CONFIG_SIZE` */
  constructor(size: number) {
    this.size = size;
    this.#bytes = new Uint8Array(size);
    this.#resetBytes = new Uint8Array(size);
    this.#writable = new Uint8Array(size);
    this.#clearable = new Uint8Array(size);
  }

  /**
   * Puts a structure at `offset`, a multiple of 4; `values` are its reset values.
   *
   * @throws RangeError when it does not fit the space, or a value its field: a bug in the caller
   */
  place<Name extends string>(
    layout: Layout<Name>,
    offset: number,
    values: FieldValues<Name>,
  ): void {
    if (offset + layout.bytes > this.size) {
      throw new RangeError(
        `${layout.name} at 0x${offset.toString(16)} does not fit ${this.size} bytes`,
      );
    }
    const words = layout.encode(values);
    for (let i = 0; i < layout.bytes; i++) {
      this.#resetBytes[offset + i] = Number((words[i >>> 3]! >> BigInt((i & 7) * 8)) & 0xffn);
    }
    for (const field of Object.values<Field>(layout.fields)) {
      const absent = field.needs !== undefined && !values[field.needs as Name];
      if (absent) continue;
      if (field.access === "rw") setBits(this.#writable, offset, field);
      if (field.access === "w1c") setBits(this.#clearable, offset, field);
    }
    this.#bytes.set(this.#resetBytes.subarray(offset, offset + layout.bytes), offset);
    this.#offsets.set(layout, offset);
  }

  /**
   * Appends a capability to the list it belongs to, at the next free dword.
   *
   * @returns its offset
   * @throws RangeError when there is no room left: a bug in the caller
   */
  append<Name extends string>(capability: PciCapability<Name>, values: FieldValues<Name>): number {
    const { id, extended, version, layout } = capability;
    const offset = extended ? this.#nextFreeExtended : this.#nextFree;
    if (!extended && offset + layout.bytes > FIRST_EXTENDED_CAPABILITY) {
      throw new RangeError(`no room left for the ${layout.name}`);
    }
    const header = extended
      ? { capabilityId: id, capabilityVersion: version }
      : { capabilityId: id };
    this.place(layout, offset, { ...header, ...values });
    if (extended) {
      this.#linkExtended(offset);
      this.#nextFreeExtended += layout.bytes;
    } else {
      this.#hardwireByte(this.#lastPointer, offset);
      this.#lastPointer = offset + 1;
      this.#nextFree += layout.bytes;
    }
    return offset;
  }

  /** Makes the extended capability that ended the list point at `offset`. */
  #linkExtended(offset: number): void {
    const last = this.#lastExtended;
    if (last !== 0) {
      this.#hardwireByte(last + 2, (this.#bytes[last + 2]! & 0x0f) | ((offset & 0xf) << 4));
      this.#hardwireByte(last + 3, offset >>> 4);
    }
    this.#lastExtended = offset;
  }

  #hardwireByte(offset: number, value: number): void {
    this.#bytes[offset] = value;
    this.#resetBytes[offset] = value;
  }

  /** Where a structure is; `undefined` when the function does not have it. */
  offsetOf(layout: object): number | undefined {
    return this.#offsets.get(layout);
  }

  /** The value of a field; 0 when the function does not have the structure. */
  get<Name extends string>(layout: Layout<Name>, name: Name): number {
    const at = this.#offsets.get(layout);
    if (at === undefined) return 0;
    const field = layout.fields[name];
    return (this.read(at + field.dword * 4, 4) & field.dmask) >>> field.dshift;
  }

  /** Whether a one-bit field is set. */
  has<Name extends string>(layout: Layout<Name>, name: Name): boolean {
    return this.get(layout, name) !== 0;
  }

  /** Changes a field as hardware does: whatever its access, unheard by `onWrite`, until the next reset. */
  set<Name extends string>(layout: Layout<Name>, name: Name, value: number): void {
    this.#set(this.#bytes, layout, name, value);
  }

  /** Changes a field and its reset value. */
  hardwire<Name extends string>(layout: Layout<Name>, name: Name, value: number): void {
    this.#set(this.#bytes, layout, name, value);
    this.#set(this.#resetBytes, layout, name, value);
  }

  #set<Name extends string>(
    bytes: Uint8Array,
    layout: Layout<Name>,
    name: Name,
    value: number,
  ): void {
    const at = this.#offsets.get(layout);
    if (at === undefined) return;
    const { dword, dmask, dshift } = layout.fields[name];
    const offset = at + dword * 4;
    const bits = (value << dshift) & dmask;
    for (let i = 0; i < 4; i++) {
      const mask = (dmask >>> (i * 8)) & 0xff;
      bytes[offset + i] = (bytes[offset + i]! & ~mask) | ((bits >>> (i * 8)) & mask);
    }
  }

  /** Reads at any offset, aligned or not; bytes outside the space read 0xff. The result is unsigned. */
  read(offset: number, width: ConfigWidth): number {
    let value = 0;
    for (let i = 0; i < width; i++) value |= (this.#bytes[offset + i] ?? 0xff) << (i * 8);
    return value >>> 0;
  }

  /** Writes the low `width` bytes of `value` as software does, at any offset, aligned or not. */
  write(offset: number, width: ConfigWidth, value: number): void {
    for (let i = 0; i < width; i++) {
      const at = offset + i;
      const old = this.#bytes[at];
      if (old === undefined) continue;
      const given = (value >>> (i * 8)) & 0xff;
      const writable = this.#writable[at]!;
      this.#bytes[at] = ((old & ~writable) | (given & writable)) & ~(given & this.#clearable[at]!);
    }
    this.onWrite?.(offset, width, value);
  }

  /** Puts every field back to its reset value. */
  reset(): void {
    this.#bytes.set(this.#resetBytes);
  }

  /** Writes a field as software does, with one access of 32 bits around it; other fields keep their values. */
  writeField<Name extends string>(layout: Layout<Name>, name: Name, value: number): void {
    const at = this.#offsets.get(layout);
    if (at === undefined) return;
    const { dword, dmask, dshift } = layout.fields[name];
    const offset = at + dword * 4;
    let kept = this.read(offset, 4);
    // Writing back a status bit that is set would clear it.
    for (let i = 0; i < 4; i++) kept &= ~(this.#clearable[offset + i]! << (i * 8));
    this.write(offset, 4, ((kept & ~dmask) | ((value << dshift) & dmask)) >>> 0);
  }

  /** Every register, as it is. */
  save(): SavedWords {
    return saveWords(this.#bytes);
  }

  /** Puts every register back, unheard by `onWrite`. */
  restore(words: SavedWords): void {
    restoreWords(this.#bytes, words);
  }

  /** A copy of the space as it is. */
  inspect(): Uint8Array {
    return this.#bytes.slice();
  }
}

/** Sets a field's bits in a mask that covers a whole configuration space. */
const setBits = (mask: Uint8Array, offset: number, field: Field): void => {
  for (let bit = field.at; bit < field.at + field.width; bit++) {
    const at = offset + (bit >>> 3);
    mask[at] = mask[at]! | (1 << (bit & 7));
  }
};
