/** Real captures with one thing made wrong: what is found is that, and nothing else. */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type NodeFiles, openNamed } from "../../cli/node-files.ts";
import { readCapture, type VtdCapture, withVtdRegisters } from "../index.ts";
import {
  type Finding,
  type InspectOptions,
  inspectCapture,
  type Mapping,
  mappingsOf,
} from "./index.ts";

const CAPTURES = fileURLToPath(new URL("../../../captures", import.meta.url));
const opened: NodeFiles[] = [];
afterAll(() => {
  for (const files of opened) files.close();
});

const ADDRESS = 0x000f_ffff_ffff_f000n;
/** Where the RAM of the captures ends. */
const RAM_END = 0x1000_0000n;
const PAGE = 4096n;

/** A capture to do things to: its memory is a copy that the files do not hear of. */
class Patient {
  readonly capture: VtdCapture;
  readonly #healthy: readonly Finding[];
  readonly #mappings: readonly Mapping[];

  constructor(name: string, registers: Parameters<typeof withVtdRegisters>[1] = {}) {
    const { files, moment } = openNamed(`${CAPTURES}/${name}`);
    opened.push(files);
    const capture = readCapture(files, moment === undefined ? {} : { moment });
    if (capture.iommu !== "vtd") throw new Error(`${name} is no VT-d capture`);
    this.capture = { ...capture, registers: withVtdRegisters(capture.registers, registers) };
    const report = inspectCapture(this.capture);
    this.#healthy = report.findings;
    this.#mappings = [...mappingsOf(report)];
  }

  peek(address: bigint): bigint {
    return this.capture.memory.read64(address)!;
  }

  poke(address: bigint, value: bigint): void {
    expect(this.capture.memory.write64(address, value)).toBe(true);
  }

  setBits(address: bigint, bits: bigint): void {
    this.poke(address, this.peek(address) | bits);
  }

  get root(): bigint {
    return this.capture.registers.rtaddr & ~0xfffn;
  }

  /** Where the context entry of function `fn` of device `device` on bus 0 is. */
  context(device: number, fn = 0): bigint {
    const { rtaddr } = this.capture.registers;
    const scalable = (rtaddr & 0x400n) !== 0n;
    const half = scalable && device >= 16 ? 8n : 0n;
    const table = this.peek(this.root + half) & ADDRESS;
    const index = BigInt(device * 8 + fn);
    return scalable ? table + (index & 0x7fn) * 32n : table + index * 16n;
  }

  /** Where the device's PASID directory entry 0 is. */
  directory(device: number, fn = 0): bigint {
    return this.peek(this.context(device, fn)) & ADDRESS;
  }

  /** Where the device's PASID entry 0 is. */
  pasidEntry(device: number, fn = 0): bigint {
    return this.peek(this.directory(device, fn)) & ADDRESS;
  }

  /** Where the entry of `level`, 0 the leaf, for `iova` is, in 4 levels below `top`. */
  entry(top: bigint, iova: bigint, level: number): bigint {
    let table = top;
    for (let at = 3; ; at--) {
      const entry = table + ((iova >> BigInt(12 + 9 * at)) & 0x1ffn) * 8n;
      if (at === level) return entry;
      table = this.peek(entry) & ADDRESS;
    }
  }

  /** The leaves of a device, as they were. */
  leavesOf(bdf: string): Mapping[] {
    return this.#mappings.filter((mapping) => mapping.bdf === bdf);
  }

