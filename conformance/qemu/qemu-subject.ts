import { closeSync, openSync, readSync, writeSync } from "node:fs";
import {
  ARENA_BASE,
  ARENA_SIZE,
  DEVICE_BUFFER,
  DEVICE_SOURCE,
  REGISTERS_SIZE,
  UNIT_BASE,
} from "./machine-map.ts";
import type { QemuProgram } from "./provision.ts";
import { type Mode, QemuProcess } from "./qemu-process.ts";
import { QtestError } from "./qtest.ts";
import type { Observation, Step, Subject } from "./step.ts";

/** QEMU is gone, or does not answer: what it was given was too much for it. */
export class QemuEnded extends Error {
  override readonly name = "QemuEnded";
}

/** Where the device's registers are put. */
const BAR = 0xfe00_0000;
/** Where DMA sees the device's own buffer. */
const BUFFER_ADDRESS = 0x4_0000;
const EDU = { source: 0x80, destination: 0x88, count: 0x90, command: 0x98 } as const;
const RUN = 1;
const TO_MEMORY = 2;
/** The device's DMA takes 100 ms of virtual time. */
const DMA_NS = 100_000_000;

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const WRITES = { 1: "writeb", 2: "writew", 4: "writel", 8: "writeq" } as const;
const READS = { 1: "readb", 2: "readw", 4: "readl", 8: "readq" } as const;

const configWrite = (offset: number, value: number): string[] => [
  `outl 0xcf8 ${hex(0x8000_0000 + DEVICE_SOURCE * 256 + offset)}`,
  `outl 0xcfc ${hex(value)}`,
];

/** A machine of a real QEMU. */
export class QemuSubject implements Subject {
  readonly name: string;
  readonly #qemu: QemuProgram;
  readonly #mode: Mode;
  #process: QemuProcess;
  #ram: number;
  readonly #memory = new Uint8Array(ARENA_SIZE);
  readonly #zeros = new Uint8Array(ARENA_SIZE);

  private constructor(qemu: QemuProgram, mode: Mode, process: QemuProcess) {
    this.name = `QEMU ${qemu.versionText}, ${mode}`;
    this.#qemu = qemu;
    this.#mode = mode;
    this.#process = process;
    this.#ram = openSync(process.ramFile, "r+");
  }

  static async start(qemu: QemuProgram, mode: Mode): Promise<QemuSubject> {
    return new QemuSubject(qemu, mode, await QemuProcess.start(qemu, mode));
  }

  /** Starts another process in place of one that has ended. */
  async restart(): Promise<void> {
    await this.end();
    this.#process = await QemuProcess.start(this.#qemu, this.#mode);
    this.#ram = openSync(this.#process.ramFile, "r+");
  }

  /** Ends the process. */
  async end(): Promise<void> {
    closeSync(this.#ram);
    await this.#process.end();
  }

  /** CAP and ECAP. */
  async capabilities(): Promise<{ readonly cap: bigint; readonly ecap: bigint }> {
    const [cap, ecap] = await this.#send([
      `readq ${hex(UNIT_BASE + 8)}`,
      `readq ${hex(UNIT_BASE + 16)}`,
    ]);
    return { cap: BigInt(cap!), ecap: BigInt(ecap!) };
  }

  async reset(buffer: Uint8Array): Promise<void> {
    await this.#guard(() => this.#process.qmp.reset());
    writeSync(this.#ram, this.#zeros, 0, ARENA_SIZE, ARENA_BASE);
    // With translation off the device fetches its buffer from where software has put it.
    writeSync(this.#ram, buffer, 0, DEVICE_BUFFER, ARENA_BASE);
    await this.#send([
      ...configWrite(0x10, BAR),
      ...configWrite(4, 6),
      ...this.#transfer(BigInt(ARENA_BASE), BUFFER_ADDRESS, DEVICE_BUFFER, false),
    ]);
    writeSync(this.#ram, this.#zeros, 0, DEVICE_BUFFER, ARENA_BASE);
  }

  async perform(step: Step): Promise<Observation> {
    const commands = this.#commandsOf(step);
    const answers = await this.#send([...commands, `read ${hex(UNIT_BASE)} ${REGISTERS_SIZE}`]);
    readSync(this.#ram, this.#memory, 0, ARENA_SIZE, ARENA_BASE);
    if (step.kind === "dma" && (BigInt(answers.at(-2)!) & 1n) !== 0n) {
      throw new QemuEnded("the device's DMA did not end");
    }
    return {
      value: step.kind === "read" ? BigInt(answers[0]!) : undefined,
      registers: Buffer.from(answers.at(-1)!.slice(2), "hex"),
      memory: this.#memory,
    };
  }

  async deviceBuffer(): Promise<Uint8Array> {
    await this.#send([
      `writel ${hex(UNIT_BASE + 0x18)} 0x0`,
      ...this.#transfer(BigInt(ARENA_BASE), BUFFER_ADDRESS, DEVICE_BUFFER, true),
    ]);
    const buffer = new Uint8Array(DEVICE_BUFFER);
    readSync(this.#ram, buffer, 0, DEVICE_BUFFER, ARENA_BASE);
    return buffer;
  }

  #commandsOf(step: Step): string[] {
    switch (step.kind) {
      case "write":
        return [`${WRITES[step.width]} ${hex(UNIT_BASE + step.offset)} ${hex(step.value)}`];
      case "read":
        return [`${READS[step.width]} ${hex(UNIT_BASE + step.offset)}`];
      case "store": {
        const bytes = new Uint8Array(BigUint64Array.from(step.words).buffer);
        writeSync(this.#ram, bytes, 0, bytes.length, Number(step.address));
        return [];
      }
      case "dma":
        return this.#transfer(step.iova, BUFFER_ADDRESS + step.at, step.length, step.writes);
    }
  }

  #transfer(iova: bigint, buffer: number, length: number, writes: boolean): string[] {
    const [from, to] = writes ? [buffer, iova] : [iova, buffer];
    const command = RUN | (writes ? TO_MEMORY : 0);
    return [
      `writeq ${hex(BAR + EDU.source)} ${hex(from)}`,
      `writeq ${hex(BAR + EDU.destination)} ${hex(to)}`,
      `writeq ${hex(BAR + EDU.count)} ${hex(length)}`,
      `writeq ${hex(BAR + EDU.command)} ${hex(command)}`,
      `clock_step ${DMA_NS}`,
      `readq ${hex(BAR + EDU.command)}`,
    ];
  }

  #send(commands: readonly string[]): Promise<string[]> {
    return this.#guard(() => this.#process.qtest.send(commands));
  }

  async #guard<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof QtestError)) throw error;
      throw new QemuEnded(`${error.message}; ${await this.#process.lastWords()}`);
    }
  }
}
