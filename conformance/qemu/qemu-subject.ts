import { closeSync, openSync, readSync, writeSync } from "node:fs";
import {
  ARENA_BASE,
  ARENA_SIZE,
  DEVICE_BUFFER,
  DEVICE_SOURCE,
  EXCHANGE,
  RAM_SIZE,
  REGISTER_RANGES,
  REGISTERS_SIZE,
  UNIT_BASE,
} from "./machine-map.ts";
import type { QemuProgram } from "./provision.ts";
import { type Mode, QemuProcess } from "./qemu-process.ts";
import { QtestError } from "./qtest.ts";
import { FORGET_INTERRUPT_TABLE } from "./registers.ts";
import type { Case, Range, Step, Trace, View } from "./step.ts";

/** QEMU is gone, or does not answer: what it was given was too much for it. */
export class QemuEnded extends Error {
  override readonly name = "QemuEnded";
}

/** Where the device's registers are put. */
const BAR = 0xfe00_0000;
/** Where DMA sees the device's own buffer. */
const BUFFER_ADDRESS = 0x4_0000;
const EDU = {
  raise: 0x60,
  acknowledge: 0x64,
  source: 0x80,
  destination: 0x88,
  count: 0x90,
  command: 0x98,
} as const;
/** The device's MSI capability, 64 bits wide. */
const MSI = { control: 0x40, address: 0x44, upper: 0x48, data: 0x4c } as const;
const MSI_ENABLED = 0x81_0005;
const RUN = 1;
const TO_MEMORY = 2;
/** The device's DMA takes 100 ms of virtual time. */
const DMA_NS = 100_000_000;
const CLOCK_STEP = `clock_step ${DMA_NS}`;
const DMA_STATE = `readq 0x${(BAR + EDU.command).toString(16)}`;
/** How often the state of a DMA is asked for, where time cannot be stepped, before it counts as stuck. */
const MOST_POLLS = 100_000;

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const WRITES = { 1: "writeb", 2: "writew", 4: "writel", 8: "writeq" } as const;
const READS = { 1: "readb", 2: "readw", 4: "readl", 8: "readq" } as const;

const configWrite = (offset: number, value: number): string[] => [
  `outl 0xcf8 ${hex(0x8000_0000 + DEVICE_SOURCE * 256 + offset)}`,
  `outl 0xcfc ${hex(value)}`,
];

const transfer = (iova: bigint, buffer: number, length: number, writes: boolean): string[] => {
  const [from, to] = writes ? [buffer, iova] : [iova, buffer];
  return [
    `writeq ${hex(BAR + EDU.source)} ${hex(from)}`,
    `writeq ${hex(BAR + EDU.destination)} ${hex(to)}`,
    `writeq ${hex(BAR + EDU.count)} ${hex(length)}`,
    `writeq ${hex(BAR + EDU.command)} ${hex(RUN | (writes ? TO_MEMORY : 0))}`,
    CLOCK_STEP,
  ];
};

const storeCommand = (address: bigint, words: readonly bigint[]): string => {
  const bytes = Buffer.from(BigUint64Array.from(words).buffer);
  return `write ${hex(address)} ${hex(bytes.length)} 0x${bytes.toString("hex")}`;
};

const commandsOf = (step: Step): string[] => {
  switch (step.kind) {
    case "write":
      return [`${WRITES[step.width]} ${hex(UNIT_BASE + step.offset)} ${hex(step.value)}`];
    case "read":
      return [`${READS[step.width]} ${hex(UNIT_BASE + step.offset)}`];
    case "store":
      return [storeCommand(step.address, step.words)];
    case "dma":
      return transfer(step.iova, BUFFER_ADDRESS + step.at, step.length, step.writes);
    case "msi":
      return [
        ...configWrite(MSI.address, step.address),
        ...configWrite(MSI.data, step.data),
        `writel ${hex(BAR + EDU.raise)} 0x1`,
        `writel ${hex(BAR + EDU.acknowledge)} 0x1`,
      ];
  }
};

/** Up to the end of the last range; a reply costs more than the bytes between. */
const READ_REGISTERS = `read ${hex(UNIT_BASE)} ${hex(Math.max(...REGISTER_RANGES.map(([offset, length]) => offset + length)))}`;

/** Stores in front of everything else need no order among the commands: they are laid into memory at once. */
const leadingStores = (steps: readonly Step[]): number => {
  const first = steps.findIndex(({ kind }) => kind !== "store");
  return first < 0 ? steps.length : first;
};

const arenaWith = (stores: readonly Step[]): Uint8Array => {
  const words = new BigUint64Array(ARENA_SIZE / 8);
  for (const step of stores) {
    if (step.kind === "store") words.set(step.words, (Number(step.address) - ARENA_BASE) / 8);
  }
  return new Uint8Array(words.buffer);
};

/** What every case begins with, after the reset. */
const PREPARE = [
  ...configWrite(0x10, BAR),
  ...configWrite(4, 6),
  ...configWrite(MSI.upper, 0),
  ...configWrite(MSI.control, MSI_ENABLED),
  // With translation off the device fetches its buffer from where software has put it.
  ...transfer(BigInt(EXCHANGE), BUFFER_ADDRESS, DEVICE_BUFFER, false),
];