  /** What is found now and was not before. */
  added(options?: InspectOptions): Finding[] {
    const seen = new Set(this.#healthy.map(text));
    return inspectCapture(this.capture, options).findings.filter((each) => !seen.has(text(each)));
  }

  /** What was found before and no more. */
  removed(): Finding[] {
    const now = new Set(inspectCapture(this.capture).findings.map(text));
    return this.#healthy.filter((each) => !now.has(text(each)));
  }

  /** The mappings that are gone, and those that have come. */
  changes(): { gone: string[]; come: string[] } {
    const before = this.#mappings.map(text);
    const after = [...mappingsOf(inspectCapture(this.capture))].map(text);
    const [was, is] = [new Set(before), new Set(after)];
    return {
      gone: before.filter((each) => !is.has(each)),
      come: after.filter((each) => !was.has(each)),
    };
  }
}

const text = (value: object): string =>
  JSON.stringify(value, (_, inner) =>
    typeof inner === "bigint" ? `0x${inner.toString(16)}` : inner,
  );

const NIC = "0000:00:03.0";
const GROUP = ["0000:00:1f.0", "0000:00:1f.2", "0000:00:1f.3"];
const NOWHERE = { iova: null, pa: null, size: null };

describe("paging entries", () => {
  test("INSP-FIND-07: a reserved bit in a first-stage leaf", () => {
    const patient = new Patient("vtd_sm_fs");
    const [first, second] = patient.leavesOf(NIC);
    const top = patient.peek(patient.pasidEntry(3) + 16n) & ADDRESS;
    const entry = patient.entry(top, first!.iova, 0);
    patient.setBits(entry, 1n << 50n);
    const finding = { code: "reserved-bit", bdf: [NIC], pasid: null };
    const { iova } = first!;
    expect(patient.added()).toEqual([{ ...finding, iova, pa: entry, size: PAGE }]);
    expect(patient.removed()).toEqual([]);
    expect(patient.changes()).toEqual({ gone: [text(first!)], come: [] });
    // The next one, too: two entries side by side are one finding.
    expect(second!.iova).toBe(iova + PAGE);
    patient.setBits(entry + 8n, 1n << 51n);
    expect(patient.added()).toEqual([{ ...finding, iova, pa: entry, size: 2n * PAGE }]);
  });

  test("INSP-FIND-07: a reserved bit in a second-stage table entry takes all that is below it away", () => {
    const patient = new Patient("vtd_legacy_ss");
    const { iova } = patient.leavesOf(NIC)[0]!;
    const entry = patient.entry(patient.peek(patient.context(3)) & ADDRESS, iova, 1);
    patient.setBits(entry, 1n << 11n);
    const start = iova & ~0x1f_ffffn;
    const range = { iova: start, pa: entry, size: 0x20_0000n };
    expect(patient.added()).toEqual([{ code: "reserved-bit", bdf: [NIC], pasid: null, ...range }]);
    const gone = patient
      .leavesOf(NIC)
      .filter(({ iova: at }) => at >= start && at < start + 0x20_0000n);
    expect(gone.length).toBeGreaterThan(10);
    expect(patient.changes()).toEqual({ gone: gone.map(text), come: [] });
  });

  test("INSP-FIND-07: a page size that the unit lacks is a reserved bit", () => {
    const healthy = new Patient("vtd_1g_fs/g_1g");
    const noGiant = healthy.capture.registers.cap & ~(1n << 56n);
    const patient = new Patient("vtd_1g_fs/g_1g", { cap: noGiant });
    const giant = healthy.leavesOf("0000:00:07.0").filter(({ size }) => size === 1n << 30n);
    const top = patient.peek(patient.pasidEntry(7) + 16n) & ADDRESS;
    expect(giant).toHaveLength(3);
    const { findings } = inspectCapture(patient.capture);
    expect(findings.filter(({ code }) => code === "reserved-bit")).toEqual(
      giant.map(({ bdf, iova, size }) => {
        const pa = patient.entry(top, iova, 2);
        return { code: "reserved-bit", bdf: [bdf], pasid: null, iova, pa, size };
      }),
    );
  });

  test("INSP-FIND-01: in tables that devices share, each device has the finding", () => {
    const patient = new Patient("vtd_legacy_ss");
    const { iova, size } = patient.leavesOf(GROUP[1]!)[0]!;
    const entry = patient.entry(patient.peek(patient.context(0x1f)) & ADDRESS, iova, 1);
    patient.setBits(entry, 1n << 12n);
    expect(size).toBe(0x20_0000n);
    expect(patient.added()).toEqual(
      GROUP.map((bdf) => ({
        code: "reserved-bit",
        bdf: [bdf],
        pasid: null,
        iova,
        pa: entry,
        size,
      })),
    );
  });

  test("INSP-FIND-08: a table outside RAM", () => {
    const patient = new Patient("vtd_sm_ss");
    const { iova } = patient.leavesOf(NIC)[0]!;
    const entry = patient.entry(patient.peek(patient.pasidEntry(3)) & ADDRESS, iova, 2);
    patient.poke(entry, RAM_END | 3n);
    const range = { iova: iova & ~0x3fff_ffffn, pa: RAM_END, size: 1n << 30n };
    const finding = { code: "table-outside-ram", bdf: [NIC], pasid: null, ...range };
    expect(patient.added()).toEqual([finding]);
    // The last page of RAM is in it, and empty.
    patient.poke(entry, (RAM_END - PAGE) | 3n);
    expect(patient.added()).toEqual([]);
  });

  test("INSP-FIND-08: a top table outside RAM covers everything", () => {
    const patient = new Patient("vtd_sm_ss");
    patient.poke(patient.pasidEntry(3), (patient.peek(patient.pasidEntry(3)) & 0xfffn) | RAM_END);
    const range = { iova: 0n, pa: RAM_END, size: 1n << 48n };
    const finding = { code: "table-outside-ram", bdf: [NIC], pasid: null, ...range };
    expect(patient.added()).toEqual([finding]);
    const device = inspectCapture(patient.capture).devices.find(({ bdf }) => bdf === NIC)!;
    expect(device.fault?.code).toBe(0x7b);
    expect(device.pasids[0]?.fault?.code).toBe(0x7b);
  });
});

describe("what may not be mapped", () => {
  /** Makes the first leaf of the network card, at its address, mean something else. */
  const remap = (
    patient: Patient,
    pa: bigint,
    bits = 3n,
  ): { bdf: string[]; pasid: null; iova: bigint } => {
    const { iova } = patient.leavesOf(NIC)[0]!;
    patient.poke(patient.entry(patient.peek(patient.context(3)) & ADDRESS, iova, 0), pa | bits);
    return { bdf: [NIC], pasid: null, iova };
  };

  test("INSP-FIND-04: each kind of page that the unit reads", () => {
    const { registers } = new Patient("vtd_legacy_ss").capture;
    const patient = new Patient("vtd_legacy_ss");
    const context = patient.context(3);
    const pages = [
      patient.root,
      context & ADDRESS,
      patient.peek(context) & ADDRESS,
      registers.iqa & ADDRESS,
      registers.irta & ADDRESS,
      (registers.irta & ADDRESS) + 0xf_f000n,
    ];
    for (const pa of pages) {
      const at = remap(patient, pa);
      expect(patient.added()).toEqual([{ code: "maps-iommu-tables", ...at, pa, size: PAGE }]);
      remap(patient, pa, 1n);
      expect(patient.added(), "a read harms nobody").toEqual([]);
    }
    remap(patient, (registers.irta & ADDRESS) + 0x10_0000n);
    expect(patient.added(), "behind the interrupt table").toEqual([]);
  });

  test("INSP-FIND-04: PASID directories and tables, and the page request queue", () => {
    const { ecap } = new Patient("vtd_sm_ss").capture.registers;
    const patient = new Patient("vtd_sm_ss", { pqa: 0x700_0001n, ecap: ecap | (1n << 29n) });
    const { iova } = patient.leavesOf(NIC)[0]!;
    const entry = patient.entry(patient.peek(patient.pasidEntry(3)) & ADDRESS, iova, 0);
    const at = { code: "maps-iommu-tables", bdf: [NIC], pasid: null, iova };
    for (const pa of [patient.directory(4), patient.pasidEntry(4), 0x700_1000n]) {
      patient.poke(entry, pa | 3n);
      expect(patient.added()).toEqual([{ ...at, pa, size: PAGE }]);
    }
    patient.poke(entry, 0x700_2003n);
    expect(patient.added()).toEqual([]);
  });

  test("INSP-FIND-04: tables in the middle of a large page are found where they are", () => {
    const patient = new Patient("vtd_legacy_ss");
    const { iova } = patient.leavesOf(NIC)[0]!;
    const entry = patient.entry(patient.peek(patient.context(3)) & ADDRESS, iova, 1);
    const { registers } = patient.capture;
    const irt = registers.irta & ADDRESS;
    // A quarter into 2 MiB; 1 MiB long.
    expect(irt & 0x1f_ffffn).toBe(0x10_0000n);
    patient.poke(entry, (irt - 0x10_0000n) | 0x83n);
    const start = (iova & ~0x1f_ffffn) + 0x10_0000n;
    const range = { iova: start, pa: irt, size: 0x10_0000n };
    const found = patient.added().filter(({ pa }) => pa! >= irt);
    expect(found).toEqual([{ code: "maps-iommu-tables", bdf: [NIC], pasid: null, ...range }]);
  });

  test("INSP-FIND-05: given ranges, to the byte", () => {
    const patient = new Patient("vtd_legacy_ss");
    const at = remap(patient, 0x800_0000n);
    const watch = [
      { base: 0x7ff_fff0n, length: 0x20n },
      { base: 0x800_0800n, length: 0x10n },
      { base: 0x800_0810n, length: 0x10n },
      { base: 0x800_1000n, length: 0x1000n },
      { base: 0x800_0900n, length: 0n },
    ];
    const finding = { code: "maps-given-range", bdf: at.bdf, pasid: null };
    expect(patient.added({ watch })).toEqual([
      { ...finding, iova: at.iova, pa: 0x800_0000n, size: 0x10n },
      { ...finding, iova: at.iova + 0x800n, pa: 0x800_0800n, size: 0x20n },
    ]);
    expect(patient.added({ watch: watch.slice(3) })).toEqual([]);
    remap(patient, 0x800_0000n, 1n);
    expect(patient.added({ watch })).toEqual([]);
  });

  test("INSP-FIND-06: output in the interrupt window", () => {
    const patient = new Patient("vtd_legacy_ss");
    const at = remap(patient, 0xfeef_f000n, 1n);
    const range = { iova: at.iova, pa: 0xfeef_f000n, size: PAGE };
    expect(patient.added()).toEqual([
      { code: "msi-window-mapped", bdf: [NIC], pasid: null, ...range },
    ]);
    for (const beside of [0xfedf_f000n, 0xfef0_0000n]) {
      remap(patient, beside);
      expect(patient.added()).toEqual([]);
    }
  });

  test("INSP-FIND-06: input in the interrupt window", () => {
    const patient = new Patient("vtd_legacy_ss");
    const top = patient.peek(patient.context(3)) & ADDRESS;
    // The card's buffers are right below 4 GiB, in the same 1 GiB.
    patient.poke(patient.entry(top, 0xfee0_0000n, 1), 0x800_0083n);
    const range = { iova: 0xfee0_0000n, pa: 0x800_0000n, size: 0x10_0000n };
    expect(patient.added()).toEqual([
      { code: "msi-window-mapped", bdf: [NIC], pasid: null, ...range },
    ]);
    patient.poke(patient.entry(top, 0xfec0_0000n, 1), 0x800_0083n);
    patient.poke(patient.entry(top, 0xfee0_0000n, 1), 0n);
    expect(patient.added()).toEqual([]);
  });
});

describe("structures", () => {
  const at = (pasid: number | null, pa: bigint): object => ({ pasid, iova: null, pa, size: null });

  test("INSP-FIND-02: two devices with one domain", () => {
    const patient = new Patient("vtd_legacy_ss");
    const entry = patient.context(4) + 8n;
    patient.poke(entry, (patient.peek(entry) & ~0xff_ff00n) | 0x300n);
    const bdf = [NIC, "0000:00:04.0"];
    expect(patient.added()).toEqual([{ code: "shared-domain", bdf, pasid: null, ...NOWHERE }]);
  });

  test("INSP-FIND-03: pass-through, and with device TLBs", () => {
    const { ecap } = new Patient("vtd_sm_ss").capture.registers;
    const patient = new Patient("vtd_sm_ss", { ecap: ecap | 4n });
    const entry = patient.pasidEntry(3);
    patient.poke(entry, (patient.peek(entry) & ~0x1c0n) | 0x100n);
    const passing = { code: "pass-through", bdf: [NIC], pasid: null, ...NOWHERE };
    expect(patient.added()).toEqual([passing]);
    expect(patient.changes().gone).toEqual(patient.leavesOf(NIC).map(text));
    patient.setBits(patient.context(3), 4n);
    expect(patient.added()).toEqual([passing, { ...passing, code: "ats-with-pass-through" }]);
  });

  test("INSP-FIND-03: DTE counts also where the unit has no device TLBs", () => {
    const patient = new Patient("vtd_pt_sm");
    patient.setBits(patient.context(3), 4n);
    expect(patient.added()).toEqual([
      { code: "ats-with-pass-through", bdf: [NIC], pasid: null, ...NOWHERE },
    ]);
  });

  test("INSP-FIND-03: pass-through in legacy mode", () => {
    const patient = new Patient("vtd_legacy_ss");
    patient.setBits(patient.context(3), 8n);
    expect(patient.added()).toEqual([
      { code: "pass-through", bdf: [NIC], pasid: null, ...NOWHERE },
    ]);
  });

  test.each([
    ["context", (patient: Patient) => patient.context(3), 1n << 5n, 0x42],
    ["PASID directory", (patient: Patient) => patient.directory(3), 1n << 5n, 0x52],
    ["PASID", (patient: Patient) => patient.pasidEntry(3), 1n << 5n, 0x5a],
  ] as const)("INSP-FIND-07: a reserved bit in the %s entry", (_, find, bit, code) => {
    const patient = new Patient("vtd_sm_fs");
    const entry = find(patient);
    patient.setBits(entry, bit);
    expect(patient.added()).toEqual([{ code: "reserved-bit", bdf: [NIC], ...at(null, entry) }]);
    const device = inspectCapture(patient.capture).devices.find(({ bdf }) => bdf === NIC)!;
    expect(device.fault?.code).toBe(code);
    expect(patient.changes().gone).toEqual(patient.leavesOf(NIC).map(text));
  });

  test("INSP-FIND-07: a reserved bit in a root entry is no single device's", () => {
    const patient = new Patient("vtd_legacy_ss");
    patient.setBits(patient.root + 16n, 2n);
    expect(patient.added()).toEqual([
      { code: "reserved-bit", bdf: [], ...at(null, patient.root + 16n) },
    ]);
    const report = inspectCapture(patient.capture);
    expect(report.devices.map(({ bdf }) => bdf)).not.toContain("0000:01:00.0");
  });

  test("INSP-FIND-08: pointers from structures to outside RAM", () => {
    const find = {
      root: [(patient: Patient) => patient.root + 16n, [], undefined],
      context: [(patient: Patient) => patient.context(3), [NIC], 0x50],
      directory: [(patient: Patient) => patient.directory(3), [NIC], 0x58],
    } as const;
    for (const [entryOf, bdf, code] of Object.values(find)) {
      const patient = new Patient("vtd_sm_fs");
      const entry = entryOf(patient);
      const target = 0x7f_ffff_f000n;
      patient.poke(entry, (patient.peek(entry) & 0xfffn) | target);
      expect(patient.added()).toEqual([{ code: "table-outside-ram", bdf, ...at(null, target) }]);
      const device = inspectCapture(patient.capture).devices.find((each) => each.bdf === NIC);
      if (code !== undefined) expect(device?.fault?.code).toBe(code);
    }
  });

  test("INSP-FIND-08: the root table outside RAM", () => {
    const { rtaddr } = new Patient("vtd_sm_fs").capture.registers;
    const { capture } = new Patient("vtd_sm_fs", { rtaddr: (rtaddr & 0xfffn) | RAM_END });
    const report = inspectCapture(capture);
    expect(report.findings).toEqual([{ code: "table-outside-ram", bdf: [], ...at(null, RAM_END) }]);
    expect(report.fault?.code).toBe(0x38);
    expect(report.devices).toEqual([]);
  });

  test("INSP-DEV-04: an entry that the unit cannot serve is the device's fault and no finding", () => {
    const patient = new Patient("vtd_legacy_ss");
    patient.setBits(patient.context(3), 0xcn);
    expect(patient.added()).toEqual([]);
    const device = inspectCapture(patient.capture).devices.find(({ bdf }) => bdf === NIC)!;
    expect(device.fault).toMatchObject({ code: 0x03, text: expect.stringContaining("not valid") });
    expect(device.pasids).toEqual([]);
  });
});

describe("the unit as a whole", () => {
  test("INSP-MODE-01: with translation off the tables are told all the same", () => {
    const { gsts } = new Patient("vtd_sm_fs").capture.registers;
    const { capture } = new Patient("vtd_sm_fs", { gsts: gsts & ~(1n << 31n) });
    const report = inspectCapture(capture);
    expect(report.translation).toBe(false);
    expect([...mappingsOf(report)]).toHaveLength(1987);
  });

  test("INSP-MODE-02: abort-DMA mode and modes the unit lacks have no devices", () => {
    const { rtaddr, ecap } = new Patient("vtd_sm_fs").capture.registers;
    const abort = new Patient("vtd_sm_fs", { rtaddr: rtaddr | 0xc00n, ecap: ecap | (1n << 52n) });
    expect(inspectCapture(abort.capture)).toMatchObject({
      mode: "abort",
      fault: null,
      devices: [],
    });
    for (const registers of [
      { rtaddr: rtaddr | 0xc00n },
      { rtaddr: (rtaddr & ~0xc00n) | 0x800n },
      { ecap: ecap & ~(1n << 43n) },
    ]) {
      const report = inspectCapture(new Patient("vtd_sm_fs", registers).capture);
      expect(report).toMatchObject({ mode: "invalid", devices: [], findings: [] });
      expect(report.fault?.code).toBe(0x30);
    }
  });

  test("INSP-MODE-03: the host address width is CAP.MGAW + 1 unless it is given", () => {
    const patient = new Patient("vtd_legacy_ss");
    const { iova } = patient.leavesOf(NIC)[0]!;
    const entry = patient.entry(patient.peek(patient.context(3)) & ADDRESS, iova, 0);
    patient.setBits(entry, 1n << 47n);
    expect(patient.added()).toEqual([]);
    const range = { iova, pa: entry, size: PAGE };
    const finding = { code: "reserved-bit", bdf: [NIC], pasid: null, ...range };
    expect(patient.added({ hostAddressWidth: 47 })).toEqual([finding]);
  });

  test("INSP-DEV-03: a device whose PASID entry is gone is there, and refused", () => {
    const { capture } = new Patient("vtd_sm_fs_cm/b2_claimed");
    const refused = inspectCapture(capture).devices.filter(({ fault }) => fault !== null);
    expect(refused.map(({ bdf, fault, pasids }) => [bdf, fault?.code, pasids.length])).toEqual([
      ["0000:00:05.0", 0x59, 0],
      ["0000:00:07.0", 0x59, 0],
    ]);
  });
});
