import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { readGuest } from "../../test/guest.ts";
import { PcRig } from "../../test/pc-rig.ts";
import { lacks } from "../../test/requirement.ts";
import { requesterId } from "../hardware/pci/index.ts";
import { enumerateUnit } from "../hardware/vtd/index.ts";
import { PC_UNITS, type PcUnitName } from "./profiles.ts";

const MINUTES = 60_000;
const ENGINE = requesterId(0, 4, 0);
const DISKS = requesterId(0, 30, 0);

const ARGUMENTS = [
  "console=ttyS0,115200",
  "quiet",
  "tsc=reliable",
  "mitigations=off",
  "random.trust_cpu=on",
];

const DISK = Uint8Array.from({ length: 4 << 20 }, (_, i) =>
  (i & 0x1ff) === 0x1fe ? 0 : (i * 7 + (i >>> 9)) & 0xff,
);

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** A PC with one unit that would start Linux. */
const create = (name: PcUnitName): Promise<PcRig> => {
  const { kernel, initrd } = readGuest();
  const mode = name === "legacy" ? "intel_iommu=on,sm_off" : "intel_iommu=on,sm_on";
  return PcRig.create({
    memoryBytes: 64 << 20,
    boot: { kernel, initrd, commandLine: [...ARGUMENTS, mode].join(" ") },
    units: [{ capabilities: PC_UNITS[name] }],
    disk: DISK,
  });
};

const untilShell = async ({ pc }: PcRig): Promise<void> => {
  await pc.console.waitFor("guest: ready");
  await pc.console.waitFor("# ");
};

/** Snapshots of Linux at its shell: each mode is booted once. */
const snapshots = new Map<PcUnitName, Uint8Array>();

/** A PC with Linux at its shell. */
const linux = async (name: PcUnitName): Promise<PcRig> => {
  const rig = await create(name);
  const snapshot = snapshots.get(name);
  if (snapshot !== undefined) {
    await rig.pc.restore(snapshot);
    rig.pc.start();
    return rig;
  }
  rig.pc.start();
  await untilShell(rig);
  snapshots.set(name, await rig.pc.save());
  return rig;
};

/** Has the guest's shell do something, and returns what it prints. */
const shell = async ({ pc }: PcRig, command: string): Promise<string> => {
  pc.console.discard();
  // Quotes keep the echo of the line from being taken for its end.
  pc.console.write(`${command}; echo do""ne\n`);
  const text = await pc.console.waitFor("done\r\n");
  // A line that comes before the prompt is echoed twice, by the terminal and by the shell.
  const echo = 'do""ne\r\n';
  return text.slice(text.lastIndexOf(echo) + echo.length, -"done\r\n".length);
};

/** The root table's address, as the kernel's debugfs tells it. */
const rootTable = async (rig: PcRig): Promise<bigint> => {
  const path = "/sys/kernel/debug/iommu/intel/dmar_translation_struct";
  const found = /Root Table Address: (0x[0-9a-f]+)/.exec(await shell(rig, `head -1 ${path}`));
  return BigInt(found?.[1] ?? 0);
};

describe.skipIf(lacks("guest"))("Linux on a PC", () => {
  it.each<[PcUnitName, string]>([
    ["legacy", "legacy"],
    ["nested", "scalable"],
  ])(
    "PC-LINUX-01, PC-LINUX-02: boots to a shell, with its driver on our unit: %s",
    async (name, mode) => {
      const rig = await linux(name);
      const [unit] = rig.pc.units;
      expect(await shell(rig, "dmesg | grep DMAR")).toContain(
        "DMAR: Intel(R) Virtualization Technology for Directed I/O",
      );
      expect(await shell(rig, "dmesg | grep -c ECAM")).not.toBe("0\r\n");
      expect(await rootTable(rig)).toBe(unit!.translation.rootTableAddress & ~0xfffn);
      const found = enumerateUnit({
        capabilities: unit!.capabilities,
        memory: rig.pc.memory,
        rtaddr: unit!.translation.rootTableAddress,
      });
      expect(found.mode).toBe(mode);
      const sources = found.devices.map(({ source }) => source);
      expect(sources).toEqual(expect.arrayContaining([ENGINE, DISKS]));
      // Every block of the disk has come through these tables.
      const walks = unit!.translation.counters.walks;
      expect(await shell(rig, "sha256sum /dev/sda")).toContain(sha256(DISK));
      expect(unit!.translation.counters.walks).toBeGreaterThan(walks + DISK.length / 4096 / 2);
      await rig.pc.destroy();
    },
    4 * MINUTES,
  );

  it(
    "PC-LINUX-03: a device's stray request is refused, and the kernel says whose and why",
    async () => {
      const rig = await linux("legacy");
      rig.engine.function.config.write(4, 2, 6);
      expect(rig.engine.port.read(0x1234_5000n, 4)).toMatchObject({ ok: false });
      const message =
        /DMAR: \[DMA Read NO_PASID\] Request device \[(?:0000:)?00:04\.0\] fault addr 0x12345000 \[fault reason 0x0?6\]/;
      let log = "";
      while (!message.test(log)) log = await shell(rig, "dmesg | grep -A1 'DMA Read'");
      // The driver has cleared the record and takes the next.
      expect(rig.pc.units[0]!.readRegister(0x34, 4)).toBe(0n);
      await rig.pc.destroy();
    },
    4 * MINUTES,
  );

  it(
    "PC-LINUX-04: a snapshot goes on in another PC, disk and driver included",
    async () => {
      const rig = await linux("nested");
      await shell(rig, "dd if=/dev/zero of=/dev/sda bs=4k count=16 2>/dev/null; sync; X=kept");
      const snapshot = await rig.pc.save();
      await rig.pc.destroy();
      const other = await create("nested");
      await other.pc.restore(snapshot);
      other.pc.start();
      expect(await shell(other, "echo $X")).toBe("kept\r\n");
      const written = DISK.slice().fill(0, 0, 16 * 4096);
      await shell(other, "echo 3 > /proc/sys/vm/drop_caches");
      expect(await shell(other, "sha256sum /dev/sda")).toContain(sha256(written));
      await other.pc.destroy();
    },
    4 * MINUTES,
  );

  it(
    "PC-LINUX-05: what it switches off and resets is switched off and reset",
    async () => {
      const rig = await linux("legacy");
      rig.pc.console.write("reboot -f\n");
      await rig.pc.console.waitFor("guest: ready");
      await rig.pc.console.waitFor("# ");
      expect(rig.pc.units[0]!.translation.enabled).toBe(true);
      rig.pc.console.write("poweroff -f\n");
      expect(await rig.pc.ended).toEqual({ how: "off" });
      await rig.pc.destroy();
    },
    4 * MINUTES,
  );
});