/** What every case ends with: the device's buffer is brought into memory. */
const FINISH = [
  `writel ${hex(UNIT_BASE + 0x18)} 0x0`,
  ...transfer(BigInt(EXCHANGE), BUFFER_ADDRESS, DEVICE_BUFFER, true),
  DMA_STATE,
];

/** What has to be done before a reset. */
const BEFORE_RESET = FORGET_INTERRUPT_TABLE.map(
  ({ offset, width, value }) => `${WRITES[width]} ${hex(UNIT_BASE + offset)} ${hex(value)}`,
);

/** A machine of a real QEMU. */
export class QemuSubject {
  readonly name: string;
  readonly #qemu: QemuProgram;
  readonly #mode: Mode;
  #process: QemuProcess;
  #ram: number;
  /** A reset that is under way already. */
  #resetting: Promise<void> | undefined = undefined;

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
    this.#resetting = undefined;
    this.#process = await QemuProcess.start(this.#qemu, this.#mode);
    this.#ram = openSync(this.#process.ramFile, "r+");
  }

  /** Ends the process. */
  async end(): Promise<void> {
    if (this.#ram < 0) return;
    closeSync(this.#ram);
    this.#ram = -1;
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

  /**
   * Does a case from reset on, all of it in one batch.
   *
   * @param ranges by step, what memory is looked at
   * @param meanwhile called once everything has been sent
   * @throws QemuEnded
   */
  async run(
    { buffer, steps }: Pick<Case, "buffer" | "steps">,
    ranges: readonly (readonly Range[])[],
    meanwhile: () => void = () => {},
  ): Promise<Trace> {
    if (this.#resetting === undefined) await this.#send(BEFORE_RESET);
    await this.#guard(() => this.#resetting ?? this.#process.qmp.reset());
    this.#resetting = undefined;
    const setup = leadingStores(steps);
    writeSync(this.#ram, arenaWith(steps.slice(0, setup)), 0, ARENA_SIZE, ARENA_BASE);
    writeSync(this.#ram, buffer, 0, DEVICE_BUFFER, EXCHANGE);
    this.#process.takeInterrupts();
    const commands = [...PREPARE];
    const starts = steps.map((step, i) => {
      const start = commands.length;
      if (i < setup) return start;
      commands.push(...commandsOf(step));
      if (step.kind === "store") return start;
      commands.push(READ_REGISTERS);
      for (const { address, length } of ranges[i]!)
        commands.push(`read ${hex(address)} ${hex(length)}`);
      return start;
    });
    const answered = this.#send([...commands, ...FINISH, ...BEFORE_RESET]);
    meanwhile();
    const answers = await answered;
    if ((BigInt(answers.at(-1 - BEFORE_RESET.length)!) & 1n) !== 0n)
      throw new QemuEnded("the device's DMA did not end");
    const memory = this.#read(ARENA_BASE, ARENA_SIZE);
    const interrupts = this.#process.takeInterrupts();
    // It takes a while, and nobody needs to wait for it.
    this.#resetting = this.#process.qmp.reset();
    this.#resetting.catch(() => {});
    const views = steps.map((step, i) => viewOf(step, answers, starts[i]!, ranges[i]!));
    return { views, memory, interrupts, buffer: this.#read(EXCHANGE, DEVICE_BUFFER) };
  }

  /** All of RAM. */
  ram(): Uint8Array {
    return this.#read(0, RAM_SIZE);
  }

  #read(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    readSync(this.#ram, bytes, 0, length, address);
    return bytes;
  }

  #send(commands: readonly string[]): Promise<string[]> {
    return this.#guard(() =>
      this.#qemu.hasQtestAccelerator
        ? this.#process.qtest.send(commands)
        : this.#sendByDma(commands),
    );
  }

  /** Where time cannot be stepped it jumps by itself, soon: each DMA is waited for. */
  async #sendByDma(commands: readonly string[]): Promise<string[]> {
    const answers: string[] = [];
    for (let at = 0; at < commands.length; ) {
      const step = commands.indexOf(CLOCK_STEP, at);
      const end = step < 0 ? commands.length : step;
      answers.push(...(await this.#process.qtest.send(commands.slice(at, end))));
      if (step >= 0) answers.push(await this.#awaitDma());
      at = end + 1;
    }
    return answers;
  }

  async #awaitDma(): Promise<string> {
    for (let polls = 0; polls < MOST_POLLS; polls++) {
      const [state] = await this.#process.qtest.send([DMA_STATE]);
      if ((BigInt(state!) & 1n) === 0n) return state!;
    }
    throw new QemuEnded("the device's DMA did not end");
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

const bytesOf = (answer: string): Uint8Array => Buffer.from(answer.slice(2), "hex");

const viewOf = (
  step: Step,
  answers: readonly string[],
  start: number,
  ranges: readonly Range[],
): View | undefined => {
  if (step.kind === "store") return undefined;
  let at = start + commandsOf(step).length;
  const page = bytesOf(answers[at++]!);
  const registers = new Uint8Array(REGISTERS_SIZE);
  let filled = 0;
  for (const [offset, length] of REGISTER_RANGES) {
    registers.set(page.subarray(offset, offset + length), filled);
    filled += length;
  }
  const written = ranges.map(() => bytesOf(answers[at++]!));
  return {
    value: step.kind === "read" ? BigInt(answers[start]!) : undefined,
    registers,
    written,
  };
};
