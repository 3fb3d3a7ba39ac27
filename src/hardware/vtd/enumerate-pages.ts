import { frameAddress, frameHigh, frameLow } from "../../bits/halves.ts";
import { PROT_READ, PROT_USER } from "../../page-table/format.ts";
import { VTD_SECOND_STAGE } from "../../page-table/formats/vtd-second-stage.ts";
import { X86_64 } from "../../page-table/formats/x86-64.ts";
import type { Capabilities } from "./capabilities.ts";
import { firstStageChecks, inInterruptRange, secondStageChecks } from "./entry-checks.ts";
import { LeafList, type ProblemKind } from "./enumerate-leaves.ts";
import { type StageEntries, TableVisit, type VisitParts, type VisitSink } from "./enumerate-tables.ts";
import { legacyCode } from "./legacy-codes.ts";
import { FIRST_STAGE, SECOND_STAGE, type Target } from "./target.ts";

const PAGE_LEVELS_LG2 = 9;
const FRAMES_OF_64_BITS = 2 ** 52;

/** Names the tables that a target uses: targets that use the same ones map the same. */
const keyOf = (target: Target): string => {
  const first = `${target.firstStagePfn}/${target.firstStageLevels}`;
  const second = `${target.secondStagePfn}/${target.secondStageLevels}`;
  if (target.type === FIRST_STAGE) return `1 ${first}`;
  return target.type === SECOND_STAGE ? `2 ${second}` : `3 ${first} ${second}`;
};

/**
 * Lists what page tables map, each set of tables once. Accessed and dirty flags
 * are neither looked at nor set.
 */
export class PageEnumerator {
  readonly #parts: VisitParts;
  readonly #capabilities: Capabilities;
  readonly #first: StageEntries;
  readonly #second: StageEntries;
  readonly #lists = new Map<string, LeafList>();

  constructor(capabilities: Capabilities, parts: VisitParts) {
    this.#parts = parts;
    this.#capabilities = capabilities;
    this.#first = { checks: firstStageChecks(capabilities), permissions: X86_64.permissions };
    this.#second = {
      checks: secondStageChecks(capabilities),
      permissions: VTD_SECOND_STAGE.permissions,
    };
  }

  /** @param target with a first stage, a second stage or both */
  enumerate(target: Target): LeafList {
    const key = keyOf(target);
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const list = new LeafList(this.#parts.budget);
    this.#lists.set(key, list);
    if (target.type === SECOND_STAGE) this.#visitSecond(target, list);
    else if (target.type === FIRST_STAGE) this.#visitFirst(target, list);
    else this.#visitNested(target, list);
    return list;
  }

  /** log2 of the frames that the second stage takes, negative when its width is less than a page. */
  #secondLg2(target: Target): number {
    const byLevels = PAGE_LEVELS_LG2 * target.secondStageLevels;
    return Math.min(byLevels, this.#capabilities.guestAddressWidth - 12);
  }

  #visitSecond(target: Target, list: LeafList): void {
    const lg2 = this.#secondLg2(target);
    if (lg2 < 0) return;
    const visit = new TableVisit(this.#second, this.#parts, {
      leaf: (frame, outFrame, framesLg2, prot) =>
        list.add(frame, outFrame, framesLg2, prot & ~PROT_USER),
      problem: (kind, address, frame, framesLg2) =>
        list.addProblem(kind, address, frame, framesLg2),
    });
    visit.visit(target.secondStagePfn, target.secondStageLevels, 0, lg2);
    if (!visit.topReadable) list.fault = target.legacy ? legacyCode(0x7b, false) : 0x7b;
  }

  #visitFirst(target: Target, list: LeafList): void {
    const levels = target.firstStageLevels;
    const lg2 = PAGE_LEVELS_LG2 * levels;
    const visit = new TableVisit(this.#first, this.#parts, {
      leaf: (frame, outFrame, framesLg2, prot) =>
        list.add(canonicalFrame(frame, lg2), outFrame, framesLg2, prot),
      problem: (kind, address, frame, framesLg2) =>
        list.addProblem(kind, address, canonicalFrame(frame, lg2), framesLg2),
    });
    visit.visit(target.firstStagePfn, levels, 0, lg2);
    if (!visit.topReadable) list.fault = 0x73;
  }

  #visitNested(target: Target, list: LeafList): void {
    const levels = target.firstStageLevels;
    const lg2 = PAGE_LEVELS_LG2 * levels;
    const guest = new GuestMemory(this.#second, this.#parts, target, this.#secondLg2(target));
    const canonicalProblem = (
      kind: ProblemKind,
      address: bigint,
      frame: number,
      framesLg2: number,
    ): void => list.addProblem(kind, address, canonicalFrame(frame, lg2), framesLg2);
    const visit = new TableVisit(
      this.#first,
      this.#parts,
      {
        leaf: (frame, guestFrame, framesLg2, prot) =>
          guest.visitBlock(guestFrame, framesLg2, {
            leaf: (inner, outFrame, innerLg2, innerProt) => {
              const both = prot & (innerProt | PROT_USER);
              if ((both & ~PROT_USER) === 0) return;
              const at = frame + (inner - guestFrame);
              list.add(canonicalFrame(at, lg2), outFrame, innerLg2, both);
            },
            problem: (kind, address, inner, innerLg2) =>
              canonicalProblem(kind, address, frame + (inner - guestFrame), innerLg2),
          }),
        problem: canonicalProblem,
      },
      (guestPfn, frame, framesLg2, level) => {
        const top = level === levels - 1;
        const pfn = guest.findTable(guestPfn, top, (kind, address) =>
          canonicalProblem(kind, address, frame, framesLg2),
        );
        if (top && pfn < 0 && !this.#parts.budget.exhausted) list.fault = guest.code;
        return pfn;
      },
    );
    visit.visit(target.firstStagePfn, levels, 0, lg2);
    if (!visit.topReadable && list.fault === 0) list.fault = 0x73;
  }
}

