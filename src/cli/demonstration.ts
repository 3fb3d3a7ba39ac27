import { fileURLToPath } from "node:url";
import { readCapture, readRegisters, type VtdCapture } from "../capture/index.ts";
import { type InspectReport, inspectCapture, rangesOf } from "../capture/inspect/index.ts";
import { type ReplayedWindow, readRecording, replayRecording } from "../capture/replay/index.ts";
import { WRITE } from "../hardware/pci/index.ts";
import { machineFromCapture, type RecordedWalk, recordWalk } from "../machine/index.ts";
import { checkExpected } from "./expected-check.ts";
import { counted, deviceLines, findingLines, rangeLine } from "./inspect-text.ts";
import { openNamed } from "./node-files.ts";
import { formatDevice, parseDevice } from "./notation.ts";
import { openCapture } from "./open-capture.ts";
import { type Paint, padEnd } from "./paint.ts";
import { descriptorCounts, faultLine } from "./replay-text.ts";
import { readVersion } from "./version.ts";
import { outcomeLines, readsText, requestLine, stepLines } from "./walk-text.ts";
import { wrap } from "./wrap.ts";

/** The captures lie beside src/ and dist/ alike. */
const CAPTURES = fileURLToPath(new URL("../../captures/", import.meta.url));

const MOMENTS = [
  "a_boot",
  "b_bound",
  "b2_claimed",
  "c_mapped",
  "d_unmapped",
  "e_rebound",
  "f_final",
] as const;

/** Captures that came with expected lists, and their moments. */
const GIVEN: readonly { readonly name: string; readonly moments?: readonly string[] }[] = [
  { name: "vtd_legacy_k61_q72" },
  { name: "vtd_legacy_ss" },
  { name: "vtd_sm_ss" },
  { name: "vtd_sm_fs" },
  { name: "vtd_pt_sm" },
  { name: "vtd_1g_fs", moments: ["g_1g", "h_unmapped"] },
  { name: "vtd_legacy_cm", moments: MOMENTS },
  { name: "vtd_sm_fs_cm", moments: MOMENTS },
];

/** Captures that cannot be read yet. */
const AMD = ["amd_v1", "amd_pt"] as const;

/** A core of QEMU's dump-guest-memory, and the capture of the same moment. */
const CORE = { file: "elf_small/guest_cut.elf.gz", moment: "vtd_sm_fs_cm/c_mapped" } as const;

/** What was checked, and how it came out. */
class Tally {
  passed = 0;
  failed = 0;
  skipped = 0;
  /** Mappings compared with expected lists, and how they differed. */
  readonly mappings = { expected: 0, missing: 0, extra: 0, wrong: 0 };

  /** Counts a check and returns its mark. */
  check(holds: boolean, paint: Paint): string {
    if (holds) this.passed++;
    else this.failed++;
    return holds ? paint.green("✓") : paint.red("✗");
  }
}

/** Writes the demonstration line by line. */
class Demonstration {
  readonly tally = new Tally();
  readonly #write: (text: string) => void;
  readonly #paint: Paint;
  readonly #indent = "  ";

  constructor(write: (text: string) => void, paint: Paint) {
    this.#write = write;
    this.#paint = paint;
  }

  run(): void {
    const { bold } = this.#paint;
    this.#write(`${bold("softiommu")} ${readVersion()}: the IOMMU tables of real Linux kernels\n`);
    this.#section("What devices can reach", "vtd_sm_fs: Linux 7.2 booted in QEMU, first stage");
    this.#showDevices("vtd_sm_fs");
    this.#showRanges("vtd_sm_fs", "00:1f.2", 2);
    this.#showRanges("vtd_1g_fs/g_1g", "00:07.0", 3);
    this.#section("One request, level by level", "vtd_sm_fs: x86-64 tables, in scalable mode");
    this.#showWalk("vtd_sm_fs", "00:03.0", 0xfff7_b040n, WRITE, { address: 0x4ce_4040n });
    this.#section("One refused, and why", "vtd_legacy_ss: second stage, in legacy mode");
    this.#showWalk("vtd_legacy_ss", "00:07.0", 0x4_0000n, WRITE, { code: 0x05 });
    this.#section("A kernel's run, replayed", "vtd_legacy_cm: what Linux did to its unit");
    this.#showReplay("vtd_legacy_cm");
    this.#checkAll();
  }

