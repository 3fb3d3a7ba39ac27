import { frameAddress, frameHigh, frameLow } from "../../bits/halves.ts";
import { INDEX_LG2, PROT_READ, PROT_USER } from "../../page-table/format.ts";
import { VTD_SECOND_STAGE } from "../../page-table/formats/vtd-second-stage.ts";
import { X86_64 } from "../../page-table/formats/x86-64.ts";
import type { Capabilities } from "./capabilities.ts";
import { firstStageChecks, inInterruptRange, secondStageChecks } from "./entry-checks.ts";
import { LeafList, type ProblemKind } from "./enumerate-leaves.ts";
import type { Budget } from "./enumerate-limits.ts";
import {
  type StageEntries,
  TableVisit,
  type VisitParts,
  type VisitSink,
} from "./enumerate-tables.ts";
import { legacyCode } from "./legacy-codes.ts";
import { FIRST_STAGE, SECOND_STAGE, Target } from "./target.ts";

const FRAMES_OF_64_BITS = 2 ** 52;

/** Names the tables that a target uses: targets that use the same ones map the same. */
const keyOf = (target: Target): string => {
  const first = `${target.firstStagePfn}/${target.firstStageLevels}`;
  const second = `${target.secondStagePfn}/${target.secondStageLevels}`;
  if (target.type === FIRST_STAGE) return `1 ${first}`;
  return target.type === SECOND_STAGE ? `2 ${second}` : `3 ${first} ${second}`;
};

/** Where what is found goes: the list of the target at hand, its input sign-extended. */
class ListSink implements VisitSink {
  list: LeafList;
  /** log2 of the frames of a sign-extended input; 0 for one that is not. */
  canonicalLg2 = 0;

  constructor(list: LeafList) {
    this.list = list;
  }

  leaf(frame: number, out: number, framesLg2: number, prot: number): void {
    this.list.add(canonicalFrame(frame, this.canonicalLg2), out, framesLg2, prot);
  }

  problem(kind: ProblemKind, address: bigint, frame: number, framesLg2: number): void {
    this.list.addProblem(kind, address, canonicalFrame(frame, this.canonicalLg2), framesLg2);
  }
}

/**
 * Lists what page tables map, each set of tables once. Accessed and dirty flags
 * are neither looked at nor set.
 */
export class PageEnumerator {
  readonly #budget: Budget;
  readonly #guestAddressWidth: number;
  readonly #sink: ListSink;
  readonly #first: TableVisit;
  readonly #second: TableVisit;
  readonly #nested: NestedVisit;
  readonly #lists = new Map<string, LeafList>();

  constructor(capabilities: Capabilities, parts: VisitParts) {
    const first = { checks: firstStageChecks(capabilities), permissions: X86_64.permissions };
    const second = {
      checks: secondStageChecks(capabilities),
      permissions: VTD_SECOND_STAGE.permissions,
    };
    this.#budget = parts.budget;
    this.#guestAddressWidth = capabilities.guestAddressWidth;
    const sink = new ListSink(new LeafList(parts.budget));
    this.#sink = sink;
    this.#first = new TableVisit(first, parts, sink);
    this.#second = new TableVisit(second, parts, {
      leaf: (frame, out, framesLg2, prot) => sink.leaf(frame, out, framesLg2, prot & ~PROT_USER),
      problem: (kind, address, frame, framesLg2) => sink.problem(kind, address, frame, framesLg2),
    });
    this.#nested = new NestedVisit(first, second, parts, sink);
  }

  /** @param target with a first stage, a second stage or both */
  enumerate(target: Target): LeafList {
    const key = keyOf(target);
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const list = new LeafList(this.#budget);
    this.#lists.set(key, list);
    const firstLg2 = INDEX_LG2 * target.firstStageLevels;
    this.#sink.list = list;
    this.#sink.canonicalLg2 = target.type === SECOND_STAGE ? 0 : firstLg2;
    if (target.type === SECOND_STAGE) list.fault = this.#visitSecond(target);
    else if (target.type === FIRST_STAGE) {
      const { firstStagePfn, firstStageLevels } = target;
      list.fault = this.#first.visit(firstStagePfn, firstStageLevels, 0, firstLg2) ? 0 : 0x73;
    } else list.fault = this.#nested.visit(target, this.#secondLg2(target));
    return list;
  }

  /** log2 of the frames that the second stage takes; negative when its width is less than a page. */
  #secondLg2(target: Target): number {
    return Math.min(INDEX_LG2 * target.secondStageLevels, this.#guestAddressWidth - 12);
  }

  /** @returns the fault of every request, or 0 */
  #visitSecond(target: Target): number {
    const lg2 = this.#secondLg2(target);
    const { secondStagePfn, secondStageLevels, legacy } = target;
    if (lg2 < 0 || this.#second.visit(secondStagePfn, secondStageLevels, 0, lg2)) return 0;
    return legacy ? legacyCode(0x7b, false) : 0x7b;
  }
}

/** Sign-extends a frame of an input of 2^`lg2` frames; with 0 leaves it as it is. */
const canonicalFrame = (frame: number, lg2: number): number =>
  lg2 === 0 || frame < 2 ** (lg2 - 1) ? frame : frame + (FRAMES_OF_64_BITS - 2 ** lg2);

