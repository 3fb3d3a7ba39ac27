/** What was done with the `Int32Array`s that code under `countArrays` made. */
export class ArrayCounts {
  /** Bytes of all arrays made. */
  bytes = 0;
  /** Words read or written; `fill` counts each word it fills. */
  words = 0;
}

/** Watches one array: elements by name, methods bound to the array itself, which they insist on. */
const watch = (array: Int32Array, counts: ArrayCounts): Int32Array =>
  new Proxy(array, {
    get: (target, name) => {
      if (typeof name === "string" && /^\d+$/.test(name)) counts.words += 1;
      if (name === "fill") counts.words += target.length;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, name, value) => {
      counts.words += 1;
      return Reflect.set(target, name, value);
    },
  });

/**
 * Runs `make` and counts for ever what happens to the arrays of words that it
 * makes with `new Int32Array(length)`: caches are such arrays.
 */
export const countArrays = <T>(
  make: () => T,
): { readonly made: T; readonly counts: ArrayCounts } => {
  const counts = new ArrayCounts();
  const original = globalThis.Int32Array;
  globalThis.Int32Array = new Proxy(original, {
    construct: (target, args) => {
      const array: Int32Array = Reflect.construct(target, args);
      if (typeof args[0] !== "number") return array;
      counts.bytes += array.byteLength;
      return watch(array, counts);
    },
    // `from` and `of` make plain arrays: they refuse a proxy.
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" && name !== "prototype" ? value.bind(target) : value;
    },
  });
  try {
    return { made: make(), counts };
  } finally {
    globalThis.Int32Array = original;
  }
};
