import { alignDown, alignUp, lowMask } from "../../bits/log2.ts";
import { PROT_READ, PROT_WRITE } from "../../page-table/format.ts";
import { fail, type Outcome, ok } from "../errno.ts";
import type { DmaDomain } from "./dma-domain.ts";
import {
  type DmaSegment,
  joinSegments,
  layOut,
  type MemorySegment,
  type SegmentLimits,
} from "./scatter-list.ts";

/** Which way data goes, seen from memory. */
export type DmaDirection = "to-device" | "from-device" | "both";

const PROTS: Readonly<Record<DmaDirection, number>> = {
  "to-device": PROT_READ,
  "from-device": PROT_WRITE,
  both: PROT_READ | PROT_WRITE,
};

/** A scatter list that a device may reach. */
export interface ScatterMapping {
  readonly segments: readonly DmaSegment[];
  /** What of the addresses is mapped: whole pages. */
  readonly runs: readonly { readonly iova: bigint; readonly length: bigint }[];
  readonly address: bigint;
  /** Pages of addresses, those that nothing is mapped at with them. */
  readonly pages: number;
}

/** Memory as a driver gives it to its device. */
export interface DmaApi {
  /** log2 of the addresses that the device can use; 32 until a driver says more. */
  addressLg2: number;
  limits: SegmentLimits;
  /** Lets the device reach memory. @returns the address for it; ENOMEM, and what the domain's `map` returns */
  map(pa: bigint, length: bigint, direction: DmaDirection): Outcome<bigint>;
  /** Ends what `map` began. */
  unmap(address: bigint, length: bigint): void;
  /** @returns EINVAL for an empty list; as `map`, and nothing is mapped then */
  mapScatterList(list: readonly MemorySegment[], direction: DmaDirection): Outcome<ScatterMapping>;
  unmapScatterList(mapping: ScatterMapping): void;
}

const LIMITS: SegmentLimits = { maxLength: 0x1_0000n, boundaryLg2: 32 };
const LAST_OF_32 = lowMask(32);

/** The DMA of one device whose requests are translated. */
export class DmaDevice implements DmaApi {
  readonly name: string;
  addressLg2 = 32;
  limits: SegmentLimits = LIMITS;
  readonly #domain: DmaDomain;
  readonly #log: (line: string) => void;
  #tryNarrow = true;

  constructor(name: string, domain: DmaDomain, log: (line: string) => void) {
    this.name = name;
    this.#domain = domain;
    this.#log = log;
  }

  /** Many devices that claim more are wrong about it: addresses of 32 bits come first, while there are some. */
  #allocate(pages: number): bigint | undefined {
    const { iovas, aperture } = this.#domain;
    const reach = lowMask(this.addressLg2);
    const limit = reach < aperture.last ? reach : aperture.last;
    if (limit > LAST_OF_32 && this.#tryNarrow) {
      const narrow = iovas.allocate(pages, LAST_OF_32, false);
      if (narrow !== undefined) return narrow;
      this.#tryNarrow = false;
      this.#log(`${this.name}: Using ${this.addressLg2}-bit DMA addresses`);
    }
    return iovas.allocate(pages, limit, true);
  }

  #pages(length: bigint): number {
    return Number(length >> BigInt(this.#domain.pageLg2));
  }

  map(pa: bigint, length: bigint, direction: DmaDirection): Outcome<bigint> {
    if (length <= 0n) return fail("EINVAL");
    const { pageLg2, iovas } = this.#domain;
    const start = alignDown(pa, pageLg2);
    const size = alignUp(pa + length, pageLg2) - start;
    const iova = this.#allocate(this.#pages(size));
    if (iova === undefined) return fail("ENOMEM");
    const mapped = this.#domain.map([{ iova, pa: start, length: size }], PROTS[direction]);
    if (mapped.ok) return ok(iova + (pa - start));
    iovas.free(iova, this.#pages(size));
    return mapped;
  }

  unmap(address: bigint, length: bigint): void {
    const { pageLg2 } = this.#domain;
    const iova = alignDown(address, pageLg2);
    const size = alignUp(address + length, pageLg2) - iova;
    this.#domain.unmap([{ iova, length: size }], iova, this.#pages(size));
  }

  mapScatterList(list: readonly MemorySegment[], direction: DmaDirection): Outcome<ScatterMapping> {
    if (list.length === 0 || list.some(({ length }) => length <= 0n)) return fail("EINVAL");
    const { pageLg2, iovas } = this.#domain;
    const layout = layOut(list, pageLg2, this.limits);
    const pages = this.#pages(layout.length);
    const address = this.#allocate(pages);
    if (address === undefined) return fail("ENOMEM");
    const runs = layout.segments.map(({ pa, offset, pageLength }) => ({
      iova: address + offset,
      pa: alignDown(pa, pageLg2),
      length: pageLength,
    }));
    const mapped = this.#domain.map(runs, PROTS[direction]);
    if (!mapped.ok) {
      iovas.free(address, pages);
      return mapped;
    }
    const segments = joinSegments(layout, address, pageLg2, this.limits);
    return ok({ segments, runs: withoutSeams(runs), address, pages });
  }

  unmapScatterList({ runs, address, pages }: ScatterMapping): void {
    this.#domain.unmap(runs, address, pages);
  }
}

/** Runs that follow each other without a hole, as one. */
const withoutSeams = (
  runs: readonly { readonly iova: bigint; readonly length: bigint }[],
): readonly { readonly iova: bigint; readonly length: bigint }[] => {
  const whole: { readonly iova: bigint; length: bigint }[] = [];
  for (const { iova, length } of runs) {
    const last = whole.at(-1);
    if (last !== undefined && last.iova + last.length === iova) last.length += length;
    else whole.push({ iova, length });
  }
  return whole;
};
