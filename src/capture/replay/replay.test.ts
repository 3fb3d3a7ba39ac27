import { describe, expect, it } from "vitest";
import { recordedFiles, replay, withFile, withText } from "../../../test/recorded-files.ts";
import { CaptureError } from "../capture-error.ts";
import type { MemoryFiles } from "../memory-files.ts";
import { memoryFiles } from "../memory-files.ts";
import { readRecording } from "./recording.ts";
import { replayRecording } from "./replay.ts";
import type { Difference, ReplayReport } from "./report.ts";

/** Every recording: moments, descriptors, what is known and shows, what the specification has otherwise. */
const GIVEN = [
  ["vtd_legacy_k61_q72", 1, 2402, ["PV"], ["PV", "PV"]],
  ["vtd_legacy_ss", 1, 458, [], []],
  ["vtd_pt_sm", 1, 178, ["fault", "fault", "FR"], ["fault", "FR", "fault", "FR"]],
  ["vtd_sm_fs", 1, 446, [], []],
  ["vtd_sm_ss", 1, 394, ["fault", "fault", "FR"], ["fault", "FR", "fault", "FR"]],
  ["vtd_1g_fs", 2, 402, [], []],
  ["vtd_sm_fs_cm", 7, 1582, [], []],
  ["vtd_legacy_cm", 7, 4120, [], []],
] as const;

const files = new Map<string, MemoryFiles>();
const given = (name: string): MemoryFiles => {
  if (!files.has(name)) files.set(name, recordedFiles(name));
  return files.get(name)!;
};

/** What a difference is about: its fields, or its kind. */
const about = ({ kind, fields }: Difference): string =>
  fields.length === 0 ? kind : fields.map(({ name }) => name).join(" ");

const kinds = (report: ReplayReport): string[] => [
  ...new Set(report.differences.map(({ kind }) => kind)),
];

describe("recordings of real kernels", () => {
  it.each(GIVEN)(
    "REPLAY-ORDER-01, REPLAY-ORDER-02, REPLAY-ORDER-03, REPLAY-ORDER-04, REPLAY-REG-01, REPLAY-QUEUE-01, REPLAY-QUEUE-02, REPLAY-EVENT-01, REPLAY-LIST-01, REPLAY-KNOWN-01, REPLAY-KNOWN-02, REPLAY-KNOWN-03: %s is replayed without a difference",
    (name, moments, descriptors, known) => {
      const report = replay(given(name));
      expect(report.differences).toEqual([]);
      expect(report.windows).toHaveLength(moments);
      const counted = report.windows.reduce((sum, window) => sum + window.descriptors.length, 0);
      // What lies behind the last moment is not replayed.
      expect(counted).toBe(name === "vtd_1g_fs" ? 402 : descriptors);
      expect(report.deviations.map(about)).toEqual(known);
      for (const { registers, mappings, entries, stale } of report.windows) {
        expect(registers).toBeGreaterThan(12);
        expect(mappings).toBeGreaterThan(500);
        expect(entries).toBeGreaterThan(30);
        expect(stale).toBe(0);
      }
    },
  );

  it.each(GIVEN.filter(([, moments]) => moments === 1))(
    "REPLAY-KNOWN-01: %s: by the specification exactly what is known differs",
    (name, _moments, _descriptors, _known, differing) => {
      const report = replay(given(name), { specification: true });
      expect(report.differences.map(about)).toEqual(differing);
      expect(report.deviations).toEqual([]);
      for (const { fields } of report.differences) {
        for (const { name: field, recorded, replayed } of fields) {
          expect([recorded, replayed]).toEqual(field === "FR" ? [0x5n, 0x79n] : [0xffffn, 0n]);
        }
      }
    },
  );

  it("REPLAY-ORDER-05, REPLAY-FAULT-01: a refused write is made again, and met by the clearing that was recorded", () => {
    const { windows } = replay(given("vtd_legacy_cm"));
    expect(windows[4]).toMatchObject({
      moment: "d_unmapped",
      faults: [
        {
          line: 12_523,
          bdf: "0000:00:07.0",
          address: 0x1_0000n,
          write: true,
          recorded: 5,
          code: 5,
        },
        { line: 12_527, address: 0x1_0004n, write: true, recorded: 5, code: 5 },
      ],
      unseen: { records: 1 },
    });
    expect(windows.filter(({ faults }) => faults.length > 0)).toHaveLength(1);
  });

  it("REPLAY-UNSEEN-01: what came and went in a window is told", () => {
    const { windows } = replay(given("vtd_legacy_cm"));
    expect(windows[3]!.unseen).toEqual({
      pages: 0,
      domains: [7],
      devices: [],
      records: 0,
      descriptors: 174,
    });
    expect(windows[5]!.unseen).toMatchObject({ pages: 180, domains: [] });
  });

  it("REPLAY-ORDER-01: a replay stops at the moment that is asked for", () => {
    const recording = readRecording(given("vtd_sm_fs_cm"), "b_bound");
    const report = replayRecording(recording);
    expect(report.windows.map(({ moment }) => moment)).toEqual(["a_boot", "b_bound"]);
    expect(recording.lines).toHaveLength(2230);
    expect(() => readRecording(given("vtd_sm_fs_cm"), "other")).toThrow(/its moments|expected one/);
  });
});

