// npm run bench -- --boot: a real Linux in the PC of pc/, with its disk behind the unit and past it.

import { diskContents } from "../conformance/linux/disk.ts";
import { LinuxGuest } from "../conformance/linux/linux-guest.ts";
import { countWork, type UnitWork } from "../conformance/linux/run-case.ts";
import { orEnd } from "../src/cli/boot/guest-end.ts";
import { type Guest, readGuest } from "../src/cli/boot/guest-files.ts";
import {
  createGuestPc,
  DEFAULT_SETUP,
  type DomainMode,
  type GuestSetup,
} from "../src/cli/boot/guest-pc.ts";
import { type LoadedV86, loadV86 } from "../src/cli/boot/v86-files.ts";
import type { Pc } from "../src/pc/index.ts";
import { TraceChannel } from "../src/trace/index.ts";

const DISK_BYTES = 8 << 20;
const MIB = 1 << 20;
const BOOT_SECONDS = 240;

/** The same machine three times: pages invalidated one by one, as a whole, and no translation. */
const MODES: readonly DomainMode[] = ["strict", "lazy", "pass-through"];

/** What one mode has shown; times are the quickest of all rounds. */
interface BootFigures {
  readonly boot: number[];
  readonly save: number[];
  readonly restore: number[];
  readonly read: number[];
  booted?: UnitWork;
  copied?: UnitWork;
  snapshotBytes: number;
}

const seconds = async (action: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await action();
  return (performance.now() - began) / 1000;
};

const START = "dd if=/dev/sda of=/dev/null bs=64k iflag=direct 2>/dev/null";

class BootBench {
  readonly #guest: Guest;
  readonly #loaded: LoadedV86;
  readonly #disk = diskContents(DISK_BYTES);

  constructor(guest: Guest, loaded: LoadedV86) {
    this.#guest = guest;
    this.#loaded = loaded;
  }

  #setup(domains: DomainMode): GuestSetup {
    const kernel = this.#guest.version;
    return { ...DEFAULT_SETUP, unit: "legacy", domains, kernel, diskBytes: DISK_BYTES };
  }

  #make(domains: DomainMode, trace?: TraceChannel): Promise<Pc> {
    return createGuestPc({
      loaded: this.#loaded,
      setup: this.#setup(domains),
      guest: this.#guest,
      disk: this.#disk,
      ...(trace === undefined ? {} : { trace }),
    });
  }

  #ready(pc: Pc): Promise<unknown> {
    const said = Promise.all([
      pc.console.waitFor(/guest: ready[^\n]*\n/),
      pc.channel.waitFor("\n"),
      pc.console.waitFor("# "),
    ]);
    pc.start();
    return orEnd(pc, said, BOOT_SECONDS, "booting");
  }

  /** Times, without anybody listening. */
  async round(domains: DomainMode, figures: BootFigures): Promise<void> {
    const pc = await this.#make(domains);
    try {
      figures.boot.push(await seconds(() => this.#ready(pc)));
      const guest = new LinuxGuest(pc);
      figures.read.push(await seconds(() => guest.run(START)));
      let snapshot: Uint8Array = new Uint8Array();
      figures.save.push(
        await seconds(async () => {
          snapshot = await pc.save();
        }),
      );
      figures.snapshotBytes = snapshot.length;
      figures.restore.push(await seconds(() => pc.restore(snapshot)));
    } finally {
      await pc.destroy();
    }
  }

  /** Counts, of one more boot. */
  async count(domains: DomainMode, figures: BootFigures): Promise<void> {
    const trace = new TraceChannel();
    const pc = await this.#make(domains, trace);
    try {
      const booted = countWork(pc.units[0]!, trace);
      await this.#ready(pc);
      figures.booted = { ...booted, descriptors: new Map(booted.descriptors) };
      const copied = countWork(pc.units[0]!, trace);
      await new LinuxGuest(pc).run(START);
      figures.copied = copied;
    } finally {
      await pc.destroy();
    }
  }
}

const total = ({ descriptors }: UnitWork): number =>
  [...descriptors.values()].reduce((sum, count) => sum + count, 0);

/** What a boot and the reading of the disk make a driver do to the unit; both are the same every time. */
export interface BootCounts {
  readonly boot: { readonly reads: number; readonly writes: number; readonly descriptors: number };
  readonly descriptorsPerMegabyte: number;
}

/** @throws CommandError when v86 or the guest is missing */
export const countBoot = async (domains: DomainMode): Promise<BootCounts> => {
  const figures: BootFigures = { boot: [], save: [], restore: [], read: [], snapshotBytes: 0 };
  await new BootBench(readGuest(), await loadV86()).count(domains, figures);
  const { reads, writes } = figures.booted!;
  return {
    boot: { reads, writes, descriptors: total(figures.booted!) },
    descriptorsPerMegabyte: total(figures.copied!) / (DISK_BYTES / MIB),
  };
};

const row = (domains: DomainMode, figures: BootFigures): string => {
  const { boot, save, restore, read, booted, copied, snapshotBytes } = figures;
  const best = (values: readonly number[]): number => Math.min(...values);
  const megabytes = DISK_BYTES / MIB;
  const perMegabyte = (count: number): string => (count / megabytes).toFixed(1);
  return [
    domains.padEnd(13),
    `${best(boot).toFixed(2)} s`.padStart(8),
    `${(best(save) * 1000).toFixed(0)} ms`.padStart(8),
    `${(best(restore) * 1000).toFixed(0)} ms`.padStart(8),
    `${(snapshotBytes / MIB).toFixed(1)}`.padStart(9),
    `${(megabytes / best(read)).toFixed(1)}`.padStart(10),
    `${booted!.reads} + ${booted!.writes}, ${total(booted!)}`.padStart(16),
    `${perMegabyte(copied!.reads)} + ${perMegabyte(copied!.writes)}, ${perMegabyte(total(copied!))}`.padStart(
      20,
    ),
    perMegabyte(copied!.translations).padStart(12),
  ].join("  ");
};

/** Above the columns of `row`. */
const HEADING = [
  "domains      ",
  "    boot",
  "    save",
  " restore",
  "MiB saved",
  "read MiB/s",
  "     one boot: r",
  "     one MiB read: r",
  "translations",
].join("  ");

/**
 * Boots a real Linux in three modes, in turn, and prints times and counts.
 *
 * @throws CommandError when v86 or the guest is missing
 */
export const reportBoots = async (rounds: number): Promise<void> => {
  const bench = new BootBench(readGuest(), await loadV86());
  const all = new Map(
    MODES.map((domains): [DomainMode, BootFigures] => [
      domains,
      { boot: [], save: [], restore: [], read: [], snapshotBytes: 0 },
    ]),
  );
  for (let i = 0; i < rounds; i++) {
    for (const [domains, figures] of all) await bench.round(domains, figures);
  }
  for (const [domains, figures] of all) await bench.count(domains, figures);
  console.log(
    `Linux ${readGuest().version}, 64 MiB; the quickest of ${rounds} rounds. r: registers read + written, descriptors.\n`,
  );
  console.log(HEADING);
  for (const [domains, figures] of all) console.log(row(domains, figures));
};
