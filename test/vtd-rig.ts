import { type DmaPort, Fabric, NO_PASID, Topology } from "../src/hardware/pci/index.ts";
import { ATS_CAPABILITY, PASID_CAPABILITY } from "../src/hardware/pci/spec/capabilities.ts";
import type { CacheSizes } from "../src/hardware/vtd/cache-sizes.ts";
import { type Capabilities, TranslationUnit, type VtdFault } from "../src/hardware/vtd/index.ts";
import {
  CONTEXT_ENTRY,
  PASID_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
} from "../src/hardware/vtd/spec/index.ts";
import { createSparseMemory, type PhysicalMemory } from "../src/memory/index.ts";
import { TraceChannel } from "../src/trace/channel.ts";

/** All RAM there is: 256 MiB from 0. What lies above is nowhere. */
export const RAM_SIZE = 0x1000_0000n;
/** An address that is in no memory. */
export const NOWHERE = 0x2000_0000n;

type Values<Layout extends { encode(values: never): bigint[] }> = Parameters<Layout["encode"]>[0];

/** What a rig is made of. */
export interface RigOptions {
  readonly capabilities: Capabilities;
  readonly mode: "legacy" | "scalable";
  readonly caches?: CacheSizes | "off";
}

/**
 * A machine for tests of the unit: memory, a unit, two devices (00:02.0 and
 * 01:1f.7 by requester ID), and hands that write tables into memory entry by
 * entry. What a test sees of it is DMA and bytes.
 */
export class VtdRig {
  readonly memory: PhysicalMemory = createSparseMemory([{ base: 0n, length: RAM_SIZE }]);
  readonly trace = new TraceChannel();
  readonly unit: TranslationUnit;
  readonly port: DmaPort;
  readonly otherPort: DmaPort;
  /** Requester ID of `port`'s device. */
  readonly source: number;
  readonly otherSource: number;
  readonly rootTable: bigint;
  readonly legacy: boolean;
  #nextPage = 0x10_0000n;

  constructor({ capabilities, mode, caches }: RigOptions) {
    this.legacy = mode === "legacy";
    this.unit = new TranslationUnit({
      capabilities,
      memory: this.memory,
      trace: this.trace,
      ...(caches === undefined ? {} : { caches }),
    });
    const topology = new Topology(this.trace);
    const root = topology.addRootBus();
    const declaration = { ats: {}, pasid: { width: 20, execute: true, privileged: true } } as const;
    const device = root.add({ kind: "integrated-endpoint", device: 2, ...declaration });
    const other = root.add({
      kind: "integrated-endpoint",
      device: 31,
      function: 7,
      ...declaration,
    });
    topology.assignBusNumbers();
    for (const fn of [device, other]) {
      fn.config.write(4, 2, 6);
      fn.config.write(fn.config.offsetOf(PASID_CAPABILITY.layout)! + 6, 2, 7);
      fn.config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    }
    const fabric = new Fabric(topology, this.memory);
    fabric.attach(this.unit, { kind: "segment", segment: 0 });
    this.port = fabric.port(device);
    this.otherPort = fabric.port(other);
    this.source = device.requesterId!;
    this.otherSource = other.requesterId!;
    this.rootTable = this.page();
    this.unit.setRootTable(this.rootTable | (this.legacy ? 0n : 0x400n));
    this.unit.setTranslation(true);
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

  /** Invalidates every cache of the unit. */
  flush(): void {
    this.unit.invalidateContext({ granularity: "global" });
    this.unit.invalidatePasid({ granularity: "global" });
    this.unit.invalidateIotlb({ granularity: "global" });
  }

  /** One byte read by DMA: its value, or the fault. */
  read(address: bigint, pasid = NO_PASID, flags = 0, port = this.port): number | VtdFault {
    const result = port.read(address, 1, pasid, flags);
    return result.ok ? result.bytes[0]! : vtdFault(result.fault);
  }

  /** One byte written by DMA: `undefined`, or the fault. */
  write(
    address: bigint,
    value = 0x5a,
    pasid = NO_PASID,
    flags = 0,
    port = this.port,
  ): VtdFault | undefined {
    const result = port.write(address, Uint8Array.of(value), pasid, flags);
    return result.ok ? undefined : vtdFault(result.fault);
  }
}

const vtdFault = (fault: { readonly message: string }): VtdFault => fault as VtdFault;

/** What tests compare of a fault. */
export const brief = (
  outcome: number | VtdFault | undefined,
): number | undefined | { code: string; stage: number; level: number | undefined } =>
  typeof outcome === "object"
    ? {
        code: outcome.code.toString(16).padStart(2, "0"),
        stage: outcome.stage,
        level: outcome.level,
      }
    : outcome;

/** The code of a fault, or what came instead of one. */
export const codeOf = (outcome: number | VtdFault | undefined): string | number | undefined =>
  typeof outcome === "object" ? outcome.code.toString(16).padStart(2, "0") : outcome;
