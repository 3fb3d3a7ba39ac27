import { describe, expect, test } from "vitest";
import { brief, codeOf, NOWHERE, VtdRig } from "../../../test/vtd-rig.ts";
import { type Capabilities, createCapabilities } from "./capabilities.ts";
import { QEMU_7_2, QEMU_11_1_SECOND_STAGE, SERVER } from "./profiles.ts";
import { CAP, ECAP } from "./spec/capability-registers.ts";

const TARGET = 0x20_0000n;

/** A device behind a second stage with nothing in it yet, in either mode. */
const secondStage = (
  mode: "legacy" | "scalable",
  values: Record<string, number> = {},
  capabilities: Capabilities = SERVER,
) => {
  const rig = new VtdRig({ capabilities, mode });
  const root = rig.page();
  if (mode === "legacy") rig.legacyContext({ SSPTPTR: root, ...values });
  else rig.pasidEntry({ PGTT: 2, SSPTPTR: root, ...values });
  return {
    rig,
    root,
    read: (address: bigint) => {
      rig.flush();
      return rig.read(address);
    },
    write: (address: bigint) => {
      rig.flush();
      return rig.write(address);
    },
  };
};

const MODES = ["legacy", "scalable"] as const;
/** The code of a legacy or a scalable fault. */
const either = (mode: "legacy" | "scalable", legacy: string, scalable: string) =>
  mode === "legacy" ? legacy : scalable;

const withFields = (cap: object, ecap: object, hostAddressWidth = 52): Capabilities =>
  createCapabilities({
    cap: CAP.encode({ ...CAP.decode([SERVER.cap]), ...cap })[0]!,
    ecap: ECAP.encode({ ...ECAP.decode([SERVER.ecap]), ...ecap })[0]!,
    hostAddressWidth,
  });

