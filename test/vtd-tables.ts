import {
  CONTEXT_ENTRY,
  PASID_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
} from "../src/hardware/vtd/spec/index.ts";
import { createSparseMemory, type PhysicalMemory } from "../src/memory/index.ts";

/** All RAM there is: 256 MiB from 0. What lies above is nowhere. */
export const RAM_SIZE = 0x1000_0000n;
/** An address that is in no memory. */
export const NOWHERE = 0x2000_0000n;

type Values<Layout extends { encode(values: never): bigint[] }> = Parameters<Layout["encode"]>[0];

/** Memory, and hands that write a unit's tables into it entry by entry. */
export class VtdTables {
  readonly memory: PhysicalMemory = createSparseMemory([{ base: 0n, length: RAM_SIZE }]);
  readonly rootTable: bigint;
  readonly legacy: boolean;
  /** Requester ID that entries are for where none is given. */
  readonly source: number;
  #nextPage = 0x10_0000n;

  constructor(mode: "legacy" | "scalable", source: number) {
    this.legacy = mode === "legacy";
    this.source = source;
    this.rootTable = this.page();
  }

  /** A zeroed page of memory for a table. */
  page(): bigint {
    const page = this.#nextPage;
    this.#nextPage += 0x1000n;
    return page;
  }

  /** Reads the quadword at `address`, which must be in memory. */
  peek(address: bigint): bigint {
    const value = this.memory.read64(address);
    if (value === undefined) throw new RangeError(`no memory at 0x${address.toString(16)}`);
    return value;
  }

  /** Writes quadwords from `address` on. */
  poke(address: bigint, ...values: bigint[]): void {
    values.forEach((value, i) => {
      if (!this.memory.write64(address + BigInt(8 * i), value)) throw new RangeError("no memory");
    });
  }

  /** Sets bits in the quadword at `address`. */
  setBits(address: bigint, bits: bigint): void {
    this.poke(address, this.peek(address) | bits);
  }

  /** Where the root entry for `source` is; in scalable mode the half of it. */
  rootEntry(source = this.source): bigint {
    const half = this.legacy || (source & 0x80) === 0 ? 0n : 8n;
    return this.rootTable + BigInt(source >> 8) * 16n + half;
  }

  /** Where the context entry for `source` is; makes its table. */
  contextEntry(source = this.source): bigint {
    const root = this.rootEntry(source);
    if (this.peek(root) === 0n) this.poke(root, this.page() | 1n);
    const table = this.peek(root) & ~0xfffn;
    return this.legacy ? table + BigInt(source & 0xff) * 16n : table + BigInt(source & 0x7f) * 32n;
  }

  /** Writes a legacy context entry; returns its address. */
  legacyContext(values: Values<typeof CONTEXT_ENTRY>, source = this.source): bigint {
    const at = this.contextEntry(source);
    this.poke(at, ...CONTEXT_ENTRY.encode({ P: 1, AW: 2, DID: 1, ...values }));
    return at;
  }

  /** Writes a scalable context entry with a directory of its own; returns its address. */
  context(values: Values<typeof SCALABLE_CONTEXT_ENTRY> = {}, source = this.source): bigint {
    const at = this.contextEntry(source);
    this.poke(at, ...SCALABLE_CONTEXT_ENTRY.encode({ P: 1, PASIDDIRPTR: this.page(), ...values }));
    return at;
  }

  /** Where the directory entry for `pasid` is; the context must be there. */
  directoryEntry(pasid = 0, source = this.source): bigint {
    return (this.peek(this.contextEntry(source)) & ~0xfffn) + BigInt(pasid >> 6) * 8n;
  }

  /** Writes a PASID entry, with its directory entry if need be; returns its address. */
  pasidEntry(values: Values<typeof PASID_ENTRY>, pasid = 0, source = this.source): bigint {
    if (this.peek(this.contextEntry(source)) === 0n) this.context({}, source);
    const directory = this.directoryEntry(pasid, source);
    if (this.peek(directory) === 0n) this.poke(directory, this.page() | 1n);
    const at = (this.peek(directory) & ~0xfffn) + BigInt(pasid & 63) * 64n;
    this.poke(at, ...PASID_ENTRY.encode({ P: 1, AW: 2, DID: 1, ...values }));
    return at;
  }

  /**
   * Writes the entries for `address` into the tables under `root`, making the
   * tables it lacks.
   *
   * @param levels of the table
   * @param leaf the leaf entry, raw
   * @param leafLevel 0, 1 or 2
   * @param table bits of the table entries made
   * @returns the physical addresses of the entries, the leaf's first
   */
  map(
    root: bigint,
    levels: number,
    address: bigint,
    leaf: bigint,
    leafLevel = 0,
    table = 3n,
  ): bigint[] {
    const entries: bigint[] = [];
    let page = root;
    for (let level = levels - 1; ; level--) {
      const entry = page + ((address >> BigInt(12 + 9 * level)) & 0x1ffn) * 8n;
      entries.unshift(entry);
      if (level === leafLevel) {
        this.poke(entry, leaf);
        return entries;
      }
      if (this.peek(entry) === 0n) this.poke(entry, this.page() | table);
      page = this.peek(entry) & 0xf_ffff_ffff_f000n;
    }
  }

  /** As `map`, with first-stage tables: P, R/W, U/S and A set. */
  mapFirst(root: bigint, address: bigint, leaf: bigint, leafLevel = 0, levels = 4): bigint[] {
    return this.map(root, levels, address, leaf, leafLevel, 0x27n);
  }

  /** Makes an identity second stage for `[0, length)` out of 2 MiB pages; returns its root. */
  identity(length: bigint, leafBits = 0x83n, levels = 4): bigint {
    const root = this.page();
    for (let at = 0n; at < length; at += 0x20_0000n) this.map(root, levels, at, at | leafBits, 1);
    return root;
  }
}
