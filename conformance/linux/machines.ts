import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { orEnd } from "../../src/cli/boot/guest-end.ts";
import { type Guest, readGuest } from "../../src/cli/boot/guest-files.ts";
import { createGuestPc, DEFAULT_SETUP, type GuestSetup } from "../../src/cli/boot/guest-pc.ts";
import { type LoadedV86, loadV86 } from "../../src/cli/boot/v86-files.ts";
import type { Pc } from "../../src/pc/index.ts";
import { TraceChannel } from "../../src/trace/index.ts";
import { diskContents } from "./disk.ts";
import { bootProblems, type KernelMessage, readMessages } from "./kernel-log.ts";
import { LinuxGuest } from "./linux-guest.ts";

/** The machines that cases run on, each booted once. */
export const MACHINES = {
  strict: { unit: "legacy", domains: "strict" },
  lazy: { unit: "legacy", domains: "lazy" },
  "pass-through": { unit: "legacy", domains: "pass-through" },
  off: { unit: "legacy", domains: "off" },
  caching: { unit: "legacy", domains: "strict", cachingMode: true },
  "first-stage": { unit: "scalable-fs", domains: "strict" },
  "second-stage": { unit: "scalable-ss", domains: "strict" },
  nested: { unit: "nested", domains: "strict" },
} as const satisfies Readonly<Record<string, Partial<GuestSetup>>>;

/** A name in `MACHINES`. */
export type MachineName = keyof typeof MACHINES;

/** Bytes of every machine's disk. */
export const DISK_BYTES: number = 1 << 20;

/** Seconds that a boot may take on a busy host. */
const BOOT_SECONDS = 240;

/** A machine that has been booted, as it stands at its prompt. */
interface Booted {
  readonly snapshot: Uint8Array;
  /** What the kernel said while it booted. */
  readonly messages: readonly KernelMessage[];
  /** Seconds that the boot took; 0 where it was kept from a run before. */
  readonly seconds: number;
}

/** Everything that a snapshot depends on besides the guest: our own code. */
const sourceHash = (root: string): string => {
  const hash = createHash("sha256");
  const files = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .sort();
  for (const path of files) hash.update(path).update(readFileSync(join(root, path)));
  return hash.digest("hex");
};

/** Boots machines, and gives out any number of PCs that go on from there. */
export class Machines {
  readonly guest: Guest;
  readonly #loaded: LoadedV86;
  readonly #booted = new Map<MachineName, Promise<Booted>>();
  readonly #folder: string | undefined;
  readonly #key: string;

  private constructor(guest: Guest, loaded: LoadedV86, root: string | undefined) {
    this.guest = guest;
    this.#loaded = loaded;
    this.#folder = root && join(root, ".cache", "linux", guest.version);
    const ours = root === undefined ? "" : sourceHash(join(root, "src"));
    const rig = root === undefined ? "" : sourceHash(join(root, "conformance", "linux"));
    this.#key = createHash("sha256")
      .update(guest.kernel)
      .update(guest.initrd)
      .update(ours)
      .update(rig)
      .digest("hex")
      .slice(0, 16);
  }

  /**
   * @param version of the kernel; the newest when absent
   * @param root the repository, in whose `.cache` booted machines are kept between runs; kept nowhere when absent
   * @throws CommandError when v86 or the guest is missing
   */
  static async create(version?: string, root?: string): Promise<Machines> {
    return new Machines(readGuest(version), await loadV86(), root);
  }

  setup(name: MachineName): GuestSetup {
    const { version: kernel } = this.guest;
    return { ...DEFAULT_SETUP, diskBytes: DISK_BYTES, kernel, ...MACHINES[name] };
  }

  /** What a machine did while it booted. */
  boot(name: MachineName): Promise<Booted> {
    const known = this.#booted.get(name) ?? this.#kept(name) ?? this.#boot(name);
    this.#booted.set(name, known);
    return known;
  }

  /** Gives back the memory that a machine's snapshot takes. */
  forget(name: MachineName): void {
    this.#booted.delete(name);
  }

  #file(name: MachineName): string | undefined {
    return this.#folder && join(this.#folder, `${name}-${this.#key}.gz`);
  }

  #kept(name: MachineName): Promise<Booted> | undefined {
    const file = this.#file(name);
    if (file === undefined || !existsSync(file)) return undefined;
    const bytes = gunzipSync(readFileSync(file));
    const end = bytes.indexOf(0x0a);
    const messages = JSON.parse(bytes.toString("utf8", 0, end)) as KernelMessage[];
    return Promise.resolve({ snapshot: bytes.subarray(end + 1), messages, seconds: 0 });
  }

  #keep(name: MachineName, { snapshot, messages }: Booted): void {
    const file = this.#file(name);
    if (file === undefined || this.#folder === undefined) return;
    mkdirSync(this.#folder, { recursive: true });
    for (const old of readdirSync(this.#folder)) {
      if (old.startsWith(`${name}-`)) rmSync(join(this.#folder, old));
    }
    const head = Buffer.from(`${JSON.stringify(messages)}\n`);
    writeFileSync(file, gzipSync(Buffer.concat([head, snapshot]), { level: 1 }));
  }

  async #boot(name: MachineName): Promise<Booted> {
    const began = performance.now();
    const pc = await this.make(name, new TraceChannel());
    try {
      const seconds = (performance.now() - began) / 1000;
      const messages = await readMessages(new LinuxGuest(pc));
      const booted = { snapshot: await pc.save(), messages, seconds };
      if (bootProblems(messages).length === 0) this.#keep(name, booted);
      return booted;
    } finally {
      await pc.destroy();
    }
  }

  /** A PC that has just booted and runs. */
  async make(name: MachineName, trace: TraceChannel): Promise<Pc> {
    const pc = await createGuestPc({
      loaded: this.#loaded,
      setup: this.setup(name),
      guest: this.guest,
      kexec: true,
      disk: diskContents(DISK_BYTES),
      trace,
    });
    const ready = Promise.all([
      pc.console.waitFor(/guest: ready[^\n]*\n/),
      pc.channel.waitFor("\n"),
      pc.console.waitFor("# "),
    ]);
    pc.start();
    try {
      await orEnd(pc, ready, BOOT_SECONDS, "booting");
      return pc;
    } catch (error) {
      await pc.destroy();
      throw error;
    }
  }

  /** A PC that goes on where the machine's boot ended, and runs. */
  async resume(name: MachineName, trace: TraceChannel): Promise<Pc> {
    const { snapshot } = await this.boot(name);
    const pc = await createGuestPc({ loaded: this.#loaded, setup: this.setup(name), trace });
    await pc.restore(snapshot);
    pc.start();
    return pc;
  }
}