describe("one bit", () => {
  const SS = "vtd_legacy_ss";

  /** Register space alone, with one bit flipped. */
  const flipRegister = (name: string, offset: number, bit: number): MemoryFiles =>
    withText(given(name), "regs.json", (text) => {
      const { nonzero_regs: words, qemu } = JSON.parse(text);
      const key = `0x${offset.toString(16)}`;
      const value = (Number(words[key] ?? 0) ^ (1 << bit)) >>> 0;
      return JSON.stringify({
        nonzero_regs: { ...words, [key]: `0x${value.toString(16)}` },
        qemu,
      });
    });

  it("REPLAY-DIFF-01, REPLAY-REG-02: every bit of a fault record is compared, and named", () => {
    for (let bit = 0; bit < 128; bit += 5) {
      const report = replay(flipRegister("vtd_pt_sm", 0x220 + (bit >> 5) * 4, bit & 31));
      expect(
        report.differences.map(({ what }) => what),
        `bit ${bit}`,
      ).toEqual(["FRCD"]);
    }
    const { differences } = replay(flipRegister(SS, 0x22c, 1));
    expect(differences[0]!.fields).toEqual([{ name: "FR", recorded: 7n, replayed: 5n }]);
  });

  it("REPLAY-DIFF-01: every bit of IQH, and registers that hold nothing", () => {
    for (let bit = 4; bit < 19; bit += 2) {
      expect(replay(flipRegister("vtd_pt_sm", 0x80, bit)).differences, `bit ${bit}`).toMatchObject([
        { kind: "register", what: "IQH" },
      ]);
    }
    expect(replay(flipRegister("vtd_pt_sm", 0x34, 0)).differences[0]!.what).toBe("FSTS");
    expect(replay(flipRegister("vtd_pt_sm", 0x700, 0)).differences[0]!.what).toBe("register 0x700");
  });

  /** A page of a kind, where its first entry that is not 0 is, and how many bits of it count. */
  const spoilEntry = (name: string, kind: string, bit: number): MemoryFiles => {
    const { pages } = JSON.parse(
      new TextDecoder().decode(given(name).contents.get("pages.json")!),
    ) as { pages: { kind: string }[] };
    return withFile(given(name), "pages.bin", (bytes) => {
      const changed = bytes.slice();
      const view = new DataView(changed.buffer);
      for (const [i, page] of pages.entries()) {
        if (page.kind !== kind) continue;
        for (let at = i * 4096; at < (i + 1) * 4096; at += 8) {
          if (view.getBigUint64(at, true) === 0n) continue;
          view.setBigUint64(at, view.getBigUint64(at, true) ^ (1n << BigInt(bit)), true);
          return changed;
        }
      }
      throw new Error(`no ${kind}`);
    });
  };

  it.each([
    ["vtd_legacy_ss", "root", 13],
    ["vtd_legacy_ss", "context", 0],
    ["vtd_legacy_ss", "context", 1],
    ["vtd_legacy_ss", "sspt1", 62],
    ["vtd_legacy_ss", "sspt1", 1],
    ["vtd_legacy_ss", "sspt2", 12],
    ["vtd_sm_fs", "smcontext", 9],
    ["vtd_sm_fs", "pasidtab", 2],
    ["vtd_sm_fs", "pasiddir", 14],
    ["vtd_sm_fs", "fspt1", 52],
    ["vtd_sm_fs", "fspt4", 0],
    ["vtd_sm_fs", "irt", 16],
    ["vtd_sm_fs", "iq", 40],
  ])("REPLAY-DIFF-01: %s: an entry of kind %s, bit %i", (name, kind, bit) => {
    expect(replay(spoilEntry(name, kind, bit)).differences).not.toEqual([]);
  });

  it("REPLAY-DIFF-01: a descriptor in the trace or in the list", () => {
    const inTrace = withText(given("vtd_1g_fs"), "regtrace.txt", (text) =>
      text.replace("type iec high 0x0 low 0x4", "type iec high 0x0 low 0x14"),
    );
    expect(kinds(replay(inTrace)).sort()).toEqual(["descriptor"]);
    const inList = withText(given("vtd_1g_fs"), "descs.txt", (text) =>
      text.replace(/^(\d+ \d+ p-iotlb 0x\d+)6 /m, "$17 "),
    );
    expect(kinds(replay(inList))).toEqual(["descriptor"]);
    const ring = withText(given("vtd_sm_fs"), "regtrace.txt", (text) =>
      text.replace(/(read head 200\n.*low 0x)(\d)/, (_, head, digit) => `${head}${digit ^ 1}`),
    );
    expect(replay(ring).differences).not.toEqual([]);
  });

  it("REPLAY-EVENT-01, REPLAY-FAULT-01: what the trace shows of the unit's own doing", () => {
    const changed = (from: string | RegExp, to: string): string[] =>
      kinds(replay(withText(given(SS), "regtrace.txt", (text) => text.replace(from, to))));
    expect(changed("addr 0x1c53404 data 0x2", "addr 0x1c53404 data 0x3")).toEqual(["wait"]);
    expect(changed("vtd_irq_generate addr 0xfee00000 data 0x20\n", "")).toEqual(["message"]);
    expect(changed("vtd_irq_generate addr 0xfee00000 data 0x20", "$& \n$&")).toEqual(["message"]);
    expect(changed("gcmd status 0x4000000 value", "gcmd status 0x4000001 value")).toEqual([
      "status",
    ]);
    expect(changed("PPF bit set to 1", "PPF bit set to 0")).toEqual(["register"]);
    expect(changed("sid 0x38 fault 5 addr 0x66000004", "sid 0x38 fault 6 addr 0x66000004")).toEqual(
      ["fault"],
    );
    expect(changed("high 0x500000038 low", "high 0x500000039 low")).toEqual(["record"]);
    // Without the clearing the record stays in use.
    expect(changed("vtd_reg_write addr 0x22c size 0x4 value 0x80000000\n", "")).toContain(
      "register",
    );
    // Without the request nothing is recorded.
    expect(changed(/vtd_dmar_fault .*\n/g, "")).toContain("record");
  });

  it("REPLAY-LIST-02: without their descriptors translations stay as they were, and are counted", () => {
    const lost = withText(given("vtd_1g_fs"), "regtrace.txt", (text) => {
      const lines = text.split("\n");
      return lines
        .map((line, i) =>
          i >= 1736 && line.includes("p-iotlb") ? line.replace("0x70036", "0x60036") : line,
        )
        .join("\n");
    });
    const unlisted = withText(lost, "descs.txt", (text) =>
      text.replace(/^(17[345]\d \d+ p-iotlb 0x)7/gm, "$16"),
    );
    const [first, second] = replay(unlisted).windows;
    expect(first!.stale).toBe(0);
    expect(second!.stale).toBeGreaterThan(0);
  });
});

