import { createSparseMemory } from "../../../memory/create.ts";
import { MockIommu } from "../../drivers/mock/mock-iommu.ts";
import type { Outcome } from "../../errno.ts";
import { FaultInjector } from "../../fault-injector.ts";
import { IommuCore } from "../../iommu/index.ts";
import { Frames } from "../../mm/frames.ts";
import { PROT_READ, PROT_WRITE } from "../../mm/mapping.ts";
import type { Mm } from "../../mm/mm.ts";
import { type Process, Processes } from "../../mm/process.ts";
import { SharedFile } from "../../mm/shared-file.ts";
import { type IommufdParts, openIommufd } from "../context.ts";
import { createTestCommands } from "../selftest.ts";
import type {
  Answer,
  Client,
  ClientRequest,
  Harness,
  IoctlAnswer,
  MmapOptions,
} from "./harness.ts";

/** Where the machine's RAM is: 64 MiB are plenty for a test. */
const RAM = [{ base: 0x10_0000n, length: 64n << 20n }];

/** A machine with nothing but memory and a mock IOMMU. */
export interface InProcessMachine {
  readonly faults: FaultInjector;
  readonly frames: Frames;
  readonly processes: Processes;
  readonly parts: IommufdParts;
}

export const createInProcessMachine = (): InProcessMachine => {
  const faults = new FaultInjector();
  const frames = new Frames(createSparseMemory(RAM), RAM, faults);
  const testCommands = createTestCommands(new MockIommu(faults));
  const parts = { frames, faults, core: new IommuCore(), testCommands };
  return { faults, frames, processes: new Processes(frames, faults), parts };
};

const answerOf = (outcome: Outcome<number>): Answer =>
  outcome.ok ? { errno: undefined, value: outcome.value } : { errno: outcome.errno, value: -1 };

class InProcessClient implements Client {
  readonly process: Process<Mm>;
  readonly #machine: InProcessMachine;
  /** A page for arguments, between two that are not mapped. */
  readonly #scratch: bigint;

  constructor(machine: InProcessMachine, process: Process<Mm>) {
    this.#machine = machine;
    this.process = process;
    this.#scratch = 0x7000_0000n;
    process.mm.map({ address: this.#scratch, length: 4096n });
  }

  async openIommufd(): Promise<number> {
    const fd = this.process.files.add(openIommufd(this.#machine.parts));
    if (!fd.ok) throw new Error(fd.errno);
    return fd.value;
  }

  async close(fd: number): Promise<void> {
    const closed = this.process.files.close(fd);
    if (!closed.ok) throw new Error(closed.errno);
  }

  async ioctl(fd: number, command: number, argument: Uint8Array | bigint): Promise<IoctlAnswer> {
    const file = this.process.files.file(fd);
    if (file === undefined) throw new Error("no such descriptor");
    if (typeof argument === "bigint") {
      return {
        ...answerOf(file.ioctl(this.process, command, argument)),
        argument: new Uint8Array(),
      };
    }
    this.process.mm.write(this.#scratch, argument);
    const answer = answerOf(file.ioctl(this.process, command, this.#scratch));
    const after = new Uint8Array(argument.length);
    this.process.mm.read(this.#scratch, after);
    return { ...answer, argument: after };
  }

  async read(fd: number, length: number): Promise<Answer & { readonly bytes: Uint8Array }> {
    const file = this.process.files.file(fd)!;
    const outcome = file.read(this.process, this.#scratch, length, 0n);
    const bytes = new Uint8Array(outcome.ok ? outcome.value : 0);
    this.process.mm.read(this.#scratch, bytes);
    return { ...answerOf(outcome), bytes };
  }

  async write(fd: number, bytes: Uint8Array): Promise<Answer> {
    this.process.mm.write(this.#scratch, bytes);
    const file = this.process.files.file(fd)!;
    return answerOf(file.write(this.process, this.#scratch, bytes.length, 0n));
  }

  async poll(fd: number): Promise<number> {
    return this.process.files.file(fd)!.poll();
  }

  async mmap(length: bigint, options: MmapOptions = {}): Promise<bigint> {
    const { shared = false, readOnly = false, fd, device = false } = options;
    const file = fd === undefined ? undefined : (this.process.files.file(fd) as SharedFile);
    const anonymous = shared && file === undefined;
    const backing = anonymous ? new SharedFile(this.#machine.frames, length) : file;
    const address = this.process.mm.map({
      length,
      shared,
      device,
      prot: readOnly ? PROT_READ : PROT_READ | PROT_WRITE,
      ...(backing === undefined ? {} : { file: backing }),
    });
    if (anonymous) backing?.put();
    if (!address.ok) throw new Error(address.errno);
    return address.value;
  }

  async munmap(address: bigint, length: bigint): Promise<void> {
    this.process.mm.unmap(address, length);
  }

  async memfd(length: bigint): Promise<number> {
    const fd = this.process.files.add(new SharedFile(this.#machine.frames, length));
    if (!fd.ok) throw new Error(fd.errno);
    return fd.value;
  }

  async load(address: bigint, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    if (!this.process.mm.read(address, bytes)) throw new Error("no memory there");
    return bytes;
  }

  async store(address: bigint, bytes: Uint8Array): Promise<void> {
    if (!this.process.mm.write(address, bytes)) throw new Error("no memory there");
  }

  async fork(): Promise<Client> {
    const child = this.#machine.processes.fork(this.process);
    if (!child.ok) throw new Error(child.errno);
    return new InProcessClient(this.#machine, child.value);
  }

  async exit(): Promise<void> {
    this.#machine.processes.exit(this.process);
  }
}

/** What a machine still holds, a sentence each. */
export const leaksOf = ({ frames, processes }: InProcessMachine): readonly string[] => {
  const { used, pins } = frames.counts;
  const charged = [0, 1000].map((uid) => processes.user(uid).lockedVm);
  return [
    ...(used > 0 ? [`${used} frames are in use`] : []),
    ...(pins > 0 ? [`${pins} pins are left`] : []),
    ...(charged.some((pages) => pages !== 0) ? [`users pay for ${charged.join(", ")} pages`] : []),
  ];
};

/** Clients as processes of a kernel in this process. */
export const inProcessHarness = (): Harness & { readonly machine: InProcessMachine } => {
  const machine = createInProcessMachine();
  return {
    name: "in process",
    machine,
    client: async (request?: ClientRequest) =>
      new InProcessClient(machine, machine.processes.create(request)),
    leaks: async () => {
      for (const process of machine.processes.alive) {
        machine.processes.exit(process as Process<Mm>);
      }
      return leaksOf(machine);
    },
  };
};