/** Sign-extends a frame of a first stage that takes 2^`lg2` frames. */
const canonicalFrame = (frame: number, lg2: number): number =>
  frame < 2 ** (lg2 - 1) ? frame : frame + (FRAMES_OF_64_BITS - 2 ** lg2);

/** Guest physical memory, as a second stage makes it out of a host's. */
class GuestMemory {
  /** Why the last table could not be found: the code of the fault. */
  code = 0;
  readonly #target: Target;
  /** log2 of its frames. */
  readonly #lg2: number;
  /** Two visits, so that looking for tables does not push the pages out that the leaves need. */
  readonly #tables: TableVisit;
  readonly #blocks: TableVisit;
  #sink: VisitSink | undefined = undefined;
  /** What the last look-up found. */
  #foundPfn = -1;
  #foundProt = 0;
  #problem: ProblemKind | undefined = undefined;
  #problemAddress = 0n;

  constructor(entries: StageEntries, parts: VisitParts, target: Target, lg2: number) {
    this.#target = target;
    this.#lg2 = lg2;
    this.#tables = new TableVisit(entries, parts, {
      leaf: (_frame, outFrame, _framesLg2, prot) => {
        this.#foundPfn = outFrame;
        this.#foundProt = prot;
      },
      problem: (kind, address) => {
        this.#problem = kind;
        this.#problemAddress = address;
      },
    });
    this.#blocks = new TableVisit(entries, parts, {
      leaf: (frame, outFrame, framesLg2, prot) =>
        this.#sink?.leaf(frame, outFrame, framesLg2, prot & ~PROT_USER),
      problem: (kind, address, frame, framesLg2) =>
        this.#sink?.problem(kind, address, frame, framesLg2),
    });
  }

  /** Visits what lies behind a block of guest frames. */
  visitBlock(frame: number, framesLg2: number, sink: VisitSink): void {
    // A block is aligned: it lies inside, or outside, or begins at 0 and is larger.
    if (this.#lg2 < 0 || frame >= 2 ** this.#lg2) return;
    this.#sink = sink;
    const { secondStagePfn, secondStageLevels } = this.#target;
    this.#blocks.visit(secondStagePfn, secondStageLevels, frame, Math.min(framesLg2, this.#lg2));
  }

  /**
   * The host frame of the first-stage table at guest frame `guestPfn`.
   *
   * @returns -1 when hardware could not read it; `report` has heard why and `code` is the fault's
   */
  findTable(
    guestPfn: number,
    top: boolean,
    report: (kind: ProblemKind, address: bigint) => void,
  ): number {
    this.code = 0x74;
    const outside = this.#lg2 < 0 || guestPfn >= 2 ** this.#lg2;
    if (!outside) this.code = this.#lookUp(guestPfn, top);
    if (this.code === 0) return this.#foundPfn;
    if (this.#problem !== undefined && !outside) report(this.#problem, this.#problemAddress);
    else report("outside-memory", frameAddress(this.code === 0x87 ? this.#foundPfn : guestPfn));
    return -1;
  }

  /** @returns 0, with the frame in `#foundPfn`, or the code of the fault (§7.1.3) */
  #lookUp(guestPfn: number, top: boolean): number {
    this.#foundPfn = -1;
    this.#foundProt = 0;
    this.#problem = undefined;
    const { secondStagePfn, secondStageLevels } = this.#target;
    this.#tables.visit(secondStagePfn, secondStageLevels, guestPfn, 0);
    if (this.#problem === "reserved-bit") return 0x7a;
    if (this.#problem !== undefined) return this.#tables.topReadable ? 0x78 : 0x7b;
    if ((this.#foundProt & PROT_READ) === 0) return top ? 0x75 : 0x76;
    const pfn = this.#foundPfn;
    return inInterruptRange(frameHigh(pfn), frameLow(pfn)) ? 0x87 : 0;
  }
}