describe.each(MODES)("second stage, %s mode", (mode) => {
  test("VTD-SS-01: addresses end at the table's width and at the unit's", () => {
    for (const AW of [2, 3]) {
      const { rig, root, read } = secondStage(mode, { AW });
      const end = 1n << BigInt(12 + 9 * (AW + 2));
      rig.map(root, AW + 2, end - 0x1000n, TARGET | 3n);
      expect(read(end - 1n)).toBe(0);
      expect(brief(read(end))).toEqual({
        code: either(mode, "04", "84"),
        stage: 2,
        level: undefined,
      });
      expect(codeOf(read(2n ** 64n - 1n))).toBe(either(mode, "04", "84"));
    }
    const narrow = secondStage(mode, { AW: 2 }, withFields({ MGAW: 38, SAGAW: 6 }, {}));
    narrow.rig.map(narrow.root, 4, 1n << 39n, TARGET | 3n);
    expect(codeOf(narrow.read(1n << 39n))).toBe(either(mode, "04", "84"));
    const three = secondStage(mode, { AW: 1 }, withFields({ SAGAW: 6 }, {}));
    three.rig.map(three.root, 3, 0x7f_ffff_f000n, TARGET | 3n);
    expect(three.read(0x7f_ffff_ffffn)).toBe(0);
    expect(codeOf(three.read(0x80_0000_0000n))).toBe(either(mode, "04", "84"));
  });

  test("VTD-SS-02: tables that cannot be read", () => {
    const { rig, root, read } = secondStage(mode);
    const entries = rig.map(root, 4, 0x7000n, TARGET | 3n);
    for (const level of [3, 2, 1]) {
      const good = rig.peek(entries[level]!);
      rig.poke(entries[level]!, NOWHERE | 3n);
      expect(brief(read(0x7000n))).toEqual({
        code: either(mode, "07", "78"),
        stage: 2,
        level: level - 1,
      });
      rig.poke(entries[level]!, good);
    }
    if (mode === "legacy") rig.legacyContext({ SSPTPTR: NOWHERE });
    else rig.pasidEntry({ PGTT: 2, SSPTPTR: NOWHERE });
    expect(brief(read(0x7000n))).toEqual({ code: either(mode, "03", "7b"), stage: 2, level: 3 });
  });

  test("VTD-SS-03: not present comes before reserved bits, level by level", () => {
    const capabilities = withFields({}, {}, 46);
    const { rig, root, read, write } = secondStage(mode, {}, capabilities);
    const entries = rig.map(root, 4, 0x7000n, TARGET | 3n);
    for (const [level, entry] of entries.entries()) {
      const good = rig.peek(entry);
      rig.poke(entry, (good & ~3n) | (1n << 62n));
      expect(brief(read(0x7000n))).toEqual({ code: either(mode, "06", "79"), stage: 2, level });
      expect(codeOf(write(0x7000n))).toBe(either(mode, "05", "79"));
      rig.poke(entry, good | (1n << 62n));
      expect(brief(read(0x7000n))).toEqual({ code: either(mode, "0c", "7a"), stage: 2, level });
      rig.poke(entry, good);
    }
    rig.poke(entries[2]!, 1n << 62n);
    rig.setBits(entries[3]!, 1n << 62n);
    expect(brief(read(0x7000n))).toEqual({ code: either(mode, "0c", "7a"), stage: 2, level: 3 });
  });

  test("VTD-SS-04: exactly the reserved bits", () => {
    const capabilities = withFields({}, { SC: 0 }, 46);
    const beyond = 0x3fn << 46n;
    for (const leafLevel of [0, 1, 2]) {
      const { rig, root, read } = secondStage(mode, { AW: 3 }, capabilities);
      const large = leafLevel === 0 ? 0n : 0x80n;
      const entries = rig.map(root, 5, 0x7000n, 3n | large, leafLevel);
      for (const [i, entry] of entries.entries()) {
        const level = i + leafLevel;
        const isLeaf = i === 0;
        let reserved = (1n << 62n) | (1n << 11n) | beyond;
        if (level >= 3) reserved |= 0x80n;
        if (isLeaf) reserved |= (1n << BigInt(12 + 9 * level)) - 0x1000n;
        // Bit 7 of a table entry of levels 1 and 2 makes it a leaf: another entry, not a reserved bit.
        const skip = !isLeaf && level < 3 ? 0x80n : 0n;
        const offset = isLeaf ? (1n << BigInt(12 + 9 * level)) - 1n : 0xfffn;
        const address = 0xf_ffff_ffff_f000n & ~beyond & ~offset;
        for (let bit = 2n; bit < 64n; bit++) {
          const mask = 1n << bit;
          const good = rig.peek(entry);
          if (((skip | good) & mask) !== 0n || (address & mask) !== 0n) continue;
          rig.poke(entry, good | mask);
          const expected = (reserved & mask) !== 0n ? either(mode, "0c", "7a") : 0;
          expect([leafLevel, level, bit, codeOf(read(0x7000n))]).toEqual([
            leafLevel,
            level,
            bit,
            expected,
          ]);
          rig.poke(entry, good);
        }
      }
    }
    const small = secondStage(mode, {}, withFields({ SSLPS: 0 }, {}));
    for (const leafLevel of [1, 2]) {
      small.rig.map(small.root, 4, BigInt(leafLevel) << 39n, 0x83n, leafLevel);
      expect(codeOf(small.read(BigInt(leafLevel) << 39n))).toBe(either(mode, "0c", "7a"));
    }
    const snooping = secondStage(mode);
    snooping.rig.map(snooping.root, 4, 0x7000n, TARGET | 0x803n);
    expect(snooping.read(0x7000n)).toBe(0);
  });

  test("VTD-SS-05: permissions are and-ed over the levels", () => {
    for (let level = 0; level < 4; level++) {
      for (const above of [1n, 2n, 3n]) {
        for (const leaf of [1n, 2n, 3n]) {
          const { rig, root, read, write } = secondStage(mode);
          const entries = rig.map(root, 4, 0x7000n, TARGET | leaf);
          const entry = entries[level]!;
          rig.poke(entry, (rig.peek(entry) & ~3n) | (level === 0 ? leaf : above));
          const left = level === 0 ? leaf : above & leaf;
          const refused = (code: string) =>
            left === 0n
              ? either(mode, code, "79")
              : either(mode, code, code === "06" ? "86" : "85");
          expect(codeOf(read(0x7000n))).toBe((left & 1n) !== 0n ? 0 : refused("06"));
          expect(codeOf(write(0x7000n))).toBe((left & 2n) !== 0n ? undefined : refused("05"));
          expect(rig.memory.read8(TARGET)).toBe((left & 2n) !== 0n ? 0x5a : 0);
        }
      }
    }
  });

  test("VTD-SS-07: an output in the interrupt range", () => {
    const { rig, root, read } = secondStage(mode);
    rig.map(root, 4, 0x7000n, 0xfee0_0003n);
    rig.map(root, 4, 0x8000n, 0xfeef_f003n);
    rig.map(root, 4, 0x9000n, 0xfef0_0003n);
    expect(codeOf(read(0x7fffn))).toBe(either(mode, "0e", "87"));
    expect(codeOf(read(0x8000n))).toBe(either(mode, "0e", "87"));
    expect(read(0x9000n)).toMatchObject({ reason: "no-memory" });
  });
});

