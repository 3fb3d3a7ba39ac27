import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { AddressSpace } from "./address-space.ts";
import type { Frames } from "./frames.ts";
import { type Mapping, MappingList, PROT_READ, PROT_WRITE } from "./mapping.ts";
import { ABSENT, PageMap } from "./page-map.ts";
import type { SharedFile } from "./shared-file.ts";

/** The first page that `map` chooses by itself, and the end of what a process can address. */
const FIRST_PAGE = 0x10000;
const END_PAGE = 2 ** 35;

/** What is to be mapped. */
export interface MapRequest {
  /** In bytes; rounded up to whole pages. */
  readonly length: bigint;
  /** Where; the lowest hole that is large enough when absent. Whatever is there goes. */
  readonly address?: bigint;
  /** `PROT_READ`, `PROT_WRITE`; both when absent. */
  readonly prot?: number;
  readonly shared?: boolean;
  /** A file whose pages are memory; anonymous memory when absent. */
  readonly file?: SharedFile;
  /** In bytes, a multiple of a page. */
  readonly offset?: bigint;
  /** log2 of the pages that lie side by side in memory: 9 for 2 MiB, 18 for 1 GiB. */
  readonly hugeLg2?: number;
  /** Registers of a device: nothing of it can be pinned, read or written here. */
  readonly device?: boolean;
}

/** Called before pages of an address space change or go. Pages are addresses divided by 4096. */
export type MmNotifier = (startPage: number, endPage: number) => void;

const isWrong = (request: MapRequest, pages: number): boolean => {
  const { address = 0n, offset = 0n, length, file, hugeLg2 = file?.hugeLg2 ?? 0 } = request;
  const unit = 4096n << BigInt(hugeLg2);
  if (length <= 0n || pages % 2 ** hugeLg2 !== 0) return true;
  return address % unit !== 0n || offset % unit !== 0n || address + length > 1n << 47n;
};

/**
 * The memory of a process: what is mapped where, and which frames the pages
 * are in. Pages come into being when they are first used. After a fork both
 * processes have the same frames until one of them writes; a page that is
 * pinned stays with the parent, and the child has a copy from the start, so
 * that hardware and the process that asked for the pin see the same memory.
 */
export class Mm implements AddressSpace {
  readonly #frames: Frames;
  readonly #mappings = new MappingList();
  readonly #pages = new PageMap();
  readonly #notifiers = new Set<MmNotifier>();
  #alive = true;
  lockedVm = 0;
  pinnedVm = 0;

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** What is mapped, by address. */
  get mappings(): readonly Mapping[] {
    return this.#mappings.all;
  }

  /** Hears of changes until the function it returns is called. */
  subscribe(notifier: MmNotifier): () => void {
    this.#notifiers.add(notifier);
    return () => this.#notifiers.delete(notifier);
  }

  #notify(startPage: number, endPage: number): void {
    for (const notifier of this.#notifiers) notifier(startPage, endPage);
  }

