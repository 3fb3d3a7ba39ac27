import { trailingZeros } from "../../bits/log2.ts";
import type { Range } from "../../bits/range.ts";
import type { Clock } from "../../hardware/platform/index.ts";
import type { TraceChannel } from "../../trace/channel.ts";
import { DONE, fail, type Outcome } from "../errno.ts";
import type { DeferredUnmap, PagingDomain } from "../iommu/index.ts";
import { DMA_FLUSHED, DMA_MAPPED, DMA_UNMAPPED } from "./events.ts";
import { FlushQueue } from "./flush-queue.ts";
import { IovaAllocator } from "./iova-allocator.ts";

/** When hardware hears of what has been unmapped: before the unmap is over, or later and for many at once. */
export type FlushMode = "strict" | "lazy";

/** What a DMA domain is made of. */
export interface DmaDomainOptions {
  /** What its events call it. */
  readonly name: string;
  readonly domain: PagingDomain;
  readonly mode: FlushMode;
  /** Ranges that its devices cannot use or have other uses for. */
  readonly reserved: readonly Range[];
  readonly clock: Clock;
  readonly trace: TraceChannel;
  readonly log: (line: string) => void;
}

/** A run of physical memory and where in a run of addresses it goes. */
export interface MappedRun {
  readonly iova: bigint;
  readonly pa: bigint;
  /** Bytes; like both addresses whole pages. */
  readonly length: bigint;
}

/** The addresses that the drivers of one group share, and the domain behind them. */
export class DmaDomain {
  readonly iovas: IovaAllocator;
  readonly queue: FlushQueue;
  readonly mode: FlushMode;
  /** log2 of the smallest page. */
  readonly pageLg2: number;
  readonly aperture: Range;
  readonly #options: DmaDomainOptions;

  private constructor(options: DmaDomainOptions, pageLg2: number) {
    const { domain, clock, reserved, name, trace } = options;
    this.#options = options;
    this.mode = options.mode;
    this.pageLg2 = pageLg2;
    this.aperture = domain.aperture;
    this.iovas = new IovaAllocator({ clock, pageLg2, aperture: domain.aperture, reserved });
    this.queue = new FlushQueue({
      clock,
      flush: () => {
        domain.deferral!.flush();
        trace.emit(DMA_FLUSHED, { domain: name });
      },
    });
  }

  /** @returns EINVAL when the domain's pages are larger than 4 KiB; EOPNOTSUPP when it cannot be lazy */
  static create(options: DmaDomainOptions): Outcome<DmaDomain> {
    if (options.mode === "lazy" && options.domain.deferral === undefined) return fail("EOPNOTSUPP");
    const pageLg2 = trailingZeros(options.domain.pageSizes);
    if (pageLg2 > 12) return fail("EINVAL");
    return { ok: true, value: new DmaDomain(options, pageLg2) };
  }

  /** Maps runs, all or none. @returns what the domain's `map` returns */
  map(runs: readonly MappedRun[], prot: number): Outcome<undefined> {
    const { domain, name, trace } = this.#options;
    for (const [i, { iova, pa, length }] of runs.entries()) {
      const outcome = domain.map(iova, pa, length, prot);
      if (!outcome.ok) {
        for (const done of runs.slice(0, i)) this.#unmapNow(done.iova, done.length);
        return outcome;
      }
      if (trace.enabled) trace.emit(DMA_MAPPED, { domain: name, iova, pa, length });
    }
    return DONE;
  }

  /** Unmaps runs, and gives `count` pages of addresses from `iova` back as soon as hardware has forgotten them. */
  unmap(runs: readonly Omit<MappedRun, "pa">[], iova: bigint, count: number): void {
    const free = (): void => this.iovas.free(iova, count);
    if (this.mode === "strict") {
      for (const run of runs) this.#unmapNow(run.iova, run.length);
      free();
      return;
    }
    const deferred = runs.map((run) => this.#unmapDeferred(run.iova, run.length));
    this.queue.add(() => {
      for (const { release } of deferred) release();
      free();
    });
  }

  #unmapNow(iova: bigint, length: bigint): void {
    this.#ended(iova, length, this.#options.domain.unmap(iova, length));
    const { name, trace } = this.#options;
    if (trace.enabled) trace.emit(DMA_FLUSHED, { domain: name });
  }

  #unmapDeferred(iova: bigint, length: bigint): DeferredUnmap {
    const { unmapped, release } = this.#options.domain.deferral!.unmap(iova, length);
    this.#ended(iova, length, unmapped);
    return { unmapped, release };
  }

  #ended(iova: bigint, length: bigint, unmapped: bigint): void {
    const { name, trace, log } = this.#options;
    if (unmapped !== length) log(`DMA-API: ${name}: ${unmapped} bytes unmapped of ${length}`);
    if (trace.enabled) trace.emit(DMA_UNMAPPED, { domain: name, iova, length });
  }

  /** Flushes what waits, and nothing rings afterwards. Every mapping must have gone; the domain behind it stays. */
  destroy(): void {
    this.queue.destroy();
    this.iovas.emptyCaches();
    this.iovas.destroy();
  }
}
