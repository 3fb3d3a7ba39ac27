import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { debianMirror, readAptSources } from "./apt-sources.ts";

/** A QEMU that can be started. */
export interface QemuProgram {
  /** Program and first arguments. */
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Major and minor version as one number: 7.2 is 702, 11.1 is 1101. */
  readonly version: number;
  /** As it says it. */
  readonly versionText: string;
  /** Whether it can run with virtual time that stands still; without it a halted processor must do. */
  readonly hasQtestAccelerator: boolean;
}

/** A QEMU, or why there is none, as a line to print. */
export type Provision =
  | { readonly ok: true; readonly qemu: QemuProgram }
  | { readonly ok: false; readonly missing: string };

/** The QEMU that is looked for and, in a folder of its own, installed. */
const PROGRAM = "qemu-system-x86_64";
const SUITE = "sid";
const PACKAGES = "qemu-system-x86,seabios";

/** The folder for what can be made again. */
const cacheFolder = (): string =>
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "softiommu");

const installedFolder = (): string => join(cacheFolder(), `qemu-${SUITE}`);

/** Arguments of a machine without anything, whose monitor reads the probe's input. */
const QUITS_AT_ONCE = ["-machine", "none", "-display", "none", "-S", "-monitor", "stdio"];

const probe = (
  command: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): QemuProgram | undefined => {
  const [program, ...first] = command;
  const run = (...args: readonly string[]): string | undefined => {
    const options = {
      encoding: "utf8",
      env: { ...process.env, ...env },
      timeout: 20_000,
      input: "quit\n",
    } as const;
    const { status, stdout } = spawnSync(program, [...first, ...args], options);
    return status === 0 ? stdout : undefined;
  };
  const found = /version ((\d+)\.(\d+)\S*)/.exec(run("--version") ?? "");
  if (found === null) return undefined;
  const version = Number(found[2]) * 100 + Number(found[3]);
  return {
    command,
    env,
    version,
    versionText: found[1]!,
    // In no list that QEMU prints, for it may be a module: whoever wants to know must start one.
    hasQtestAccelerator: run(...QUITS_AT_ONCE, "-accel", "qtest") !== undefined,
  };
};

/**
 * The QEMU in a Debian folder, run with that folder's libraries: nobody has to
 * be root for it, and the paths it is given are the machine's own.
 */
const inFolder = (folder: string): QemuProgram | undefined => {
  const libraries = join(folder, "usr/lib/x86_64-linux-gnu");
  const share = ["usr/share/qemu", "usr/share/seabios"].flatMap((at) => ["-L", join(folder, at)]);
  const loader = join(folder, "lib64/ld-linux-x86-64.so.2");
  const program = join(folder, "usr/bin", PROGRAM);
  if (!existsSync(program)) return undefined;
  return probe([loader, "--library-path", libraries, program, ...share], {
    QEMU_MODULE_DIR: join(libraries, "qemu"),
  });
};

const isUsable = (command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args, { stdio: "ignore" }).error === undefined;

/** Whether a folder could be made here; if not, what is missing. */
const cannotInstall = (): string | undefined => {
  if (process.getuid?.() !== 0) return "to make a folder with one takes root";
  if (!isUsable("debootstrap", "--version")) return "to make a folder with one takes debootstrap";
  if (debianMirror(readAptSources()) === undefined) return "apt here knows no Debian archive";
  return undefined;
};

/** Makes the folder; a line of what went wrong, if something did. */
const install = (say: (line: string) => void): Promise<string | undefined> => {
  const folder = installedFolder();
  const part = `${folder}.${process.pid}`;
  mkdirSync(cacheFolder(), { recursive: true });
  say(`Making ${folder} with a QEMU in it (debootstrap, some 400 MB, once)`);
  const mirror = debianMirror(readAptSources())!;
  const args = ["--variant=minbase", `--include=${PACKAGES}`, SUITE, part, mirror];
  return new Promise((resolve) => {
    const child = spawn("debootstrap", args, { stdio: ["ignore", "pipe", "pipe"] });
    const stop = (): void => {
      child.kill("SIGTERM");
    };
    let last = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        last = text.trimEnd().split("\n").at(-1) ?? last;
      });
    }
    // Whoever has set a time for it gets no half of a folder.
    const giveUp = (): void => {
      stop();
      rmSync(part, { recursive: true, force: true });
      process.exit(1);
    };
    process.once("exit", stop);
    process.once("SIGTERM", giveUp);
    child.on("close", (status) => {
      process.off("exit", stop);
      process.off("SIGTERM", giveUp);
      if (status === 0) renameSync(part, folder);
      else rmSync(part, { recursive: true, force: true });
      resolve(status === 0 ? undefined : `debootstrap failed: ${last}`);
    });
  });
};

/** How a QEMU is looked for. */
export interface ProvisionOptions {
  /** The path of a program, or of a folder with a Debian in it. */
  readonly path?: string | undefined;
  /** Told what takes long. */
  readonly say: (line: string) => void;
}

/** The QEMU named, else the one that `SOFTIOMMU_QEMU` names, else the one in the folder made before, else the machine's own. */
export const findQemu = (named?: string): Provision => {
  const path = named ?? process.env["SOFTIOMMU_QEMU"];
  if (path !== undefined && path !== "") {
    const qemu = inFolder(path) ?? probe([path], {});
    return qemu === undefined
      ? { ok: false, missing: `${path} is no ${PROGRAM} that runs` }
      : { ok: true, qemu };
  }
  const qemu = inFolder(installedFolder()) ?? probe([PROGRAM], {});
  if (qemu !== undefined) return { ok: true, qemu };
  return { ok: false, missing: `there is no ${PROGRAM}; npm run conformance:qemu makes one` };
};

/** As `findQemu`; where nobody names one and there is no folder, makes the folder first. */
export const provideQemu = async ({ path, say }: ProvisionOptions): Promise<Provision> => {
  const isNamed = (path ?? process.env["SOFTIOMMU_QEMU"] ?? "") !== "";
  if (isNamed || inFolder(installedFolder()) !== undefined) return findQemu(path);
  const obstacle = cannotInstall();
  const problem = obstacle ?? (await install(say));
  const found = findQemu(path);
  if (found.ok || problem === undefined) return found;
  return { ok: false, missing: `there is no ${PROGRAM}: ${problem}` };
};
