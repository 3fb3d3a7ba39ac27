/**
 * The kernel's structures as tables: fields by their C names and types, laid
 * out as a C compiler does on a 64-bit machine. Sizes, offsets, decoding and
 * encoding derive from the table; fields keep their C names, because that is
 * what a reader of a client's source looks for.
 */

type Scalar = "u8" | "u16" | "u32" | "s32" | "u64";

/** The C type of a field: a number, or an array of numbers; `u32[0]` ends a structure of open length. */
export type CType = Scalar | `${Scalar}[${number}]`;

/** A field: its type, or another name for the bytes of an earlier field, as a union has it. */
export type CField = CType | { readonly type: CType; readonly over: string };

type TypeOf<F extends CField> = F extends { readonly type: infer T } ? T : F;

/** What a field's value is: 64 bits are a `bigint`, less is a `number`, arrays are arrays of these. */
export type CValue<F extends CField> =
  TypeOf<F> extends `${infer S}[${number}]`
    ? readonly (S extends "u64" ? bigint : number)[]
    : TypeOf<F> extends "u64"
      ? bigint
      : number;

/** Every field's value. */
export type CValues<Fields extends Record<string, CField>> = {
  -readonly [N in keyof Fields]: CValue<Fields[N]>;
};

/** Where a field lies. */
export interface CMember {
  readonly name: string;
  /** In bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes of all elements. */
  readonly size: number;
  readonly scalar: Scalar;
  /** How many elements, for an array. */
  readonly count: number | undefined;
}

/** A structure of the kernel's interface. */
export interface CStruct<Fields extends Record<string, CField>> {
  /** As in C, without `struct`. */
  readonly name: string;
  /** `sizeof` in bytes. */
  readonly size: number;
  readonly members: { readonly [N in keyof Fields]: CMember };
  /** @param bytes at least `size` of them */
  decode(bytes: Uint8Array): CValues<Fields>;
  /** Fields left out are 0; a value is taken modulo the width of its field. */
  encode(values: Partial<CValues<Fields>>): Uint8Array<ArrayBuffer>;
}

/** The values of a structure. */
export type ValuesOf<S> = S extends CStruct<infer Fields> ? CValues<Fields> : never;

const SCALAR_SIZE: { readonly [S in Scalar]: number } = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 };

const parse = (type: CType): { scalar: Scalar; count: number | undefined } => {
  const [scalar, count] = type.split(/[[\]]/);
  return { scalar: scalar as Scalar, count: count === undefined ? undefined : Number(count) };
};

const readScalar = (view: DataView, scalar: Scalar, at: number): number | bigint => {
  switch (scalar) {
    case "u8":
      return view.getUint8(at);
    case "u16":
      return view.getUint16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "s32":
      return view.getInt32(at, true);
    case "u64":
      return view.getBigUint64(at, true);
  }
};

const writeScalar = (view: DataView, scalar: Scalar, at: number, value: number | bigint): void => {
  switch (scalar) {
    case "u8":
      return view.setUint8(at, Number(value));
    case "u16":
      return view.setUint16(at, Number(value), true);
    case "u32":
    case "s32":
      return view.setUint32(at, Number(value), true);
    case "u64":
      return view.setBigUint64(at, BigInt(value), true);
  }
};

const readMember = (view: DataView, member: CMember): unknown => {
  const { scalar, offset, count } = member;
  if (count === undefined) return readScalar(view, scalar, offset);
  const step = SCALAR_SIZE[scalar];
  return Array.from({ length: count }, (_, i) => readScalar(view, scalar, offset + i * step));
};

const writeMember = (view: DataView, member: CMember, value: unknown): void => {
  const { scalar, offset } = member;
  if (member.count === undefined) {
    writeScalar(view, scalar, offset, value as number | bigint);
    return;
  }
  (value as readonly (number | bigint)[]).forEach((element, i) => {
    writeScalar(view, scalar, offset + i * SCALAR_SIZE[scalar], element);
  });
};

const layOut = (fields: Record<string, CField>): { members: CMember[]; size: number } => {
  const members: CMember[] = [];
  let end = 0;
  let alignment = 1;
  for (const [name, field] of Object.entries(fields)) {
    const { scalar, count } = parse(typeof field === "string" ? field : field.type);
    const step = SCALAR_SIZE[scalar];
    const over = typeof field === "string" ? undefined : members.find((m) => m.name === field.over);
    const offset = over?.offset ?? Math.ceil(end / step) * step;
    const size = step * (count ?? 1);
    members.push({ name, offset, size, scalar, count });
    end = Math.max(end, offset + size);
    alignment = Math.max(alignment, step);
  }
  return { members, size: Math.ceil(end / alignment) * alignment };
};

/** Declares a structure, its fields in C's order. */
export const defineStruct = <const Fields extends Record<string, CField>>(
  name: string,
  fields: Fields,
): CStruct<Fields> => {
  const { members, size } = layOut(fields);
  return Object.freeze({
    name,
    size,
    members: Object.freeze(Object.fromEntries(members.map((m) => [m.name, m]))) as {
      readonly [N in keyof Fields]: CMember;
    },
    decode: (bytes: Uint8Array) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return Object.fromEntries(members.map((m) => [m.name, readMember(view, m)])) as never;
    },
    encode: (values: Partial<CValues<Fields>>) => {
      const bytes = new Uint8Array(size);
      const view = new DataView(bytes.buffer);
      for (const member of members) {
        const value = values[member.name];
        if (value !== undefined) writeMember(view, member, value);
      }
      return bytes;
    },
  });
};
