import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { CommandError } from "../command-error.ts";

/** A kernel and its first file system. */
export interface Guest {
  readonly version: string;
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  /** Both again as files inside, for kexec; appended to `initrd`. */
  readonly second: Uint8Array | undefined;
}

const FILES = ["bzImage", "initrd.gz"] as const;

/** Both again, as an archive of files below /boot. */
const SECOND = "boot.cpio";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where guests are: the folder that SOFTIOMMU_GUEST names, else that of `npm run guest:build`. One folder a version. */
export const guestsFolder = (env: Environment = process.env): string =>
  env["SOFTIOMMU_GUEST"] ??
  join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "softiommu", "guest");

const numbersOf = (version: string): number[] => version.split(".").map(Number);

/** The versions that are built, newest first. */
export const guestVersions = (env: Environment = process.env): readonly string[] => {
  const folder = guestsFolder(env);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((version) => FILES.every((file) => existsSync(join(folder, version, file))))
    .sort((a, b) => {
      const [x, y] = [numbersOf(a), numbersOf(b)];
      return (y[0] ?? 0) - (x[0] ?? 0) || (y[1] ?? 0) - (x[1] ?? 0);
    });
};

/**
 * Reads a guest; the newest when no version is given.
 *
 * @throws CommandError when it is not built
 */
export const readGuest = (version?: string, env: Environment = process.env): Guest => {
  const folder = guestsFolder(env);
  const chosen = version ?? guestVersions(env)[0];
  if (chosen === undefined || !guestVersions(env).includes(chosen)) {
    const what = chosen === undefined ? "guest kernel" : `guest kernel ${chosen}`;
    throw new CommandError("input", what, `it is not built: nothing in ${folder}`, {
      hint: `npm run guest:build${chosen === undefined ? "" : ` -- ${chosen}`}, in a clone of the project`,
      details: { folder, version: chosen ?? null },
    });
  }
  const [kernel, initrd] = FILES.map((file) => readFileSync(join(folder, chosen, file)));
  const second = join(folder, chosen, SECOND);
  return {
    version: chosen,
    kernel: kernel!,
    initrd: initrd!,
    second: existsSync(second) ? readFileSync(second) : undefined,
  };
};

/** The first file system with the kernel inside it, so that it can start another. */
export const initrdForKexec = ({ initrd, second }: Guest): Uint8Array => {
  if (second === undefined) return initrd;
  const bytes = new Uint8Array(Math.ceil(initrd.length / 4) * 4 + second.length);
  bytes.set(initrd);
  bytes.set(second, bytes.length - second.length);
  return bytes;
};
