import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RAM_SIZE } from "./machine-map.ts";
import type { QemuProgram } from "./provision.ts";
import { QmpClient } from "./qmp.ts";
import { QtestClient, QtestError } from "./qtest.ts";

/** How the remapping unit of a machine is set up. */
export type Mode = "legacy" | "second-stage" | "first-stage";

export const MODES: readonly Mode[] = ["legacy", "second-stage", "first-stage"];

/** Property names changed with 10.0, which brought a first stage, and with 11.1. */
const unitOf = (version: number, mode: Mode): string => {
  const names =
    version >= 1101
      ? { scalable: "scalable-mode=on", first: "fsts=on" }
      : { scalable: "x-scalable-mode=on", first: "x-flts=on" };
  const options = {
    legacy: [],
    "second-stage": [names.scalable],
    "first-stage": [names.scalable, names.first],
  }[mode];
  return ["intel-iommu", "intremap=on", ...options].join(",");
};

/** Whether a QEMU has the mode at all. */
export const hasMode = ({ version }: QemuProgram, mode: Mode): boolean =>
  mode !== "first-stage" || version >= 1000;

/** A firmware of one instruction at the reset vector, which is 16 bytes below the end: halt, for ever. */
const haltingFirmware = (): Uint8Array => {
  const rom = new Uint8Array(0x1_0000).fill(0xf4);
  // cli; hlt; jmp to the hlt
  rom.set([0xfa, 0xf4, 0xeb, 0xfd], rom.length - 16);
  return rom;
};

const STARTED_MS = 20_000;

/** A running QEMU with its sockets and a file that is its RAM. */
export class QemuProcess {
  readonly qtest: QtestClient;
  readonly qmp: QmpClient;
  /** The file that is the machine's RAM: what is written to it is there at once. */
  readonly ramFile: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #complaints: () => string;
  readonly #onExit: () => void;
  /** QEMU's log, and how much of it has been read. */
  #log: number | undefined = undefined;
  #logged = 0;

  private constructor(
    child: ChildProcess,
    folder: string,
    clients: { qtest: QtestClient; qmp: QmpClient },
    complaints: () => string,
    onExit: () => void,
  ) {
    this.#child = child;
    this.#folder = folder;
    this.qtest = clients.qtest;
    this.qmp = clients.qmp;
    this.ramFile = join(folder, "ram");
    this.#complaints = complaints;
    this.#onExit = onExit;
  }

  /**
   * Starts a Q35 with a remapping unit and the `edu` device at 00:04.0.
   *
   * @throws QtestError when it does not come up
   */
  static async start(qemu: QemuProgram, mode: Mode): Promise<QemuProcess> {
    const folder = mkdtempSync(join(tmpdir(), "softiommu-qemu-"));
    const rom = join(folder, "rom");
    writeFileSync(rom, haltingFirmware());
    const [program, ...first] = qemu.command;
    const child = spawn(program, [...first, ...machineArguments(qemu, mode, folder)], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...qemu.env },
    });
    // If this process ends without ending QEMU, QEMU must not stay.
    const onExit = (): void => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    };
    process.once("exit", onExit);
    let complaints = "";
    child.on("error", (error) => {
      complaints += error.message;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaints = (complaints + text).slice(0, 4000);
    });
    try {
      const clients = await connectTo(child, folder);
      return new QemuProcess(child, folder, clients, () => complaints, onExit);
    } catch (error) {
      process.off("exit", onExit);
      onExit();
      throw new QtestError(`QEMU did not start: ${complaints.trim() || String(error)}`);
    }
  }

  /** The interrupts that have reached the local APIC since the last call, in order. */
  takeInterrupts(): string[] {
    this.#log ??= openSync(join(this.#folder, "log"), "r");
    let text = "";
    const bytes = new Uint8Array(0x1_0000);
    for (let count = bytes.length; count === bytes.length; ) {
      count = readSync(this.#log, bytes, 0, bytes.length, this.#logged);
      this.#logged += count;
      text += Buffer.from(bytes.buffer, 0, count).toString("latin1");
    }
    return [...text.matchAll(/^apic_deliver_irq (.*)$/gm)].map((found) => found[1]!);
  }

  /** How it ended and what it said last; for a message. */
  async lastWords(): Promise<string> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await Promise.race([once(this.#child, "exit"), sleep(1000)]);
    }
    const how = this.#child.signalCode ?? this.#child.exitCode ?? "no answer";
    return `${how}: ${this.#complaints().trim().split("\n").slice(0, 3).join(" / ")}`;
  }

  /** Ends it and removes what it used. */
  async end(): Promise<void> {
    this.qtest.close();
    this.qmp.close();
    if (this.#log !== undefined) closeSync(this.#log);
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    process.off("exit", this.#onExit);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const machineArguments = (qemu: QemuProgram, mode: Mode, folder: string): string[] => {
  const socket = (name: string): string => `unix:${join(folder, name)},server=on,wait=off`;
  // Without the accelerator virtual time runs; a processor that sleeps for ever lets it jump to the next timer.
  const time = qemu.hasQtestAccelerator
    ? ["-accel", "qtest"]
    : ["-accel", "tcg", "-icount", "shift=0,sleep=off"];
  return [
    "-machine",
    "q35,memory-backend=ram",
    "-object",
    `memory-backend-file,id=ram,size=${RAM_SIZE},mem-path=${join(folder, "ram")},share=on`,
    "-m",
    `${RAM_SIZE >> 20}M`,
    ...time,
    "-bios",
    join(folder, "rom"),
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-device",
    unitOf(qemu.version, mode),
    "-device",
    "edu,addr=4,dma_mask=0xffffffffffffffff",
    "-qtest",
    socket("qtest"),
    "-qtest-log",
    "none",
    "-qmp",
    socket("qmp"),
    "-trace",
    "apic_deliver_irq",
    "-D",
    join(folder, "log"),
    ...(qemu.version >= 1002 ? ["-run-with", "exit-with-parent=on"] : []),
  ];
};

const connectTo = async (
  child: ChildProcess,
  folder: string,
): Promise<{ qtest: QtestClient; qmp: QmpClient }> => {
  const began = performance.now();
  // The sockets are made one after the other, and listened to a little later.
  const listening = async <Client>(open: () => Promise<Client>): Promise<Client> => {
    for (;;) {
      if (child.exitCode !== null || child.signalCode !== null) throw new QtestError("it ended");
      try {
        return await open();
      } catch (error) {
        if (performance.now() - began > STARTED_MS) throw error;
        await sleep(5);
      }
    }
  };
  return {
    qtest: await listening(() => QtestClient.connect(join(folder, "qtest"))),
    qmp: await listening(() => QmpClient.connect(join(folder, "qmp"))),
  };
};
