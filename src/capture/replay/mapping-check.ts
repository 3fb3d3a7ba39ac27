import { fromHalves, highHalf, lowHalf } from "../../bits/halves.ts";
import { hex } from "../../bits/hex.ts";
import { DmaRequest, NO_PASID, READ, WRITE } from "../../hardware/pci/dma-request.ts";
import { parsePciAddress } from "../../hardware/pci/requester-id.ts";
import { ENTRY_READ } from "../../hardware/vtd/events.ts";
import type { TranslationUnit } from "../../hardware/vtd/unit.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { ListedMapping } from "./listed-entries.ts";

/** A mapping of the list that requests do not find as it says. */
export interface MappingDifference {
  readonly kind: "mapping" | "entry";
  readonly what: string;
  readonly recorded: string;
  readonly replayed: string;
}

/** What came of translating a list. */
export interface MappingCheck {
  readonly differences: readonly MappingDifference[];
  /** How many requests the warm unit answers as before, not as the tables say now. */
  readonly stale: number;
}

const request = new DmaRequest();

/** What a request for one page gets: its physical address, or the fault. */
const answer = (unit: TranslationUnit, source: number, iova: bigint, access: number): string => {
  request.source = source;
  request.pasid = NO_PASID;
  request.hi = highHalf(iova);
  request.lo = lowHalf(iova);
  request.length = 1;
  request.access = access;
  if (unit.translate(request)) return hex(fromHalves(request.outHi, request.outLo));
  return `fault ${hex(request.fault?.code ?? 0)}`;
};

/** What the list says a request gets; a refusal has no code there. */
const wanted = ({ pa, perms }: ListedMapping, access: number, beyond: bigint): string =>
  perms.includes(access === READ ? "r" : "w") ? hex(pa + beyond) : "fault";

const agrees = (got: string, want: string): boolean =>
  want === "fault" ? got.startsWith("fault") : got === want;

/** The entry that ended a translation, as the moment has it: the units set flags in their own memory. */
class LastEntry {
  #address: bigint | undefined;
  readonly #stop: () => void;

  constructor(unit: TranslationUnit) {
    this.#stop = unit.trace.listen(ENTRY_READ.name, ({ payload }) => {
      this.#address = (payload as { readonly address: bigint }).address;
    });
  }

  forget(): void {
    this.#address = undefined;
  }

  in(memory: PhysicalMemory): bigint | undefined {
    return this.#address === undefined ? undefined : memory.read64(this.#address);
  }

  close(): void {
    this.#stop();
  }
}

/**
 * Asks units for the first and the last page of every mapping of a list, for
 * reading and for writing.
 *
 * `cold` reads the tables for every request and must find what the list says;
 * `warm` has cached the moments before and heard of every invalidation since.
 *
 * @param gone the list of the moment before, of which only staleness is asked
 * @param memory the moment's, as it was recorded
 */
export const checkMappings = (
  { cold, warm }: { readonly cold: TranslationUnit; readonly warm: TranslationUnit },
  list: readonly ListedMapping[],
  gone: readonly ListedMapping[],
  memory: PhysicalMemory,
): MappingCheck => {
  const differences: MappingDifference[] = [];
  const leaf = new LastEntry(cold);
  let stale = 0;
  for (const mapping of list.filter(isWithoutPasid)) {
    const { bdf, raw } = mapping;
    const source = parsePciAddress(bdf).requesterId;
    for (const [iova, beyond, access] of probesOf(mapping)) {
      const what = `${bdf} ${access === READ ? "reads" : "writes"} ${hex(iova)}`;
      const want = wanted(mapping, access, beyond);
      leaf.forget();
      const got = answer(cold, source, iova, access);
      if (!agrees(got, want)) {
        differences.push({ kind: "mapping", what, recorded: want, replayed: got });
      } else if (raw !== undefined && beyond === 0n && leaf.in(memory) !== raw) {
        const replayed = hex(leaf.in(memory) ?? 0n);
        const entry = `leaf entry of ${bdf} ${hex(iova)}`;
        differences.push({ kind: "entry", what: entry, recorded: hex(raw), replayed });
      }
      if (answer(warm, source, iova, access) !== got) stale++;
    }
  }
  leaf.close();
  for (const mapping of gone.filter(isWithoutPasid)) {
    const source = parsePciAddress(mapping.bdf).requesterId;
    for (const [iova, , access] of probesOf(mapping)) {
      if (answer(warm, source, iova, access) !== answer(cold, source, iova, access)) stale++;
    }
  }
  return { differences, stale };
};

/** Lists write the requester ID's own PASID, 0; no device of a recording uses another. */
const isWithoutPasid = ({ pasid }: ListedMapping): boolean => pasid === null || pasid === 0;

/** The first and the last page of a mapping, for reading and for writing. */
const probesOf = ({
  iova,
  size,
}: ListedMapping): [iova: bigint, beyond: bigint, access: number][] => {
  const last = size > 4096n ? size - 4096n : 0n;
  return (last === 0n ? [0n] : [0n, last]).flatMap((beyond) =>
    [READ, WRITE].map((access): [bigint, bigint, number] => [
      BigInt.asUintN(64, iova + beyond),
      beyond,
      access,
    ]),
  );
};