  #section(title: string, about: string): void {
    const { bold, cyan, dim } = this.#paint;
    this.#write(`\n${cyan("▌")} ${bold(title)}  ${dim(about)}\n\n`);
  }

  #lines(lines: readonly string[]): void {
    this.#write(`${lines.map((line) => (this.#indent + line).trimEnd()).join("\n")}\n`);
  }

  /** Every device of a capture, and what there is to say about them. */
  #showDevices(name: string): void {
    const { capture, close } = openCapture(CAPTURES + name);
    const report = inspectCapture(capture);
    this.#lines(deviceLines(report, this.#paint));
    this.#lines(["", ...findingLines(report.findings, this.#paint), ""]);
    close();
  }

  /** The `count` largest ranges of a device. */
  #showRanges(name: string, bdf: string, count: number): void {
    const { capture, title, close } = openCapture(CAPTURES + name);
    const report = inspectCapture(capture);
    const device = formatDevice(parseDevice(bdf));
    const own = { ...report, devices: report.devices.filter((each) => each.bdf === device) };
    const ranges = [...rangesOf(own)].sort((a, b) => (a.size < b.size ? 1 : -1)).slice(0, count);
    const { bold, dim } = this.#paint;
    const about = `the largest ranges in ${title.slice(CAPTURES.length)}`;
    this.#lines([
      `${bold(device)} ${dim(about)}`,
      ...ranges.map((range) => rangeLine(range, this.#paint)),
    ]);
    close();
  }

  /** A walk, and whether it ended as it should. */
  #showWalk(
    name: string,
    bdf: string,
    iova: bigint,
    access: number,
    end: { readonly address: bigint } | { readonly code: number },
  ): void {
    const { capture, close } = openCapture(CAPTURES + name);
    const { unit } = machineFromCapture(capture, { caches: "off" });
    const source = parseDevice(bdf).requesterId;
    const walk = recordWalk(unit, { source, iova, access });
    const mark = this.tally.check(endsAt(walk, end), this.#paint);
    this.#lines([
      requestLine(walk, this.#paint),
      ...stepLines(walk, unit.capabilities, this.#paint),
      this.#paint.dim(readsText(walk)),
    ]);
    const [first = "", ...rest] = outcomeLines(walk, unit.capabilities, this.#paint);
    this.#lines([`${mark} ${first}`, ...rest]);
    close();
  }

  /** What a kernel did to its unit, and whether ours ends up with the same registers. */
  #showReplay(name: string): void {
    const { files } = openNamed(CAPTURES + name);
    const report = replayRecording(readRecording(files));
    files.close();
    const { windows, differences } = report;
    const all = (count: (window: ReplayedWindow) => number): number =>
      windows.reduce((sum, window) => sum + count(window), 0);
    const writes = all((window) => window.writes);
    const descriptors = all((window) => window.descriptors.length);
    const registers = all((window) => window.registers);
    const did = `${writes} register writes; ${descriptors} descriptors: ${descriptorCounts(report)}`;
    const [fault] = windows.flatMap((window) => window.faults);
    const mark = this.tally.check(differences.length === 0, this.#paint);
    const found = counted(differences.length, "difference");
    this.#lines([
      ...wrap(did, 0, 100),
      ...(fault === undefined ? [] : [faultLine(fault)]),
      `${mark} ${windows.length} moments, ${registers} register words equal, ${found}`,
    ]);
  }

  /** Every capture against its expected list, one line each. */
  #checkAll(): void {
    this.#section("Every capture against its expected list", "leaf by leaf");
    for (const { name, moments } of GIVEN) {
      const parts = (moments ?? [undefined]).map((moment) => this.#checkOne(name, moment));
      this.#lines([`${padEnd(name, 19)} ${parts.join("  ")}`]);
    }
    this.#lines([`${padEnd("elf_small", 19)} ${this.#checkCore()}`]);
    for (const name of AMD) {
      this.tally.skipped++;
      this.#lines([
        `${padEnd(name, 19)} ${this.#paint.dim("- skipped: AMD-Vi cannot be read yet")}`,
      ]);
    }
  }

  #checkOne(name: string, moment: string | undefined): string {
    const path = moment === undefined ? name : `${name}/${moment}`;
    const { capture, close } = openCapture(CAPTURES + path);
    const text = this.#checkReport(inspectCapture(capture), capture);
    close();
    return moment === undefined ? text : `${text} ${this.#paint.dim(shortMoment(moment))}`;
  }

  /** The core has no list of its own: it is that of the capture of the same moment. */
  #checkCore(): string {
    const registers = openNamed(`${CAPTURES}${CORE.moment}/regs.json`).files;
    const core = openNamed(CAPTURES + CORE.file).files;
    const same = openCapture(CAPTURES + CORE.moment);
    const capture = readCapture(core, { registers: readRegisters(registers, "") });
    const text =
      capture.iommu === "vtd" ? this.#checkReport(inspectCapture(capture), same.capture) : "";
    for (const files of [registers, core, same]) files.close();
    return `${text} ${this.#paint.dim(`as ${CORE.moment}`)}`;
  }

  #checkReport(report: InspectReport, { expected }: VtdCapture): string {
    const list = expected?.() ?? [];
    const { missing, extra, wrong } = checkExpected(report, list);
    const { mappings } = this.tally;
    mappings.expected += list.length;
    mappings.missing += missing;
    mappings.extra += extra;
    mappings.wrong += wrong;
    const holds = list.length > 0 && report.truncated === null && missing + extra + wrong === 0;
    const mark = this.tally.check(holds, this.#paint);
    if (holds) return `${mark} ${list.length}`;
    return `${mark} ${counted(list.length, "mapping")}, missing ${missing}, extra ${extra}, wrong ${wrong}`;
  }
}

/** `a` for `a_boot`. */
const shortMoment = (moment: string): string => moment.split("_")[0]!;

const endsAt = (
  { outcome }: RecordedWalk,
  end: { readonly address: bigint } | { readonly code: number },
): boolean =>
  "address" in end
    ? outcome.ok && outcome.address === end.address
    : !outcome.ok && outcome.fault.code === end.code;

/**
 * Shows the main job on real captures and checks it.
 *
 * @returns the counts
 */
export const runDemonstration = (write: (text: string) => void, paint: Paint): Readonly<Tally> => {
  const demo = new Demonstration(write, paint);
  demo.run();
  return demo.tally;
};