describe("bad recordings", () => {
  const problem = (spoilt: MemoryFiles): CaptureError => {
    try {
      replay(spoilt);
    } catch (error) {
      if (error instanceof CaptureError) return error;
      throw error;
    }
    throw new Error("nothing was found wrong");
  };
  const trace = (name: string, change: (text: string) => string): MemoryFiles =>
    withText(given(name), "regtrace.txt", change);

  it("REPLAY-BAD-01: a trace that ends too early", () => {
    const short = trace("vtd_1g_fs", (text) => `${text.split("\n").slice(0, 1700).join("\n")}\n`);
    expect(problem(short)).toMatchObject({
      file: "vtd_1g_fs/regtrace.txt",
      expected: "at least 1753 lines: moments.json puts a moment there",
      found: "1700",
    });
    const cut = trace("vtd_pt_sm", (text) => text.slice(0, 20_000));
    expect(problem(cut)).toMatchObject({ offset: 20_000, expected: "the rest of a line" });
  });

  it("REPLAY-BAD-01: a line that is none", () => {
    expect(problem(trace("vtd_pt_sm", (text) => `\x1b[31m\n${text}`))).toMatchObject({
      offset: 0,
      expected: "an event of a QEMU trace, such as vtd_reg_write",
      found: '"\\u001b[31m"',
    });
    const bad = trace("vtd_pt_sm", (text) => text.replace("value 0x1c4e801", "value 4e801"));
    expect(problem(bad).expected).toBe("vtd_reg_write addr … size … value …");
    for (const line of [
      "addr 0x88 size 0x3 value 0x0",
      "addr 0x88 size 0x1 value 0x100",
      "addr 0x1000 size 0x4 value 0x0",
    ]) {
      expect(problem(trace("vtd_pt_sm", (text) => `vtd_reg_write ${line}\n${text}`)).offset).toBe(
        0,
      );
    }
  });

  it("REPLAY-BAD-01: a descriptor that is nowhere", () => {
    const far = trace("vtd_pt_sm", (text) => text.replace("read head 9\n", "read head 256\n"));
    expect(problem(far)).toMatchObject({
      expected: "a descriptor inside the queue, below 256",
      found: "number 256",
    });
    const lost = trace("vtd_pt_sm", (text) => text.replace("vtd_inv_qi_head read head 9\n", ""));
    expect(problem(lost).expected).toMatch(/^vtd_inv_qi_head before/);
    const early = trace(
      "vtd_pt_sm",
      (text) => `vtd_inv_desc invalidate desc type iec high 0x0 low 0x4\n${text}`,
    );
    expect(problem(early).expected).toMatch(/^a register write before/);
  });

  it("REPLAY-BAD-01: moments out of order, or without a line", () => {
    const swapped = withText(given("vtd_1g_fs"), "moments.json", (text) =>
      text.replace('"trace_line": 1753', '"trace_line": 1'),
    );
    expect(problem(swapped).expected).toBe("a line at or behind that of the moment before, 1736");
    const without = withText(given("vtd_1g_fs"), "moments.json", (text) =>
      text.replace('"trace_line": 1753', '"line": 1753'),
    );
    expect(problem(without).expected).toBe('an object with "trace_line"');
  });

  it("REPLAY-BAD-02: a tail beyond the queue is a queue error", () => {
    const report = replay(
      trace("vtd_pt_sm", (text) =>
        text.replace("addr 0x88 size 0x4 value 0x1640", "addr 0x88 size 0x4 value 0x7ff00"),
      ),
    );
    expect(kinds(report)).toContain("descriptor");
    const status = report.differences.find(({ what }) => what === "FSTS");
    expect(status?.fields).toContainEqual({ name: "IQE", recorded: 0n, replayed: 1n });
  });

  it("REPLAY-BAD-01: no trace, or a unit whose registers lie outside the window", () => {
    const none = given("vtd_pt_sm").contents;
    const without = new Map([...none].filter(([path]) => path !== "regtrace.txt"));
    const files = memoryFiles("vtd_pt_sm", without, () => ({ failed: "corrupt" }));
    expect(problem(files).expected).toMatch(/regtrace/);
    const far = withText(given("vtd_pt_sm"), "regs.json", (text) => {
      const { nonzero_regs: words } = JSON.parse(text);
      return JSON.stringify({
        nonzero_regs: { ...words, "0x8": "0xff2f0606", "0xc": "0x80d2ff8f" },
      });
    });
    expect(problem(far).expected).toMatch(/first 4096 bytes/);
  });

  it("REPLAY-ORDER-06: a reset in the middle puts registers back", () => {
    const report = replay(trace("vtd_pt_sm", (text) => `${text}vtd_reset_exit \n`));
    expect(report.differences.map(({ what }) => what)).toContain("GSTS");
  });
});