/**
 * A first stage over a second: both its tables and what it maps are guest
 * physical memory, as the second stage makes it out of a host's (§3.8).
 */
class NestedVisit {
  readonly #first: TableVisit;
  readonly #second: TableVisit;
  /** For first-stage tables: looking for them leaves alone the pages that `#second` keeps for the leaves. */
  readonly #lookUps: TableVisit;
  readonly #sink: VisitSink;
  #target = new Target();
  /** log2 of the guest's frames. */
  #guestLg2 = 0;
  /** The fault of every request, or 0. */
  #topCode = 0;
  /** What is added to a guest frame of the first-stage leaf at hand to have its input. */
  #shift = 0;
  #prot = 0;
  /** What the last look-up found. */
  #foundPfn = -1;
  #foundProt = 0;
  #problem: ProblemKind | undefined = undefined;
  #problemAddress = 0n;

  constructor(first: StageEntries, second: StageEntries, parts: VisitParts, sink: VisitSink) {
    this.#sink = sink;
    this.#first = new TableVisit(
      first,
      parts,
      {
        leaf: (frame, guestFrame, framesLg2, prot) =>
          this.#visitBlock(frame, guestFrame, framesLg2, prot),
        problem: (kind, address, frame, framesLg2) => sink.problem(kind, address, frame, framesLg2),
      },
      (guestPfn, frame, framesLg2, level) => this.#findTable(guestPfn, frame, framesLg2, level),
    );
    this.#second = new TableVisit(second, parts, {
      leaf: (guestFrame, out, framesLg2, prot) => {
        const both = this.#prot & (prot | PROT_USER);
        if ((both & ~PROT_USER) !== 0) sink.leaf(guestFrame + this.#shift, out, framesLg2, both);
      },
      problem: (kind, address, guestFrame, framesLg2) =>
        sink.problem(kind, address, guestFrame + this.#shift, framesLg2),
    });
    this.#lookUps = new TableVisit(second, parts, {
      leaf: (_frame, out, _framesLg2, prot) => {
        this.#foundPfn = out;
        this.#foundProt = prot;
      },
      problem: (kind, address) => {
        this.#problem = kind;
        this.#problemAddress = address;
      },
    });
  }

  /**
   * @param guestLg2 log2 of the frames that the second stage takes; negative when its width is less than a page
   * @returns the fault of every request, or 0
   */
  visit(target: Target, guestLg2: number): number {
    this.#target = target;
    this.#guestLg2 = guestLg2;
    this.#topCode = 0x73;
    const { firstStagePfn, firstStageLevels } = target;
    const framesLg2 = INDEX_LG2 * firstStageLevels;
    return this.#first.visit(firstStagePfn, firstStageLevels, 0, framesLg2) ? 0 : this.#topCode;
  }

  #isGuest(frame: number): boolean {
    return this.#guestLg2 >= 0 && frame < 2 ** this.#guestLg2;
  }

  /** A leaf of the first stage, whose output is a block of guest frames. */
  #visitBlock(frame: number, guestFrame: number, framesLg2: number, prot: number): void {
    // A block is aligned: it lies in the guest, or outside, or begins at 0 and is larger.
    if (!this.#isGuest(guestFrame)) return;
    this.#shift = frame - guestFrame;
    this.#prot = prot;
    const { secondStagePfn, secondStageLevels } = this.#target;
    const lg2 = Math.min(framesLg2, this.#guestLg2);
    this.#second.visit(secondStagePfn, secondStageLevels, guestFrame, lg2);
  }

  /** The host frame of the first-stage table at guest frame `guestPfn`; -1 when hardware could not read it. */
  #findTable(guestPfn: number, frame: number, framesLg2: number, level: number): number {
    const top = level === this.#target.firstStageLevels - 1;
    this.#problem = undefined;
    const code = this.#isGuest(guestPfn) ? this.#lookUp(guestPfn, top) : 0x74;
    if (code === 0) return this.#foundPfn;
    if (top) this.#topCode = code;
    const missing = frameAddress(code === 0x87 ? this.#foundPfn : guestPfn);
    const address = this.#problem === undefined ? missing : this.#problemAddress;
    this.#sink.problem(this.#problem ?? "outside-memory", address, frame, framesLg2);
    return -1;
  }

  /** @returns 0, with the frame in `#foundPfn`, or the code of the fault (§7.1.3) */
  #lookUp(guestPfn: number, top: boolean): number {
    this.#foundPfn = -1;
    this.#foundProt = 0;
    const { secondStagePfn, secondStageLevels } = this.#target;
    const readable = this.#lookUps.visit(secondStagePfn, secondStageLevels, guestPfn, 0);
    if (this.#problem === "reserved-bit") return 0x7a;
    if (this.#problem !== undefined) return readable ? 0x78 : 0x7b;
    if ((this.#foundProt & PROT_READ) === 0) return top ? 0x75 : 0x76;
    const pfn = this.#foundPfn;
    return inInterruptRange(frameHigh(pfn), frameLow(pfn)) ? 0x87 : 0;
  }
}
