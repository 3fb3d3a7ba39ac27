import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { orEnd } from "./boot/guest-end.ts";
import { type Guest, readGuest } from "./boot/guest-files.ts";
import { createGuestPc, DEFAULT_SETUP } from "./boot/guest-pc.ts";
import { askGuest, runScript, scriptLines } from "./boot/script-run.ts";
import { UnitLog } from "./boot/unit-log.ts";
import { type LoadedV86, loadV86 } from "./boot/v86-files.ts";
import { CommandError } from "./command-error.ts";
import type { Paint } from "./paint.ts";

/** A nested domain, with stale and fresh entries around an invalidation. The scripts lie beside src/ and dist/ alike. */
const SCRIPT = fileURLToPath(
  new URL("../../conformance/linux/scripts/nested.jsonl", import.meta.url),
);

const BOOT_SECONDS = 60;

const TEXT_COLUMNS = 67;
const ANSWER_COLUMNS = 40;

/** Lines of the script by what stands in them, what they show, and what their answers must have. */
const STORY: readonly (readonly [line: string, text: string, answer: string])[] = [
  ['"data_type":1', "a stage 1 of a program's own over the kernel's stage 2", '"errno":null'],
  ['"iova":"0x12345000","read"', "the device reads 0x12345000 through both", "7061796c6f6164"],
  ['"a+0xa200"', "the entry changes: until it is invalidated the old page is written", '"aa"'],
  ['"a+0xb200"', "and the new one is not", '"00"'],
  ['"npages":"0x1"', "IOMMU_HWPT_INVALIDATE of that page", '"errno":null'],
  ['"a+0xb300"', "the next write goes to the new page", '"bb"'],
];

/** What a demonstration counts. */
interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

class KernelDemonstration {
  readonly #write: (text: string) => void;
  readonly #paint: Paint;
  readonly #counts: Counts;

  constructor(write: (text: string) => void, paint: Paint, counts: Counts) {
    this.#write = write;
    this.#paint = paint;
    this.#counts = counts;
  }

  #line(text: string): void {
    this.#write(`  ${text}\n`);
  }

  async run(guest: Guest, loaded: LoadedV86): Promise<void> {
    const setup = { ...DEFAULT_SETUP, kernel: guest.version };
    const pc = await createGuestPc({ loaded, setup, guest });
    const began = performance.now();
    try {
      let descriptors = 0;
      new UnitLog(pc.units[0]!).listen(({ event }) => {
        if (event === "vtd.descriptor-fetched") descriptors++;
      });
      const ready = Promise.all([pc.channel.waitFor("\n"), pc.console.waitFor("# ")]);
      pc.start();
      await orEnd(pc, ready, BOOT_SECONDS, "booting");
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      const { dim } = this.#paint;
      this.#line(
        dim(`at its shell after ${seconds} s; its own iommufd, asked by a program in it:`),
      );
      const told = JSON.parse(await askGuest(pc, '{"run":"dmesg | grep DMAR: | tail -1"}'));
      this.#line(String(told.text).trim());
      const bad = await this.#script(pc);
      this.#line(dim(`${descriptors} descriptors in all; softiommu boot gives a shell there`));
      if (bad === 0) this.#counts.passed++;
      else this.#counts.failed++;
    } finally {
      await pc.destroy();
    }
  }

  /** @returns how many answers were not as they must be */
  async #script(pc: Parameters<typeof runScript>[0]): Promise<number> {
    let bad = 0;
    const lines = scriptLines(readFileSync(SCRIPT, "utf8"));
    await runScript(pc, lines, (line, answer) => {
      const row = STORY.find(([text]) => line.text.includes(text));
      if (row === undefined) return;
      const [, text, wanted] = row;
      const holds = answer.includes(wanted);
      if (!holds) bad++;
      const mark = holds ? this.#paint.green("✓") : this.#paint.red("✗");
      const shown = answer.length <= ANSWER_COLUMNS ? answer : '{"errno":null,…}';
      this.#line(`${mark} ${text.padEnd(TEXT_COLUMNS)} ${this.#paint.dim(shown)}`);
    });
    return bad;
  }
}

/**
 * Boots a real Linux, where one is built, and has it do nested DMA.
 *
 * @param counts what came of it is added there
 */
export const demonstrateKernel = async (
  write: (text: string) => void,
  paint: Paint,
  counts: Counts,
): Promise<void> => {
  const { bold, cyan, dim } = paint;
  const about = "an unmodified Linux in an emulated PC";
  write(`\n${cyan("▌")} ${bold("A real kernel on our silicon")}  ${dim(about)}\n\n`);
  try {
    const [guest, loaded] = [readGuest(), await loadV86()];
    await new KernelDemonstration(write, paint, counts).run(guest, loaded);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (error.exit === "input") {
      counts.skipped++;
      write(dim(`  - skipped: ${error.what}: ${error.why}; ${error.hint}\n`));
    } else {
      counts.failed++;
      write(`  ${paint.red("✗")} ${error.message}\n`);
    }
  }
};
