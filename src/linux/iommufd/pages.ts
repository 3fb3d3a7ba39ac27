import { DONE, fail, type Outcome } from "../errno.ts";
import type { Frames } from "../mm/frames.ts";
import { FrameRuns, type RunVisitor } from "./frame-runs.ts";
import type { PageSource, PinAccount } from "./page-source.ts";

/** Pages that the same count of users have. */
interface Coverage {
  readonly first: number;
  readonly end: number;
  readonly users: number;
}

const NOTHING: readonly Coverage[] = [];

/**
 * Memory that has been mapped into I/O address spaces: pages that are pinned
 * once however many domains and accesses use them, and unpinned when the last
 * one has left. Areas share one of these when a mapping is copied.
 */
export class Pages {
  readonly source: PageSource;
  readonly count: number;
  /** Whether hardware may be allowed to write; decides how the pages are pinned. */
  readonly writable: boolean;
  readonly #frames: Frames;
  account: PinAccount;
  /** Areas that use this. */
  #areas = 0;
  /** Absent until something is pinned: most mappings of a client without devices never are. */
  #runs: FrameRuns | undefined;
  #coverage: readonly Coverage[] = NOTHING;
  #pinned = 0;

  constructor(
    frames: Frames,
    source: PageSource,
    count: number,
    writable: boolean,
    account: PinAccount,
  ) {
    this.#frames = frames;
    this.source = source;
    this.count = count;
    this.writable = writable;
    this.account = account;
  }

  /** Pages that are pinned now. */
  get pinned(): number {
    return this.#pinned;
  }

  /** Adds an area that uses these pages. */
  get(): this {
    this.#areas += 1;
    return this;
  }

  /** Takes an area off; the last one lets go of the memory. @throws Error when something is still pinned: a bug of ours */
  put(): void {
    this.#areas -= 1;
    if (this.#areas > 0) return;
    if (this.#areas < 0 || this.#pinned !== 0) throw new Error("pages go while they are in use");
    this.source.release();
  }

  /**
   * Adds a user to `count` pages from `first`, pinning those that had none.
   *
   * @returns EFAULT or EINVAL where a page cannot be pinned, ENOMEM over the limit; nothing is pinned then
   */
  acquire(first: number, count: number): Outcome<undefined> {
    const holes = this.#holes(first, first + count);
    const errno = this.#pinAll(holes);
    if (errno !== undefined) return fail(errno);
    this.#addUsers(first, first + count, 1);
    return DONE;
  }

  /** Takes a user off `count` pages from `first`, unpinning those that have none left. */
  release(first: number, count: number): void {
    for (const { first: from, end } of this.#addUsers(first, first + count, -1)) {
      this.#unpin(from, end);
      this.account.uncharge(end - from);
    }
  }

  /** Visits frames of pages that are pinned, in runs. */
  forEachRun(first: number, count: number, visit: RunVisitor): void {
    this.#runs?.forEach(first, count, visit);
  }

  /** The frame of a pinned page; -1 when it is not pinned. */
  frameOf(index: number): number {
    return this.#runs?.frameOf(index) ?? -1;
  }

  /**
   * Copies bytes from or to the pages, pinning for so long what is not pinned;
   * nobody pays for that.
   *
   * @param byte where in the pages
   */
  copy(byte: bigint, bytes: Uint8Array, write: boolean): Outcome<undefined> {
    const { memory } = this.#frames;
    let index = Number(byte >> 12n);
    let offset = Number(byte & 0xfffn);
    for (let done = 0; done < bytes.length; index++, offset = 0) {
      const count = Math.min(4096 - offset, bytes.length - done);
      let frame = this.frameOf(index);
      const held = frame >= 0;
      if (!held) {
        const errno = this.source.pin(index, 1, write, (pinned) => {
          frame = pinned;
        });
        if (errno !== undefined) return fail(errno);
      }
      memory.copyInFrame(frame, offset, bytes, done, count, write);
      if (!held) this.#frames.unpin(frame);
      done += count;
    }
    return DONE;
  }

  /** Counts what is pinned against `account` from now on. @returns whether that is within its limit */
  charge(account: PinAccount): boolean {
    return account.charge(this.#pinned);
  }

  #pinAll(holes: readonly Coverage[]): "EFAULT" | "EINVAL" | "ENOMEM" | undefined {
    let errno: "EFAULT" | "EINVAL" | "ENOMEM" | undefined;
    let pinned = 0;
    const done: Coverage[] = [];
    this.#runs ??= new FrameRuns();
    const runs = this.#runs;
    for (const { first, end } of holes) {
      let at = first;
      errno = this.source.pin(first, end - first, this.writable, (frame) => {
        runs.add(at, frame);
        at += 1;
      });
      this.#pinned += at - first;
      pinned += at - first;
      done.push({ first, end: at, users: 0 });
      if (errno !== undefined) break;
    }
    if (errno === undefined && !this.account.charge(pinned)) errno = "ENOMEM";
    if (errno !== undefined) for (const { first, end } of done) this.#unpin(first, end);
    return errno;
  }

  #unpin(first: number, end: number): void {
    this.#runs?.forEach(first, end - first, (_, frame, count) => {
      for (let i = 0; i < count; i++) this.#frames.unpin(frame + i);
    });
    this.#runs?.remove(first, end - first);
    this.#pinned -= end - first;
  }

  /** The parts of a range that nobody uses. */
  #holes(first: number, end: number): readonly Coverage[] {
    const holes: Coverage[] = [];
    let at = first;
    for (const { first: from, end: to } of this.#coverage) {
      if (to <= at || from >= end) continue;
      if (from > at) holes.push({ first: at, end: from, users: 0 });
      at = to;
    }
    if (at < end) holes.push({ first: at, end, users: 0 });
    return holes;
  }

  /** Adds `change` to the users of a range; returns the parts that nobody uses any more. */
  #addUsers(first: number, end: number, change: number): readonly Coverage[] {
    const [only] = this.#coverage;
    if (only === undefined && change > 0) {
      this.#coverage = [{ first, end, users: change }];
      return [];
    }
    if (this.#coverage.length === 1 && only?.first === first && only.end === end) {
      const users = only.users + change;
      this.#coverage = users === 0 ? NOTHING : [{ first, end, users }];
      return users === 0 ? [only] : [];
    }
    const points = new Set([first, end]);
    for (const part of this.#coverage) points.add(part.first).add(part.end);
    const sorted = [...points].sort((a, b) => a - b);
    const next: Coverage[] = [];
    const left: Coverage[] = [];
    let at = 0;
    for (let i = 0; i + 1 < sorted.length; i++) {
      const from = sorted[i]!;
      const to = sorted[i + 1]!;
      while (at < this.#coverage.length && this.#coverage[at]!.end <= from) at++;
      const part = this.#coverage[at];
      const before = part !== undefined && part.first <= from ? part.users : 0;
      const inside = from >= first && to <= end;
      const users = before + (inside ? change : 0);
      if (users < 0) throw new Error("pages are released that nobody uses");
      if (users === 0 && inside && change < 0) left.push({ first: from, end: to, users });
      const previous = next.at(-1);
      if (users === 0) continue;
      if (previous?.end === from && previous.users === users) {
        next[next.length - 1] = { first: previous.first, end: to, users };
      } else next.push({ first: from, end: to, users });
    }
    this.#coverage = next;
    return left;
  }
}
