import { hex } from "../../src/bits/hex.ts";
import { formatPciAddress } from "../../src/hardware/pci/index.ts";
import {
  type EnumeratedDevice,
  type EnumeratedSpace,
  enumerateUnit,
  type RemappingUnit,
} from "../../src/hardware/vtd/index.ts";
import { NESTED } from "../../src/hardware/vtd/target.ts";
import type { PhysicalMemory } from "../../src/memory/index.ts";
import type { Dump, DumpedDevice, DumpedTable } from "./debugfs.ts";

const PAGE = 0xf_ffff_ffff_f000n;

const list = (words: readonly bigint[]): string => words.map(hex).join(" ");

const quadwordsAt = (memory: PhysicalMemory, address: bigint, count: number): bigint[] =>
  Array.from({ length: count }, (_, i) => memory.read64(address + BigInt(8 * i)) ?? 0n);

const pasidEntryAt = (memory: PhysicalMemory, context: bigint, pasid: number): bigint => {
  const directory = (memory.read64(context) ?? 0n) & PAGE;
  const table = (memory.read64(directory + BigInt(pasid >> 6) * 8n) ?? 0n) & PAGE;
  return table + BigInt(pasid & 63) * 64n;
};

/** PASIDs as the kernel numbers a device's entries: that of the requester ID itself too. */
const numberOf = (device: EnumeratedDevice, space: EnumeratedSpace): number =>
  space.pasid ?? device.ridPasid ?? -1;

const keyOf = (source: number, pasid: number): string =>
  `${formatPciAddress({ segment: 0, requesterId: source })}${pasid < 0 ? "" : ` PASID ${pasid}`}`;

/** Level of the leaf and its output, out of the entries on the way to it. */
const leafText = (entries: readonly bigint[], frame: bigint): string => {
  const level = 4 - entries.findLastIndex((entry) => entry !== 0n);
  const entry = entries[4 - level]!;
  const size = 12 + 9 * level;
  const out = entry & PAGE & ~((1n << BigInt(size)) - 1n);
  return `${hex(frame << 12n)} to ${hex(out)}, 2^${size}`;
};

const leavesOf = ({ leaves, leafCount }: EnumeratedSpace): string[] =>
  Array.from({ length: leafCount }, (_, i) => {
    const [frame, out] = [leaves.iovaFrames[i]!, leaves.outFrames[i]!];
    return `${hex(BigInt(frame) << 12n)} to ${hex(BigInt(out) << 12n)}, 2^${leaves.sizesLg2[i]!}`;
  });

const differencesOf = (
  what: string,
  kernel: readonly string[],
  unit: readonly string[],
): string[] => {
  const only = (from: readonly string[], other: readonly string[], who: string): string[] => {
    const known = new Set(other);
    const extra = from.filter((each) => !known.has(each));
    return extra.slice(0, 5).map((each) => `${what}: only ${who} has ${each}`);
  };
  return [...only(kernel, unit, "the kernel"), ...only(unit, kernel, "the unit")];
};

/** Compares what a unit finds in the guest's memory with what its kernel says is there. */
class TableComparison {
  readonly #memory: PhysicalMemory;
  readonly #dump: Dump;
  readonly #devices: readonly EnumeratedDevice[];
  readonly #root: bigint;

  constructor(unit: RemappingUnit, memory: PhysicalMemory, dump: Dump) {
    const rtaddr = unit.translation.rootTableAddress;
    this.#root = rtaddr & ~0xfffn;
    this.#memory = memory;
    this.#dump = dump;
    const { capabilities } = unit;
    this.#devices = rtaddr === 0n ? [] : enumerateUnit({ capabilities, memory, rtaddr }).devices;
  }

  run(): string[] {
    const { root, devices, tables } = this.#dump;
    const kernel = devices.map(({ source, pasid }) => keyOf(source, pasid));
    const unit = this.#devices.flatMap((device) =>
      device.spaces.map((space) => keyOf(device.source, numberOf(device, space))),
    );
    return [
      ...((root ?? 0n) === this.#root
        ? []
        : [`the root table is at ${hex(this.#root)}, the kernel says ${hex(root ?? 0n)}`]),
      ...differencesOf("devices", kernel, [...new Set(unit)]),
      ...devices.flatMap((device) => this.#structures(device)),
      ...tables.flatMap((table) => this.#table(table)),
    ];
  }

  #find(source: number): EnumeratedDevice | undefined {
    return this.#devices.find((device) => device.source === source);
  }

  #structures({ source, pasid, root, context, pasidEntry }: DumpedDevice): string[] {
    const found = this.#find(source);
    if (found === undefined) return [];
    const { contextAddress } = found;
    const bus = this.#root + BigInt(source >> 8) * 16n;
    const rows: [string, readonly bigint[], readonly bigint[]][] = [
      ["root entry", root, quadwordsAt(this.#memory, bus, 2)],
      ["context entry", context, quadwordsAt(this.#memory, contextAddress, 2)],
    ];
    if (pasid >= 0) {
      const at = pasidEntryAt(this.#memory, contextAddress, pasid);
      rows.push(["PASID entry", pasidEntry, quadwordsAt(this.#memory, at, 3)]);
    }
    return rows.flatMap(([what, kernel, unit]) =>
      list(kernel) === list(unit)
        ? []
        : [`${what} of ${keyOf(source, pasid)}: the kernel ${list(kernel)}, memory ${list(unit)}`],
    );
  }

  #table(table: DumpedTable): string[] {
    const { source, pasid, leaves } = table;
    const found = this.#find(source);
    // Without a number it is the table of requests without a PASID, in scalable mode too.
    const space = found?.spaces.find((each) =>
      pasid < 0 ? each.pasid === null : numberOf(found, each) === pasid,
    );
    const key = keyOf(source, pasid);
    if (found === undefined || space === undefined) return [`${key}: the unit finds no tables`];
    const raw = this.#rawEntries(table).map((each) => `${key}: ${each}`);
    // Of a nested domain the kernel shows the second stage alone.
    if (space.type === NESTED) return raw;
    const kernel = leaves.map(({ frame, entries }) => leafText(entries, frame));
    return [...raw, ...differencesOf(key, kernel, leavesOf(space))];
  }

  /** Every entry on the way to each leaf, out of memory. */
  #rawEntries({ root, leaves }: DumpedTable): string[] {
    return leaves.flatMap(({ frame, entries }) => {
      let table = root;
      for (let level = 3; level >= 0; level--) {
        const said = entries[4 - level]!;
        if (said === 0n) break;
        const index = (frame >> BigInt(9 * level)) & 511n;
        const entry = this.#memory.read64(table + index * 8n) ?? 0n;
        if (entry !== said) {
          return [
            `entry of level ${level} for ${hex(frame << 12n)}: the kernel ${hex(said)}, memory ${hex(entry)}`,
          ];
        }
        table = entry & PAGE;
      }
      return [];
    });
  }
}

/** Where a unit's tables, walked out of memory, are not what the kernel's dump of them says. */
export const compareTables = (unit: RemappingUnit, memory: PhysicalMemory, dump: Dump): string[] =>
  new TableComparison(unit, memory, dump).run();

/** How many leaves the kernel has shown. */
export const leavesIn = ({ tables }: Dump): number =>
  tables.reduce((sum, { leaves }) => sum + leaves.length, 0);
