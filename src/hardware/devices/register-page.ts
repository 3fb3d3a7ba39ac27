import type { Field, Layout } from "../../struct/layout.ts";
import { restoreWords, type SavedWords, saveWords } from "../../struct/saved-state.ts";

/** A register's place and its value after reset. */
export interface RegisterPlace {
  readonly offset: number;
  readonly layout: Layout<string>;
  readonly reset: bigint;
}

/**
 * What is behind a base address register: registers, of which software may
 * change the `rw` bits and clear the `w1c` bits, and a window of plain bytes.
 * Accesses of any width at any place are answered; what is neither reads 0.
 */
export class RegisterPage {
  readonly #rows: readonly RegisterPlace[];
  readonly #bytes: DataView;
  readonly #writable: Uint8Array;
  readonly #clearable: Uint8Array;
  readonly #offsets: ReadonlyMap<Layout<string>, number>;
  /** The window of plain bytes. */
  readonly window: Uint8Array;

  /**
   * @param size in bytes
   * @param window where the plain bytes begin; they end with the page
   */
  constructor(rows: readonly RegisterPlace[], size: number, window: number) {
    this.#rows = rows;
    this.#bytes = new DataView(new ArrayBuffer(size));
    this.#writable = new Uint8Array(size).fill(0xff, window);
    this.#clearable = new Uint8Array(size);
    this.#offsets = new Map(rows.map(({ layout, offset }) => [layout, offset]));
    this.window = new Uint8Array(this.#bytes.buffer, window);
    for (const place of rows) this.#setAccess(place);
    this.reset();
  }

  #setAccess({ layout, offset }: RegisterPlace): void {
    for (const field of Object.values<Field>(layout.fields)) {
      const mask = field.access === "rw" ? this.#writable : this.#clearable;
      if (field.access === "ro") continue;
      for (let bit = field.at; bit < field.at + field.width; bit++) {
        const at = offset + (bit >>> 3);
        mask[at] = mask[at]! | (1 << (bit & 7));
      }
    }
  }

  /** Puts registers and bytes into their reset state. */
  reset(): void {
    new Uint8Array(this.#bytes.buffer).fill(0);
    for (const { layout, offset, reset } of this.#rows) {
      if (layout.bytes === 4) this.#bytes.setUint32(offset, Number(reset), true);
      else this.#bytes.setBigUint64(offset, reset, true);
    }
  }

  /** Registers and bytes, as they are. */
  save(): SavedWords {
    return saveWords(new Uint8Array(this.#bytes.buffer));
  }

  /** Puts registers and bytes back. */
  restore(words: SavedWords): void {
    restoreWords(new Uint8Array(this.#bytes.buffer), words);
  }

  /** Reads `width` bytes. */
  read(offset: number, width: number): bigint {
    let value = 0n;
    for (let i = width - 1; i >= 0; i--) {
      value = (value << 8n) | BigInt(this.#bytes.getUint8(offset + i));
    }
    return value;
  }

  /** Writes the low `width` bytes of `value` as software does. */
  write(offset: number, width: number, value: bigint): void {
    for (let i = 0; i < width; i++) {
      const at = offset + i;
      const given = Number((value >> BigInt(8 * i)) & 0xffn);
      const writable = this.#writable[at]!;
      const kept = this.#bytes.getUint8(at) & ~(this.#clearable[at]! & given);
      this.#bytes.setUint8(at, (kept & ~writable) | (given & writable));
    }
  }

  /** Every field of a register. */
  decode<Name extends string>(layout: Layout<Name>): { readonly [N in Name]: bigint } {
    return layout.decode([this.read(this.offsetOf(layout), layout.bytes)]);
  }

  /** Sets fields as hardware does, whatever their access. */
  set<Name extends string>(
    layout: Layout<Name>,
    values: { readonly [N in Name]?: bigint | number | boolean },
  ): void {
    const offset = this.offsetOf(layout);
    const next = { ...layout.decode([this.read(offset, layout.bytes)]), ...values };
    const word = layout.encode(next)[0]!;
    if (layout.bytes === 4) this.#bytes.setUint32(offset, Number(word), true);
    else this.#bytes.setBigUint64(offset, word, true);
  }

  /** Where a register is. */
  offsetOf(layout: Layout<string>): number {
    const offset = this.#offsets.get(layout);
    if (offset === undefined) throw new RangeError(`no register ${layout.name}`);
    return offset;
  }
}
