import { fail, type Outcome, ok } from "../errno.ts";
import type { FaultInjector } from "../fault-injector.ts";
import type { AddressSpace } from "./address-space.ts";
import { FileTable } from "./file-table.ts";
import type { Frames } from "./frames.ts";
import { Mm } from "./mm.ts";
import { ALL_CAPABILITIES, type Capability, User } from "./user.ts";

/** The limit of locked memory that a user's processes begin with, in bytes. */
const DEFAULT_MEMLOCK = 8n << 20n;

/** Who a process is and what it may use. */
export interface ProcessRequest {
  /** 0 when absent. */
  readonly uid?: number;
  /** All for uid 0, none for others when absent. */
  readonly capabilities?: readonly Capability[];
  /** RLIMIT_MEMLOCK in bytes; 8 MiB when absent. */
  readonly memlock?: bigint;
}

/** A process: memory, descriptors, credentials and limits. `Memory` is `Mm` where the memory is the kernel's own. */
export class Process<Memory extends AddressSpace = AddressSpace> {
  readonly pid: number;
  readonly mm: Memory;
  readonly files: FileTable;
  readonly user: User;
  capabilities: ReadonlySet<Capability>;
  /** RLIMIT_MEMLOCK in bytes. */
  memlock: bigint;

  constructor(
    pid: number,
    mm: Memory,
    files: FileTable,
    user: User,
    capabilities: ReadonlySet<Capability>,
    memlock: bigint,
  ) {
    this.pid = pid;
    this.mm = mm;
    this.files = files;
    this.user = user;
    this.capabilities = capabilities;
    this.memlock = memlock;
  }

  may(capability: Capability): boolean {
    return this.capabilities.has(capability);
  }
}

/** All processes and users of one kernel. */
export class Processes {
  readonly #frames: Frames;
  readonly #faults: FaultInjector;
  readonly #users = new Map<number, User>();
  readonly #alive = new Set<Process>();
  #lastPid = 0;

  constructor(frames: Frames, faults: FaultInjector) {
    this.#frames = frames;
    this.#faults = faults;
  }

  get alive(): readonly Process[] {
    return [...this.#alive];
  }

  /** The user with an id; the same object for all of its processes. */
  user(uid: number): User {
    let user = this.#users.get(uid);
    if (user === undefined) {
      user = new User(uid);
      this.#users.set(uid, user);
    }
    return user;
  }

  /** A new process with empty memory. */
  create(request: ProcessRequest = {}): Process<Mm> {
    return this.#add(new Mm(this.#frames), new FileTable(this.#faults), request);
  }

  /** A process whose memory is somebody else's. */
  adopt<Memory extends AddressSpace>(mm: Memory, request: ProcessRequest = {}): Process<Memory> {
    return this.#add(mm, new FileTable(this.#faults), request);
  }

  #add<Memory extends AddressSpace>(
    mm: Memory,
    files: FileTable,
    request: ProcessRequest,
  ): Process<Memory> {
    const { uid = 0, memlock = DEFAULT_MEMLOCK } = request;
    const capabilities = request.capabilities ?? (uid === 0 ? ALL_CAPABILITIES : []);
    this.#lastPid += 1;
    const user = this.user(uid);
    const process = new Process(this.#lastPid, mm, files, user, new Set(capabilities), memlock);
    this.#alive.add(process);
    return process;
  }

  /** @returns the child; ENOMEM */
  fork(parent: Process<Mm>): Outcome<Process<Mm>> {
    const mm = parent.mm.fork();
    if (!mm.ok) return fail(mm.errno);
    return ok(
      this.#add(mm.value, parent.files.clone(), {
        uid: parent.user.uid,
        capabilities: [...parent.capabilities],
        memlock: parent.memlock,
      }),
    );
  }

  /** Ends a process: its descriptors close, and its memory goes, but for what is pinned. */
  exit(process: Process<Mm>): void {
    this.#alive.delete(process);
    process.files.closeAll();
    process.mm.exit();
  }
}
