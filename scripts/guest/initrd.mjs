// The guest's first file system: busybox, our own programs and the script that starts them.

import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ROOT } from "../install.mjs";
import {
  hashOf,
  inGuest,
  isCurrent,
  readManifest,
  replaceFile,
  VERSIONS,
  writeManifest,
} from "./cache.mjs";
import { run } from "./commands.mjs";
import { archive, characterDevice, directory, file, link } from "./cpio.mjs";
import { busyboxFolder, staticCompiler } from "./toolchain.mjs";

/** Counts changes of this file that make another file system. */
const RECIPE = 1;

/** What busybox is called inside. */
const APPLETS =
  `[ awk base64 basename blockdev cat chmod cmp cp cut date dd devmem df dirname dmesg du echo egrep env expr false find free
  fsfreeze grep gunzip gzip halt head hexdump hostname id kill less ln ls md5sum mkdir mke2fs mknod more mount mv nproc od
  pidof poweroff printf ps pwd readlink realpath reboot rm rmdir sed seq setsid sh sha256sum sleep sort stat stty sync
  sysctl tail tee test time timeout top touch tr true umount uname uniq uptime usleep vi watch wc which xargs xxd yes zcat`.split(
    /\s+/,
  );

/** Our programs and what each is made of, below guest/. */
const PROGRAMS = {
  script: () =>
    readdirSync(join(ROOT, "guest/script"))
      .filter((name) => name.endsWith(".c"))
      .sort()
      .map((name) => `script/${name}`),
  kexec: () => ["kexec.c"],
};

const sources = () => {
  const folder = join(ROOT, "guest");
  const names = [
    "init",
    "kexec.c",
    ...readdirSync(join(folder, "script")).map((n) => `script/${n}`),
  ];
  return names.filter((name) => !name.endsWith(".test.ts")).sort();
};

/** @param {string} version */
const inputsOf = (version) => {
  const { kernel } = readManifest(version);
  return hashOf([
    String(RECIPE),
    APPLETS.join(" "),
    VERSIONS.busybox,
    ...VERSIONS.libraries,
    kernel?.files["bzImage"]?.sha256 ?? "",
    ...sources().flatMap((name) => [name, readFileSync(join(ROOT, "guest", name))]),
  ]);
};

/**
 * @param {string} version whose headers they are built with
 * @param {() => void} openArchive
 * @returns {Record<string, Buffer>} our programs, static and without symbols
 */
const buildPrograms = (version, openArchive) => {
  const compiler = staticCompiler(openArchive);
  const folder = inGuest(version, "programs");
  mkdirSync(folder, { recursive: true });
  const built = Object.entries(PROGRAMS).map(([name, parts]) => {
    const target = join(folder, name);
    const files = parts().map((part) => join(ROOT, "guest", part));
    const flags = ["-std=gnu11", "-O1", "-s", "-Wall", "-Wextra", "-Werror"];
    const headers = ["-isystem", inGuest(version, "headers")];
    run([...compiler, ...flags, ...headers, "-o", target, ...files]);
    return [name, readFileSync(target)];
  });
  rmSync(folder, { recursive: true });
  return Object.fromEntries(built);
};

/**
 * @param {Record<string, Buffer>} programs
 * @param {Buffer} busybox
 */
const fileSystem = (programs, busybox) =>
  archive([
    ...["bin", "dev", "proc", "sys", "tmp"].map(directory),
    // The kernel opens it for the first process, before anything is mounted.
    characterDevice("dev/console", 5, 1),
    file("init", readFileSync(join(ROOT, "guest/init")), 0o755),
    file("bin/busybox", busybox, 0o755),
    ...APPLETS.map((name) => link(`bin/${name}`, "busybox")),
    ...Object.entries(programs).map(([name, data]) => file(`bin/${name}`, data, 0o755)),
  ]);

/**
 * Makes `initrd.gz`, and `boot.cpio`, which holds it and the kernel once more
 * for a guest that starts the next one, where they are not made of these inputs
 * already.
 *
 * @param {string} version
 * @param {{ openArchive: () => void, say: (text: string) => void }} options
 */
export const buildInitrd = (version, { openArchive, say }) => {
  const inputs = inputsOf(version);
  if (isCurrent(version, readManifest(version).initrd, inputs)) return;
  const began = performance.now();
  const busybox = readFileSync(join(busyboxFolder(openArchive), "bin/busybox"));
  const system = gzipSync(fileSystem(buildPrograms(version, openArchive), busybox), { level: 9 });
  const boot = archive([
    directory("boot"),
    file("boot/bzImage", readFileSync(inGuest(version, "bzImage"))),
    file("boot/initrd.gz", system),
  ]);
  const files = {
    "initrd.gz": replaceFile(inGuest(version, "initrd.gz"), system),
    "boot.cpio": replaceFile(inGuest(version, "boot.cpio"), boot),
  };
  const seconds = Math.round((performance.now() - began) / 1000);
  writeManifest(version, { initrd: { inputs, seconds, files } });
  say(`initrd: ${system.length} bytes in ${seconds} s`);
};