describe("second-stage flags", () => {
  test("VTD-SS-06: accessed and dirty with SSADE, and 7C where walks are not snooped", () => {
    for (const leafLevel of [0, 1, 2]) {
      const { rig, root, read, write } = secondStage("scalable", { SSADE: 1, PWSNP: 1 });
      const entries = rig.map(
        root,
        4,
        0x4000_0000n,
        leafLevel === 0 ? TARGET | 3n : 0x83n,
        leafLevel,
      );
      const flags = () => entries.map((entry) => rig.peek(entry) & 0x300n);
      expect(read(0x4000_0000n)).toBe(0);
      expect(flags()).toEqual(entries.map(() => 0x100n));
      expect(write(0x4000_0000n)).toBeUndefined();
      expect(flags()).toEqual(entries.map((_, i) => (i === 0 ? 0x300n : 0x100n)));
    }
    const off = secondStage("scalable", { SSADE: 0, PWSNP: 1 });
    const [leaf] = off.rig.map(off.root, 4, 0x7000n, TARGET | 3n);
    expect(off.write(0x7000n)).toBeUndefined();
    expect(off.rig.peek(leaf!)).toBe(TARGET | 3n);

    const unsnooped = secondStage("scalable", { SSADE: 1 });
    const entries = unsnooped.rig.map(unsnooped.root, 4, 0x7000n, TARGET | 0x103n, 0, 0x103n);
    expect(unsnooped.read(0x7000n)).toBe(0);
    expect(brief(unsnooped.write(0x7000n))).toEqual({ code: "7c", stage: 2, level: 0 });
    unsnooped.rig.poke(entries[2]!, unsnooped.rig.peek(entries[2]!) & ~0x100n);
    expect(brief(unsnooped.read(0x7000n))).toEqual({ code: "7c", stage: 2, level: 2 });
    expect(unsnooped.rig.memory.read8(TARGET)).toBe(0);

    const refused = secondStage("scalable", { SSADE: 1, PWSNP: 1 });
    const path = refused.rig.map(refused.root, 4, 0x7000n, TARGET | 1n);
    expect(codeOf(refused.write(0x7000n))).toBe("85");
    expect(path.map((entry) => refused.rig.peek(entry) & 0x300n)).toEqual([
      0n,
      0x100n,
      0x100n,
      0x100n,
    ]);
  });
});

describe("capabilities", () => {
  test("VTD-CAP-01: what a unit does follows from its capability registers", () => {
    expect(QEMU_7_2.has("SMTS")).toBe(false);
    expect(QEMU_11_1_SECOND_STAGE.has("SSTS")).toBe(true);
    const outcome = (capabilities: Capabilities) => {
      const { rig, root, read } = secondStage("scalable", { AW: 2 }, capabilities);
      rig.map(root, 4, 0x7000n, TARGET | 3n);
      return codeOf(read(0x7000n));
    };
    expect(outcome(QEMU_11_1_SECOND_STAGE)).toBe(0);
    expect(
      outcome(
        createCapabilities({
          cap: QEMU_11_1_SECOND_STAGE.cap,
          ecap: QEMU_11_1_SECOND_STAGE.ecap & ~(1n << 46n),
        }),
      ),
    ).toBe("5a");
    expect(
      outcome(
        createCapabilities({
          cap: QEMU_11_1_SECOND_STAGE.cap & ~(1n << 10n),
          ecap: QEMU_11_1_SECOND_STAGE.ecap,
        }),
      ),
    ).toBe("5b");
    expect(
      outcome(
        createCapabilities({
          cap: QEMU_11_1_SECOND_STAGE.cap,
          ecap: QEMU_11_1_SECOND_STAGE.ecap & ~(1n << 43n),
        }),
      ),
    ).toBe("30");
  });

  test("VTD-CAP-02: the host address width is the guest's unless somebody says otherwise", () => {
    expect(QEMU_7_2.hostAddressWidth).toBe(39);
    expect(QEMU_11_1_SECOND_STAGE.hostAddressWidth).toBe(48);
    expect(SERVER.hostAddressWidth).toBe(52);
    const { rig, root, read } = secondStage("legacy", { AW: 1 }, QEMU_7_2);
    rig.map(root, 3, 0x7000n, (1n << 39n) | 3n);
    rig.map(root, 3, 0x8000n, (1n << 38n) | 3n);
    expect(codeOf(read(0x7000n))).toBe("0c");
    expect(read(0x8000n)).toMatchObject({ reason: "no-memory" });
  });
});
