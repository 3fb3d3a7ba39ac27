import { parsePciAddress } from "../../src/hardware/pci/index.ts";
import type { LinuxGuest } from "./linux-guest.ts";

/** A device's entries, as the kernel shows them. */
export interface DumpedDevice {
  /** Requester ID. */
  readonly source: number;
  /** -1 in legacy mode. */
  readonly pasid: number;
  readonly root: readonly bigint[];
  readonly context: readonly bigint[];
  /** The first three quadwords. */
  readonly pasidEntry: readonly bigint[];
}

/** A leaf, with every entry on the way to it. */
export interface DumpedLeaf {
  readonly frame: bigint;
  /** Level 4 (of 5) first; 0 where there is none. */
  readonly entries: readonly bigint[];
}

/** What a device's requests find in page tables. */
export interface DumpedTable {
  readonly source: number;
  readonly pasid: number;
  readonly root: bigint;
  readonly leaves: readonly DumpedLeaf[];
}

/** What the kernel says that its tables are. */
export interface Dump {
  readonly root: bigint | undefined;
  readonly devices: readonly DumpedDevice[];
  readonly tables: readonly DumpedTable[];
}

const FOLDER = "/sys/kernel/debug/iommu/intel";

/** One file a device and PASID; before Linux 6.6 one for all. */
const TABLES =
  `cd ${FOLDER}; for f in domain_translation_struct */domain_translation_struct */*/domain_translation_struct; ` +
  "do test -e $f && cat $f; done; true";

/** The quadwords of `high:…:low`, the lowest first. */
const quadwords = (text: string): bigint[] => text.split(":").reverse().map(BigInt);

const sourceOf = (bdf: string): number => parsePciAddress(bdf).requesterId;

const DEVICE = /^(\S+\.\d)\t(\S+)\t(\S+)\t(-?\d+) *\t(\S+)$/;

const parseDevices = (text: string): DumpedDevice[] =>
  text.split("\n").flatMap((line) => {
    const [, bdf, root, context, pasid, entry] = DEVICE.exec(line) ?? [];
    if (bdf === undefined) return [];
    return [
      {
        source: sourceOf(bdf),
        pasid: Number(pasid),
        root: quadwords(root!),
        context: quadwords(context!),
        pasidEntry: quadwords(entry!),
      },
    ];
  });

const TABLE = /^Device (\S+)(?: with pasid ([0-9a-f]+))? @(0x[0-9a-f]+)$/;
const LEAF = /^(0x[0-9a-f]+) \|\t(\S+)\t(\S+)\t(\S+)\t(\S+)\t(\S+)$/;

const parseTables = (text: string): DumpedTable[] => {
  const tables: (DumpedTable & { leaves: DumpedLeaf[] })[] = [];
  for (const line of text.split("\n")) {
    const [, bdf, pasid, root] = TABLE.exec(line) ?? [];
    if (bdf !== undefined) {
      const number = pasid === undefined ? -1 : Number.parseInt(pasid, 16);
      tables.push({ source: sourceOf(bdf), pasid: number, root: BigInt(root!), leaves: [] });
    }
    const [, frame, ...entries] = LEAF.exec(line) ?? [];
    if (frame !== undefined) {
      tables.at(-1)!.leaves.push({ frame: BigInt(frame), entries: entries.map(BigInt) });
    }
  }
  return tables;
};

/** Asks the kernel for its own dump of its tables. */
export const readDump = async (guest: LinuxGuest): Promise<Dump> => {
  const structures = await guest.run(`cat ${FOLDER}/dmar_translation_struct`);
  const root = /Root Table Address: (0x[0-9a-f]+)/.exec(structures)?.[1];
  return {
    root: root === undefined ? undefined : BigInt(root),
    devices: parseDevices(structures),
    tables: parseTables(await guest.run(TABLES)),
  };
};