  /** @returns the address; EINVAL when length, address or offset do not fit the pages, ENOMEM without room */
  map(request: MapRequest): Outcome<bigint> {
    const { file, shared = false, device = false, prot = PROT_READ | PROT_WRITE } = request;
    const hugeLg2 = request.hugeLg2 ?? file?.hugeLg2 ?? 0;
    const pages = Math.ceil(Number(request.length) / 4096 / 2 ** hugeLg2) * 2 ** hugeLg2;
    if (isWrong(request, pages)) return fail("EINVAL");
    const startPage =
      request.address === undefined
        ? this.#mappings.hole(FIRST_PAGE, pages, hugeLg2)
        : Number(request.address >> 12n);
    const endPage = startPage + pages;
    if (endPage > END_PAGE) return fail("ENOMEM");
    this.#remove(startPage, endPage);
    this.#mappings.add({
      startPage,
      endPage,
      prot,
      shared,
      ...(file === undefined ? {} : { file: file.get() }),
      filePage: Number((request.offset ?? 0n) >> 12n),
      device,
      hugeLg2,
    });
    return ok(BigInt(startPage) << 12n);
  }

  /** @param length in bytes; what is not mapped in the range is passed over. EINVAL when it is not whole pages */
  unmap(address: bigint, length: bigint): Outcome<undefined> {
    if (length <= 0n || address % 4096n !== 0n) return fail("EINVAL");
    this.#remove(Number(address >> 12n), Number((address + length + 4095n) >> 12n));
    return DONE;
  }

  #remove(startPage: number, endPage: number): void {
    const removed = this.#mappings.remove(startPage, endPage);
    if (removed.length === 0) return;
    this.#notify(startPage, endPage);
    this.#pages.clear(startPage, endPage, (frame) => this.#frames.put(frame));
    for (const { file } of removed) file?.put();
  }

  /** Changes what may be done with the pages of a range that is mapped. @returns ENOMEM when part of it is not */
  protect(address: bigint, length: bigint, prot: number): Outcome<undefined> {
    const startPage = Number(address >> 12n);
    const endPage = Number((address + length + 4095n) >> 12n);
    for (let page = startPage; page < endPage; ) {
      const mapping = this.#mappings.at(page);
      if (mapping === undefined) return fail("ENOMEM");
      page = mapping.endPage;
    }
    this.#notify(startPage, endPage);
    for (const part of this.#mappings.remove(startPage, endPage)) {
      this.#mappings.add({ ...part, prot });
    }
    return DONE;
  }

  read(address: bigint, into: Uint8Array): boolean {
    return this.#copy(address, into, false);
  }

  write(address: bigint, from: Uint8Array): boolean {
    return this.#copy(address, from, true);
  }

  #copy(address: bigint, bytes: Uint8Array, write: boolean): boolean {
    if (address < 0n || address + BigInt(bytes.length) > 1n << 47n) return false;
    let page = Number(address >> 12n);
    let offset = Number(address & 0xfffn);
    for (let done = 0; done < bytes.length; page++, offset = 0) {
      const count = Math.min(4096 - offset, bytes.length - done);
      const frame = this.#fault(page, write, false);
      if (frame === ABSENT) return false;
      if (!this.#frames.memory.copyInFrame(frame, offset, bytes, done, count, write)) return false;
      done += count;
    }
    return true;
  }

  pin(page: number, count: number, write: boolean, pfns: Float64Array): number {
    if (!this.#alive) return 0;
    for (let i = 0; i < count; i++) {
      const frame = this.#fault(page + i, write, true);
      if (frame === ABSENT || !this.#frames.pin(frame)) return i;
      pfns[i] = frame;
    }
    return count;
  }

  /** The frame of a page as it is now, for tests and `inspect`: makes nothing. `ABSENT` when there is none. */
  frameOf(page: number): number {
    const own = this.#pages.frame(page);
    if (own !== ABSENT) return own;
    const mapping = this.#mappings.at(page);
    const index = mapping === undefined ? 0 : mapping.filePage + page - mapping.startPage;
    if (mapping?.file === undefined || !mapping.file.has(index)) return ABSENT;
    const frame = mapping.file.page(index);
    return frame.ok ? frame.value : ABSENT;
  }

  /** The frame for an access, as a page fault makes it; `ABSENT` where it would be refused. */
  #fault(page: number, write: boolean, pin: boolean): number {
    const mapping = this.#mappings.at(page);
    if (mapping === undefined || mapping.device) return ABSENT;
    if ((mapping.prot & (write ? PROT_WRITE : PROT_READ)) === 0) return ABSENT;
    const known = this.#pages.frame(page);
    if (known !== ABSENT) {
      return (write || pin) && !this.#pages.isExclusive(page) ? this.#unshare(page, known) : known;
    }
    if (mapping.file === undefined) return this.#fill(mapping, page);
    const source = mapping.file.page(mapping.filePage + page - mapping.startPage);
    if (!source.ok) return ABSENT;
    if (mapping.shared || !(write || pin)) return source.value;
    this.#frames.get(source.value);
    return this.#unshare(page, source.value);
  }

  /** Makes an anonymous page, with those beside it that come together with it. */
  #fill(mapping: Mapping, page: number): number {
    const order = mapping.hugeLg2;
    const first = page - (page % 2 ** order);
    const block = this.#frames.allocateBlock(order);
    if (block === undefined) return ABSENT;
    for (let i = 0; i < 2 ** order; i++) this.#pages.set(first + i, block + i, true);
    return block + page - first;
  }

  /** Gives a page a frame of its own with the same bytes, and drops the reference to `shared`. */
  #unshare(page: number, shared: number): number {
    if (this.#frames.references(shared) === 1 && this.#frames.pins(shared) === 0) {
      this.#pages.set(page, shared, true);
      return shared;
    }
    const own = this.#frames.allocateBlock();
    if (own === undefined) {
      // A file's page had its reference for this purpose only.
      if (this.#pages.frame(page) === ABSENT) this.#frames.put(shared);
      return ABSENT;
    }
    this.#notify(page, page + 1);
    this.#frames.copy(shared, own);
    this.#frames.put(shared);
    this.#pages.set(page, own, true);
    return own;
  }

  /** The memory of a child. @returns ENOMEM when a pinned page could not be copied */
  fork(): Outcome<Mm> {
    const child = new Mm(this.#frames);
    let failed = false;
    this.#notify(0, END_PAGE);
    for (const mapping of this.#mappings.all) {
      mapping.file?.get();
      child.#mappings.add(mapping);
    }
    this.#pages.forEach((page, frame) => {
      if (failed) return;
      if (this.#frames.pins(frame) === 0) {
        this.#frames.get(frame);
        this.#pages.set(page, frame, false);
        child.#pages.set(page, frame, false);
        return;
      }
      const copy = this.#frames.allocateBlock();
      if (copy === undefined) {
        failed = true;
        return;
      }
      this.#frames.copy(frame, copy);
      child.#pages.set(page, copy, true);
    });
    if (!failed) return ok(child);
    child.exit();
    return fail("ENOMEM");
  }

  /** The process has ended: nothing of its memory is left but what is pinned. */
  exit(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#notify(0, END_PAGE);
    this.#notifiers.clear();
    this.#pages.clear(0, END_PAGE, (frame) => this.#frames.put(frame));
    for (const { file } of this.#mappings.remove(0, END_PAGE)) file?.put();
  }
}
