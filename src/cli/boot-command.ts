import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { UnitRecorder } from "../capture/record/index.ts";
import type { Pc, PcUnitName } from "../pc/index.ts";
import { RestoreError } from "../struct/index.ts";
import { TraceChannel } from "../trace/index.ts";
import { BootOutput } from "./boot/boot-output.ts";
import { orEnd } from "./boot/guest-end.ts";
import { readGuest } from "./boot/guest-files.ts";
import {
  createGuestPc,
  DEFAULT_SETUP,
  DOMAIN_MODES,
  type DomainMode,
  type GuestSetup,
  UNIT_NAMES,
} from "./boot/guest-pc.ts";
import { readSavedGuest, saveGuest } from "./boot/saved-guest.ts";
import { runScript, type ScriptLine, scriptError, scriptLines } from "./boot/script-run.ts";
import { runSession } from "./boot/session.ts";
import { UnitLog } from "./boot/unit-log.ts";
import { loadV86 } from "./boot/v86-files.ts";
import type { Command, CommandContext } from "./command.ts";
import { CommandError, usageError } from "./command-error.ts";
import type { ExitName } from "./exit-codes.ts";
import type { Invocation } from "./invocation.ts";
import { nodeSink } from "./node-files.ts";
import { parseNumber } from "./notation.ts";
import type { Output } from "./output.ts";

/** Seconds that a boot may take. Guest time follows the host's clock, and the host may be busy. */
const BOOT_SECONDS = 180;

/** Options that say what the PC is made of: a saved one says it itself. */
const MADE_OF = ["intel-iommu", "domains", "caching-mode", "kernel", "memory", "disk", "append"];

const MIB = 20n;
const MAX_MEMORY = 1n << 31n;

const parseMemory = (text: string): number => {
  const bytes = parseNumber(text, MAX_MEMORY);
  return Number((bytes >> MIB) << MIB);
};

const readInput = (file: string): Buffer => {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new CommandError("input", file, `it cannot be read (${code})`);
  }
};

/** What is to be booted or gone on with. */
interface Plan {
  readonly setup: GuestSetup;
  readonly make: (trace: TraceChannel) => Promise<Pc>;
  readonly snapshot: Uint8Array | undefined;
}

const planRestore = (file: string): Plan => {
  const { setup, snapshot } = readSavedGuest(file);
  const make = async (trace: TraceChannel): Promise<Pc> =>
    createGuestPc({ loaded: await loadV86(), setup, trace });
  return { setup, make, snapshot };
};

const planBoot = (invocation: Invocation, env: Output["env"]): Plan => {
  const guest = readGuest(invocation.text("kernel"), env);
  const file = invocation.text("disk");
  const disk = file === undefined ? undefined : readInput(file);
  if (disk !== undefined && (disk.length === 0 || disk.length % 512 !== 0)) {
    throw new CommandError("input", file!, `a disk has whole sectors of 512 bytes: ${disk.length}`);
  }
  const setup: GuestSetup = {
    unit: (invocation.text("intel-iommu") as PcUnitName | undefined) ?? DEFAULT_SETUP.unit,
    domains: (invocation.text("domains") as DomainMode | undefined) ?? DEFAULT_SETUP.domains,
    cachingMode: invocation.has("caching-mode"),
    kernel: guest.version,
    memoryBytes: invocation.value("memory", parseMemory) ?? DEFAULT_SETUP.memoryBytes,
    diskBytes: disk?.length ?? 0,
  };
  const append = invocation.text("append");
  const make = async (trace: TraceChannel): Promise<Pc> =>
    createGuestPc({
      loaded: await loadV86(),
      setup,
      guest,
      kexec: true,
      trace,
      ...(append === undefined ? {} : { append }),
      ...(disk === undefined ? {} : { disk }),
    });
  return { setup, make, snapshot: undefined };
};

const planOf = (invocation: Invocation, env: Output["env"]): Plan => {
  const restore = invocation.text("restore");
  if (restore === undefined) return planBoot(invocation, env);
  invocation.exclude("restore", ...MADE_OF, "save-capture");
  return planRestore(restore);
};

/** Lets the PC run until the guest can be used. */
const getReady = async (pc: Pc, { snapshot }: Plan, file: string | undefined): Promise<void> => {
  if (snapshot === undefined) {
    const ready = Promise.all([
      pc.console.waitFor(/guest: ready[^\n]*\n/),
      pc.channel.waitFor("\n"),
      pc.console.waitFor("# "),
    ]);
    pc.start();
    await orEnd(pc, ready, BOOT_SECONDS, "booting");
    return;
  }
  try {
    await pc.restore(snapshot);
  } catch (error) {
    if (!(error instanceof RestoreError)) throw error;
    throw new CommandError("input", file ?? "snapshot", error.message);
  }
  pc.start();
};

/** One boot, from making the PC to its end. */
class Boot {
  readonly #context: CommandContext;
  readonly #out: BootOutput;
  readonly #trace = new TraceChannel();

  constructor(context: CommandContext) {
    this.#context = context;
    this.#out = new BootOutput(context);
  }

