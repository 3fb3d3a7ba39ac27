/**
 * Packed structures as tables. A structure is declared once, with the bit
 * position of every field and the section it comes from; decoding, encoding,
 * reserved-bit masks, dumps and documentation all derive from the table.
 * Bits that no field covers are reserved.
 */

/** One field of a layout, as it is declared. Bit 0 is the lowest bit of the first byte. */
export interface FieldDeclaration {
  /** Position of the lowest bit. A field does not cross a 64-bit boundary. */
  readonly at: number;
  /** Width in bits; 1 when absent. */
  readonly width?: number;
  /** `address`: the value keeps its place in the quadword, and bits from the host address width up are reserved. */
  readonly kind?: "address";
  /** Hardware ignores the field: it is not reserved and has no meaning. */
  readonly ignored?: true;
  /** Capability without which the field is reserved. */
  readonly needs?: string;
  /** Register access: read-only, read-write, write-1-to-clear, write-only. Absent in memory structures. */
  readonly access?: "ro" | "rw" | "w1c" | "wo";
  /** What the field means, in a few words. */
  readonly doc: string;
}

/** A field with the positions that code needs. */
export interface Field extends FieldDeclaration {
  readonly name: string;
  readonly width: number;
  /** Index of the 64-bit word the field lies in. */
  readonly qword: number;
  /** Position of the lowest bit inside that word. */
  readonly shift: bigint;
  /** The field's bits inside that word, in place. */
  readonly mask: bigint;
  /** Index of the 32-bit word that holds the lowest bit. */
  readonly dword: number;
  /** Position of the lowest bit inside that 32-bit word. */
  readonly dshift: number;
  /** The field's bits inside that 32-bit word, in place, as an int32: bits beyond it are left out. */
  readonly dmask: number;
}

/** What a reserved-bit mask depends on besides the layout. */
export interface ReservedBy {
  /** Whether the hardware has the named capability. */
  has(capability: string): boolean;
  /** Number of physical address bits; those above are reserved in `address` fields. */
  readonly hostAddressWidth: number;
}

/** A structure's table. */
export interface Layout<Name extends string> {
  readonly name: string;
  /** Size in bytes; a multiple of 4. */
  readonly bytes: number;
  /** Where the structure is specified. */
  readonly section: string;
  readonly fields: { readonly [N in Name]: Field };
  /**
   * @param qwords the structure as little-endian 64-bit words
   * @returns every field's value: shifted down, except that an `address` stays in place
   */
  decode(qwords: readonly bigint[]): { readonly [N in Name]: bigint };
  /**
   * The inverse of `decode`; fields left out are 0.
   *
   * @throws RangeError when a value does not fit its field: a bug in the caller
   */
  encode(values: { readonly [N in Name]?: bigint | number | boolean }): bigint[];
  /** The bits of each 64-bit word that must be 0. */
  reservedMask(by: ReservedBy): bigint[];
}

const toField = (name: string, declaration: FieldDeclaration): Field => {
  const width = declaration.width ?? 1;
  const { at } = declaration;
  const shift = BigInt(at % 64);
  const inDword = Math.min(width, 32 - (at % 32));
  return Object.freeze({
    ...declaration,
    name,
    width,
    qword: Math.floor(at / 64),
    shift,
    mask: ((1n << BigInt(width)) - 1n) << shift,
    dword: Math.floor(at / 32),
    dshift: at % 32,
    dmask: Number(((1n << BigInt(inDword)) - 1n) << BigInt(at % 32)) | 0,
  });
};

const checkField = (layout: string, bits: number, field: Field, taken: bigint[]): void => {
  const end = field.at + field.width;
  if (end > bits || Math.floor((end - 1) / 64) !== field.qword) {
    throw new RangeError(
      `${layout}.${field.name}: bits ${field.at}..${end - 1} do not fit one word`,
    );
  }
  if (((taken[field.qword] ?? 0n) & field.mask) !== 0n) {
    throw new RangeError(`${layout}.${field.name}: overlaps another field`);
  }
  taken[field.qword] = (taken[field.qword] ?? 0n) | field.mask;
};

const encodeField = (layout: string, field: Field, given: bigint | number | boolean): bigint => {
  const value = BigInt(given);
  const placed = field.kind === "address" ? value : value << field.shift;
  if (value < 0n || (placed & ~field.mask) !== 0n) {
    throw new RangeError(`${layout}.${field.name}: 0x${value.toString(16)} does not fit the field`);
  }
  return placed;
};

/**
 * Declares a layout.
 *
 * @throws RangeError when fields overlap or cross a word: a bug in the table
 */
export const defineLayout = <Name extends string>(declaration: {
  readonly name: string;
  readonly bytes: number;
  readonly section: string;
  readonly fields: { readonly [N in Name]: FieldDeclaration };
}): Layout<Name> => {
  const { name, bytes, section } = declaration;
  const fields = Object.entries<FieldDeclaration>(declaration.fields).map(([n, f]) =>
    toField(n, f),
  );
  const taken: bigint[] = [];
  for (const field of fields) checkField(name, bytes * 8, field, taken);
  const qwords = Math.ceil(bytes / 8);
  const lastMask = bytes % 8 === 0 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  const byName = Object.fromEntries(fields.map((f) => [f.name, f])) as {
    readonly [N in Name]: Field;
  };
  return Object.freeze({
    name,
    bytes,
    section,
    fields: Object.freeze(byName),
    decode: (words: readonly bigint[]) =>
      Object.fromEntries(
        fields.map((f) => {
          const bits = (words[f.qword] ?? 0n) & f.mask;
          return [f.name, f.kind === "address" ? bits : bits >> f.shift];
        }),
      ) as { readonly [N in Name]: bigint },
    encode: (values: { readonly [N in Name]?: bigint | number | boolean }) => {
      const words = new Array<bigint>(qwords).fill(0n);
      for (const [n, value] of Object.entries<bigint | number | boolean | undefined>(values)) {
        const field = byName[n as Name];
        words[field.qword] = words[field.qword]! | encodeField(name, field, value ?? 0n);
      }
      return words;
    },
    reservedMask: (by: ReservedBy) => {
      const words = new Array<bigint>(qwords).fill(0xffff_ffff_ffff_ffffn);
      words[qwords - 1] = lastMask;
      const aboveHost = ~((1n << BigInt(by.hostAddressWidth)) - 1n);
      for (const field of fields) {
        if (field.needs !== undefined && !by.has(field.needs)) continue;
        const defined = field.kind === "address" ? field.mask & ~aboveHost : field.mask;
        words[field.qword] = words[field.qword]! & ~defined;
      }
      return words;
    },
  });
};

/** The value of `field` in a structure whose 32-bit words start at `words[at]`; the field must not cross a dword. */
export const fieldAt = (words: Int32Array, at: number, field: Field): number =>
  (words[at + field.dword]! & field.dmask) >>> field.dshift;
