import { PCI_REQUEST, UNTRANSLATED } from "../hardware/pci/index.ts";
import type { Clock } from "../hardware/platform/index.ts";
import { DMA_FLUSHED, DMA_MAPPED, DMA_UNMAPPED } from "../linux/dma/index.ts";
import type { EventType, TraceChannel } from "../trace/channel.ts";

/** A request that went through a mapping which had been taken away. */
export interface StaleAccess {
  /** Requester ID. */
  readonly source: number;
  /** What the device sent; with a translated request an address that it had cached. */
  readonly address: bigint;
  readonly translated: boolean;
  /** Nanoseconds since the unmap. */
  readonly age: bigint;
  /** Whether hardware had been told meanwhile: then somebody is at fault, and not the mode. */
  readonly flushed: boolean;
}

/** How long hardware could use what had been unmapped. */
export interface StaleWindows {
  /** Mappings that have ended. */
  readonly count: number;
  /** Pages that hardware may still use. */
  readonly openPages: number;
  /** Nanoseconds from an unmap to its flush, the longest there was. */
  readonly longest: bigint;
  readonly accesses: readonly StaleAccess[];
}

interface Page {
  /** Physical page. */
  readonly pfn: bigint;
  endedAt: bigint | undefined;
  flushed: boolean;
}

/** The pages of one DMA domain, by I/O page; those that have ended stay until something is mapped there again. */
class WatchedDomain {
  readonly pages: Map<bigint, Page> = new Map();
  /** Ended pages of which hardware has not heard. */
  readonly open: Set<Page> = new Set();

  /** The page that a request uses, if it has ended. */
  stalePage(address: bigint, translated: boolean): Page | undefined {
    const at = address >> 12n;
    if (!translated) {
      const page = this.pages.get(at);
      return page?.endedAt === undefined ? undefined : page;
    }
    const same = [...this.pages.values()].filter(({ pfn }) => pfn === at);
    return same.every(({ endedAt }) => endedAt !== undefined) ? same.at(-1) : undefined;
  }
}

/**
 * Looks at every DMA and every mapping of a machine, and keeps a list of those
 * requests that got through by a mapping which had ended. It remembers every page
 * that was ever mapped: for tests and demonstrations.
 */
export class StaleDmaWatch {
  readonly #clock: Clock;
  readonly #domainOf: (source: number) => string | undefined;
  readonly #domains = new Map<string, WatchedDomain>();
  readonly #accesses: StaleAccess[] = [];
  readonly #stop: readonly (() => void)[];
  #count = 0;
  #longest = 0n;

  /** @param domainOf the DMA domain of a requester, as events name it */
  constructor(trace: TraceChannel, clock: Clock, domainOf: (source: number) => string | undefined) {
    this.#clock = clock;
    this.#domainOf = domainOf;
    const on = <Payload>(type: EventType<Payload>, heard: (payload: Payload) => void) =>
      trace.listen(type.name, ({ payload }) => heard(payload as Payload));
    this.#stop = [
      on(DMA_MAPPED, ({ domain, iova, pa, length }) => {
        const { pages } = this.#domain(domain);
        for (let at = 0n; at < length; at += 4096n) {
          const page = { pfn: (pa + at) >> 12n, endedAt: undefined, flushed: false };
          pages.set((iova + at) >> 12n, page);
        }
      }),
      on(DMA_UNMAPPED, ({ domain, iova, length }) => this.#unmapped(domain, iova, length)),
      on(DMA_FLUSHED, ({ domain }) => this.#flushed(domain)),
      on(PCI_REQUEST, ({ source, address, length, physical, addressType }) => {
        if (physical !== undefined) {
          this.#accessed(source, address, length, addressType !== UNTRANSLATED);
        }
      }),
    ];
  }

  #domain(name: string): WatchedDomain {
    const domain = this.#domains.get(name) ?? new WatchedDomain();
    this.#domains.set(name, domain);
    return domain;
  }

  #unmapped(name: string, iova: bigint, length: bigint): void {
    const { pages, open } = this.#domain(name);
    this.#count += 1;
    for (let at = 0n; at < length; at += 4096n) {
      const page = pages.get((iova + at) >> 12n);
      if (page === undefined) continue;
      page.endedAt = this.#clock.now();
      open.add(page);
    }
  }

  #flushed(name: string): void {
    const { open } = this.#domain(name);
    for (const page of open) {
      page.flushed = true;
      const window = this.#clock.now() - page.endedAt!;
      if (window > this.#longest) this.#longest = window;
    }
    open.clear();
  }

  #accessed(source: number, address: bigint, length: number, translated: boolean): void {
    const name = this.#domainOf(source);
    if (name === undefined) return;
    const domain = this.#domain(name);
    for (let at = address & ~0xfffn; at < address + BigInt(length); at += 4096n) {
      const page = domain.stalePage(at, translated);
      if (page === undefined) continue;
      const age = this.#clock.now() - page.endedAt!;
      this.#accesses.push({ source, address, translated, age, flushed: page.flushed });
      return;
    }
  }

  /** What has been seen so far. */
  get windows(): StaleWindows {
    const open = [...this.#domains.values()];
    return {
      count: this.#count,
      openPages: open.reduce((total, domain) => total + domain.open.size, 0),
      longest: this.#longest,
      accesses: this.#accesses,
    };
  }

  /** Looks no longer. */
  stop(): void {
    for (const each of this.#stop) each();
  }
}