  async run(): Promise<ExitName> {
    const { invocation } = this.#context;
    const script = invocation.text("script");
    const lines = script === undefined ? undefined : scriptLines(readInput(script).toString());
    const plan = planOf(invocation, this.#context.output.env);
    const pc = await plan.make(this.#trace);
    try {
      const [unit] = pc.units;
      if (invocation.has("trace")) new UnitLog(unit!).listen((entry) => this.#out.trace(entry));
      const folder = invocation.text("save-capture");
      const recorder = folder === undefined ? undefined : new UnitRecorder({ unit: unit!, ...pc });
      await getReady(pc, plan, invocation.text("restore"));
      const end = lines === undefined ? await this.#session(pc) : await this.#script(pc, lines);
      recorder?.close();
      if (folder !== undefined) {
        recorder?.write(nodeSink(folder), { gzip: (bytes) => gzipSync(bytes, { level: 9 }) });
      }
      await this.#save(pc, plan);
      this.#out.end(end);
      return "ok";
    } finally {
      await pc.destroy();
    }
  }

  async #session(pc: Pc): Promise<string> {
    const { input, invocation } = this.#context;
    if (input.isTerminal) this.#out.note("Ctrl-] ends the session, exit switches the guest off");
    if (input.isTerminal) this.#out.console("# ");
    const shown = (text: string): void => this.#out.console(text);
    const end = await runSession(pc, input, shown, invocation.has("save"));
    if (input.isTerminal) this.#out.note("");
    if (end === "left") return "left";
    const how = await pc.ended;
    if (how.how === "off") return "off";
    throw new CommandError("guest", "guest", `it crashed: ${how.why}`);
  }

  async #script(pc: Pc, lines: readonly ScriptLine[]): Promise<string> {
    const refused = await runScript(pc, lines, ({ number }, answer) =>
      this.#out.answer(number, answer),
    );
    if (refused === undefined) return "left";
    throw scriptError(this.#context.invocation.text("script")!, refused);
  }

  async #save(pc: Pc, { setup }: Plan): Promise<void> {
    const file = this.#context.invocation.text("save");
    if (file === undefined) return;
    if (!pc.running) throw usageError("--save", "the guest is off: there is nothing to go on with");
    saveGuest(file, { setup, snapshot: await pc.save() });
    this.#out.note(`saved in ${file}`);
  }
}

/** `softiommu boot`. */
export const BOOT_COMMAND: Command = {
  name: "boot",
  purpose: "run a real Linux kernel on the unit, to a shell",
  usage: "[options]",
  examples: [
    { line: "boot", doc: "Linux 7.3 to a shell, in nested mode; Ctrl-] ends it" },
    {
      line: "boot --intel-iommu legacy --domains lazy --trace",
      doc: "with a line for everything that the driver does to the unit",
    },
    {
      line: "boot --script conformance/linux/scripts/nested.jsonl",
      doc: "run a script of ioctls and DMA in the guest, print the answers",
    },
    {
      line: "boot --save-capture run --script conformance/linux/scripts/pasid.jsonl",
      doc: "keep what the driver did, for inspect, walk and replay",
    },
  ],
  arguments: [],
  groups: [
    {
      title: "The machine",
      options: [
        {
          name: "intel-iommu",
          value: { name: "UNIT", choices: UNIT_NAMES },
          doc: `${UNIT_NAMES.join(", ")} (default ${DEFAULT_SETUP.unit})`,
        },
        {
          name: "domains",
          value: { name: "MODE", choices: Object.keys(DOMAIN_MODES) },
          doc: `the kernel's own domains: ${Object.keys(DOMAIN_MODES).join(", ")} (default strict)`,
        },
        { name: "caching-mode", doc: "the unit wants to be told of new mappings too" },
        {
          name: "kernel",
          value: { name: "VERSION" },
          doc: "7.3 or 6.1, as guest:build has built it (default: the newest)",
        },
        { name: "append", value: { name: "TEXT" }, doc: "further kernel arguments" },
        { name: "memory", value: { name: "SIZE" }, doc: "of RAM (default 64M)" },
        {
          name: "disk",
          value: { name: "FILE", path: true },
          doc: "contents of /dev/sda, whose DMA the unit translates; FILE is not changed",
        },
      ],
    },
    {
      title: "What to do and what to keep",
      options: [
        { name: "trace", doc: "on standard error, each register access, descriptor and fault" },
        {
          name: "script",
          value: { name: "FILE", path: true },
          doc: "run a script in the guest instead of a shell, an answer a line",
        },
        {
          name: "save",
          value: { name: "FILE", path: true },
          doc: "at the end, keep the whole PC; compressed when FILE ends in .gz",
        },
        {
          name: "restore",
          value: { name: "FILE", path: true },
          doc: "go on with what --save has kept, instead of booting",
        },
        {
          name: "save-capture",
          value: { name: "DIR", path: true },
          doc: "at the end, write what happened to the unit as a capture with moments",
        },
      ],
    },
  ],
  exits: ["input", "guest"],
  notes: [
    "The guest's console is standard input and output. On a terminal every key goes to the guest, " +
      "but for Ctrl-], which ends the session; exit in the guest's shell switches it off. What is " +
      "piped in is typed line by line, each when the shell waits for it, and then the guest is " +
      "switched off, or kept with --save.",
    "With --json standard output has an object a line: console, trace, line with answer, end.",
    "It needs the package v86 and a guest, which npm run guest:build makes once.",
  ],
  seeAlso: ["replay", "docs/boot.md", "docs/script-format.md", "docs/capture-format.md"],
  run(context) {
    return new Boot(context).run();
  },
};
