import { describe, expect, test } from "vitest";
import { EngineRig } from "../../../test/engine-rig.ts";
import { NOWHERE } from "../../../test/vtd-tables.ts";
import { type Capabilities, createCapabilities } from "./capabilities.ts";
import { SERVER } from "./profiles.ts";
import { INTERRUPT_ENTRY_DESCRIPTOR } from "./spec/descriptors.ts";
import { INTERRUPT_ENTRY } from "./spec/interrupt-entry.ts";
import { FRCD, IRTA } from "./spec/registers.ts";

type Entry = Parameters<typeof INTERRUPT_ENTRY.encode>[0];

const ESIRTPS = 1n << 62n;

/** Where an engine's MSI is aimed for `handle`: remappable format. */
const remappable = (handle: number, shv = false): bigint =>
  0xfee0_0010n | (BigInt(handle & 0x7fff) << 5n) | (BigInt(handle >> 15) << 2n) | (shv ? 8n : 0n);

/** A machine whose interrupts are remapped through a table of 2^(S+1) entries. */
class InterruptRig extends EngineRig {
  table = 0n;

  constructor(capabilities: Capabilities = SERVER, s = 3, flags = 0n) {
    super({ capabilities });
    this.context();
    this.pasidEntry({ PGTT: 2, SSPTPTR: this.identity(0x40_0000n) }, 0);
    this.useTable(this.page(), s, flags);
    this.command(25);
  }

  useTable(table: bigint, s = 3, flags = 0n): void {
    this.table = table;
    this.write(IRTA, table | BigInt(s) | flags);
    this.command(24);
  }

  entry(index: number, values: Entry): void {
    const words = INTERRUPT_ENTRY.encode({ P: 1, V: 0x40 + index, DST: 0x300, ...values });
    this.poke(this.table + BigInt(index) * 16n, ...words);
  }

  /** Has the engine send a message. */
  send(address: bigint, data = 0): void {
    this.aimMsi(address, data);
    this.run("read", { address: 0x1000n, flags: { interrupt: 1 } });
  }

  /** Has the engine send a message; the vector that arrives, or the code that is recorded. */
  outcome(address: bigint, data = 0): string {
    this.interrupts.length = 0;
    this.clearFaults();
    this.send(address, data);
    return this.#arrived();
  }

  /** As `outcome`, from another source and with all 32 bits of data. */
  outcomeFrom(source: number, address: bigint, data = 0): string {
    this.interrupts.length = 0;
    this.clearFaults();
    this.unit.deliver({ source, address, data });
    return this.#arrived();
  }

  #arrived(): string {
    const [interrupt] = this.interrupts;
    const [fault] = this.faults();
    if (interrupt !== undefined) return `vector ${interrupt.vector.toString(16)}`;
    return fault === undefined ? "nothing" : `fault ${fault.code}`;
  }

  invalidate(values: Parameters<typeof INTERRUPT_ENTRY_DESCRIPTOR.encode>[0] = {}): void {
    this.submit(4, INTERRUPT_ENTRY_DESCRIPTOR, values);
  }
}

describe("messages", () => {
  test("VTD-IR-01: an interrupt is no memory, and no business of DMA translation", () => {
    const rig = new InterruptRig();
    rig.entry(1, {});
    const requests: unknown[] = [];
    rig.trace.listen("pci.request", ({ payload }) =>
      requests.push((payload as { address: bigint }).address),
    );
    expect(rig.outcome(remappable(1))).toBe("vector 41");
    expect(requests).toEqual([0x1000n]);
    // Anything else there is a memory request, which is refused.
    expect(rig.run("fill", { address: 0xfee0_0000n, length: 8 })).toBe("87");
    expect(rig.run("read", { address: 0xfee0_0000n, length: 4 })).toBe("87");
    // Held, it is delivered when it is let go.
    rig.interrupts.length = 0;
    rig.fabric.writeMmio(0, rig.bar + 0x800n, 4, 0n);
    expect(rig.run("write", { address: remappable(1), length: 4, flags: { hold: 1 } })).toBe("ok");
    expect(rig.interrupts).toHaveLength(0);
    expect(rig.run("release")).toBe("ok");
    expect(rig.interrupts).toHaveLength(1);
  });

  test("VTD-IR-02: with remapping off a message passes as it is", () => {
    const rig = new InterruptRig();
    rig.command(25, false);
    rig.send(0xfee0_0000n | (0x5an << 12n) | 0xcn, 0x8731);
    rig.send(0xfee0_1000n, 0x0042);
    expect(rig.interrupts).toEqual([
      {
        vector: 0x31,
        destination: 0x5a,
        destinationMode: "logical",
        redirectionHint: true,
        deliveryMode: 7,
        triggerMode: "level",
      },
      {
        vector: 0x42,
        destination: 1,
        destinationMode: "physical",
        redirectionHint: false,
        deliveryMode: 0,
        triggerMode: "edge",
      },
    ]);
    expect(rig.faults()).toEqual([]);
  });

  test("VTD-IR-03: the entry gives every attribute", () => {
    const rig = new InterruptRig();
    rig.entry(2, { V: 0xfe, DST: 0xab00, DM: 1, RH: 1, TM: 1, DLM: 1, AVAIL: 15 });
    rig.entry(3, { V: 0x31, DST: 0x0100 });
    rig.send(remappable(2), 0x4321);
    rig.send(remappable(3));
    expect(rig.interrupts).toEqual([
      {
        vector: 0xfe,
        destination: 0xab,
        destinationMode: "logical",
        redirectionHint: true,
        deliveryMode: 1,
        triggerMode: "level",
      },
      {
        vector: 0x31,
        destination: 1,
        destinationMode: "physical",
        redirectionHint: false,
        deliveryMode: 0,
        triggerMode: "edge",
      },
    ]);
  });

  test("VTD-IR-03: the subhandle is added where SHV says so", () => {
    const rig = new InterruptRig();
    for (const index of [2, 7]) rig.entry(index, {});
    expect(rig.outcome(remappable(2, true), 5)).toBe("vector 47");
    expect(rig.outcome(remappable(2, false), 5)).toBe("vector 42");
  });

  test("VTD-IR-03: bit 15 of the handle is address bit 2", () => {
    const rig = new InterruptRig(SERVER, 15);
    rig.entry(0x8001, { V: 0x77 });
    expect(rig.outcome(remappable(0x8001))).toBe("vector 77");
    expect(rig.outcome(remappable(1))).toBe("fault 22");
    rig.entry(0x8103, { V: 0x78 });
    expect(rig.outcome(remappable(0x8001, true), 0x102)).toBe("vector 78");
  });

  test("VTD-IR-04: compatibility format passes where it is allowed, and extended mode is off", () => {
    const rig = new InterruptRig();
    expect(rig.outcome(0xfee0_0000n, 0x55)).toBe("fault 25");
    rig.command(23);
    expect(rig.outcome(0xfee0_0000n, 0x55)).toBe("vector 55");
    rig.useTable(rig.table, 3, 0x800n);
    expect(rig.outcome(0xfee0_0000n, 0x55)).toBe("fault 25");
  });

  test("VTD-IR-13: extended interrupt mode", () => {
    const rig = new InterruptRig(SERVER, 3, 0x800n);
    rig.entry(1, { DST: 0xfedc_ba98 });
    rig.send(remappable(1));
    expect(rig.interrupts[0]?.destination).toBe(0xfedc_ba98);
    const narrow = new InterruptRig(
      createCapabilities({ cap: SERVER.cap, ecap: SERVER.ecap & ~0x10n }),
      3,
      0x800n,
    );
    narrow.entry(1, { DST: 0x100 });
    narrow.send(remappable(1));
    expect(narrow.interrupts[0]?.destination).toBe(1);
  });
});

describe("faults", () => {
  test("VTD-IR-05: the upper half of the data is reserved where there is a subhandle", () => {
    const rig = new InterruptRig();
    rig.entry(1, {});
    expect(rig.outcomeFrom(rig.source, remappable(1, true), 0x1_0000)).toBe("fault 20");
    expect(rig.outcomeFrom(rig.source, remappable(1, false), 0x1_0000)).toBe("vector 41");
  });

  test("VTD-IR-06: an index beyond the table", () => {
    const rig = new InterruptRig();
    rig.entry(15, {});
    expect(rig.outcome(remappable(15))).toBe("vector 4f");
    expect(rig.outcome(remappable(16))).toBe("fault 21");
    expect(rig.outcome(remappable(15, true), 1)).toBe("fault 21");
    expect(rig.outcome(remappable(0xffff, true), 0xffff)).toBe("fault 21");
    rig.useTable(rig.table, 0);
    expect([rig.outcome(remappable(1)), rig.outcome(remappable(2))]).toEqual([
      "fault 22",
      "fault 21",
    ]);
  });

  test("VTD-IR-07, VTD-IR-11: an entry not present, silenced by its FPD", () => {
    const rig = new InterruptRig();
    rig.entry(1, { P: 0 });
    expect(rig.outcome(remappable(1))).toBe("fault 22");
    rig.entry(1, { P: 0, FPD: 1 });
    expect(rig.outcome(remappable(1))).toBe("nothing");
  });

  test("VTD-IR-08, VTD-IR-11: a table in no memory", () => {
    const rig = new InterruptRig();
    rig.entry(1, { P: 0, FPD: 1 });
    expect(rig.outcome(remappable(1))).toBe("nothing");
    rig.useTable(NOWHERE);
    expect(rig.outcome(remappable(1))).toBe("fault 23");
  });

  test("VTD-IR-09, VTD-IR-11: reserved bits, silenced by FPD", () => {
    const rig = new InterruptRig();
    const at = rig.table + 16n;
    for (const [word, bit] of [
      [0n, 12n],
      [0n, 15n],
      [0n, 24n],
      [0n, 31n],
      [8n, 20n],
      [8n, 63n],
    ] as const) {
      rig.entry(1, {});
      rig.setBits(at + word, 1n << bit);
      expect(rig.outcome(remappable(1)), `bit ${bit}`).toBe("fault 24");
      rig.setBits(at, 2n);
      expect(rig.outcome(remappable(1))).toBe("nothing");
    }
    rig.entry(1, { SVT: 3 });
    expect(rig.outcome(remappable(1))).toBe("fault 24");
    for (const DST of [1, 0x80, 0x1_0000, 0x8000_0000]) {
      rig.entry(1, { DST });
      expect(rig.outcome(remappable(1))).toBe("fault 24");
    }
    rig.entry(1, {});
    expect(rig.outcome(remappable(1))).toBe("vector 41");
  });

  test("VTD-IR-10, VTD-IR-11: the source must be the entry's", () => {
    const rig = new InterruptRig();
    const passes = (entry: Entry, sources: readonly number[]): boolean[] =>
      sources.map((source) => {
        rig.entry(1, entry);
        rig.invalidate();
        return rig.outcomeFrom(source, remappable(1)) === "vector 41";
      });
    const sources = [0x0310, 0x0314, 0x0312, 0x0311, 0x0318, 0x0210];
    expect(passes({ SVT: 0, SID: 0x310 }, sources)).toEqual([true, true, true, true, true, true]);
    expect(passes({ SVT: 1, SID: 0x310 }, sources)).toEqual([
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
    expect(passes({ SVT: 1, SID: 0x310, SQ: 1 }, sources)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(passes({ SVT: 1, SID: 0x310, SQ: 2 }, sources)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect(passes({ SVT: 1, SID: 0x310, SQ: 3 }, sources)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(passes({ SVT: 2, SID: 0x0305 }, [0x2ff, 0x300, 0x4ff, 0x5ff, 0x600])).toEqual([
      false,
      true,
      true,
      true,
      false,
    ]);
    rig.entry(1, { SVT: 1, SID: 0x311 });
    rig.invalidate();
    expect(rig.outcome(remappable(1))).toBe("fault 26");
    rig.entry(1, { SVT: 1, SID: 0x311, FPD: 1 });
    rig.invalidate();
    expect(rig.outcome(remappable(1))).toBe("nothing");
    // The engine itself is 00:02.0.
    rig.entry(1, { SVT: 1, SID: 0x10, FPD: 1 });
    rig.invalidate();
    expect(rig.outcome(remappable(1))).toBe("vector 41");
  });

  test("VTD-IR-12: what is recorded, and what the sender learns", () => {
    const rig = new InterruptRig(SERVER, 15);
    rig.fabric.writeMmio(0, rig.bar + 0x800n, 4, 0n);
    rig.start("write", { address: remappable(0x8123), length: 4 });
    expect(rig.read(FRCD)).toMatchObject({
      F: 1n,
      FR: 0x22n,
      SID: BigInt(rig.source),
      T1: 0n,
      T2: 0n,
      PP: 0n,
    });
    expect(rig.read(FRCD).FI >> 48n).toBe(0x8123n);
    // Unsupported Request, the PCI completion code; not the unit's.
    expect(rig.status()).toBe("01");
  });
});

describe("cached entries", () => {
  test("VTD-IR-14: an entry stays as it was until it is invalidated", () => {
    const rig = new InterruptRig();
    rig.entry(1, {});
    expect(rig.outcome(remappable(1))).toBe("vector 41");
    rig.entry(1, { V: 0x99 });
    expect(rig.outcome(remappable(1))).toBe("vector 41");
    rig.invalidate();
    expect(rig.outcome(remappable(1))).toBe("vector 99");
    rig.entry(1, { P: 0 });
    expect(rig.outcome(remappable(1))).toBe("vector 99");
    rig.invalidate();
    expect(rig.outcome(remappable(1))).toBe("fault 22");
    // What was refused is not remembered.
    rig.entry(1, {});
    expect(rig.outcome(remappable(1))).toBe("vector 41");
  });

  test("VTD-IR-14: by index, 2^IM entries around it", () => {
    const stale = (values: Parameters<InterruptRig["invalidate"]>[0]): number[] => {
      const rig = new InterruptRig();
      const indices = [...Array(16).keys()];
      for (const index of indices) rig.entry(index, {});
      for (const index of indices) rig.send(remappable(index));
      for (const index of indices) rig.entry(index, { V: 0x99 });
      rig.invalidate(values);
      return indices.filter((index) => rig.outcome(remappable(index)) !== "vector 99");
    };
    const without = (...fresh: number[]) =>
      [...Array(16).keys()].filter((index) => !fresh.includes(index));
    expect(stale({ G: 1, IIDX: 5 })).toEqual(without(5));
    expect(stale({ G: 1, IIDX: 5, IM: 1 })).toEqual(without(4, 5));
    expect(stale({ G: 1, IIDX: 6, IM: 2 })).toEqual(without(4, 5, 6, 7));
    expect(stale({ G: 1, IIDX: 0, IM: 15 })).toEqual([]);
    expect(stale({ G: 0, IIDX: 5 })).toEqual([]);
    expect(stale({ G: 1, IIDX: 0x100 })).toEqual(without());
  });

  test("VTD-IR-15, VTD-GCMD-03: another table", () => {
    const change = (capabilities: Capabilities): string[] => {
      const rig = new InterruptRig(capabilities);
      rig.entry(1, {});
      rig.send(remappable(1));
      const other = rig.page();
      rig.write(IRTA, other | 3n);
      const seen = [rig.outcome(remappable(1))];
      rig.table = other;
      rig.entry(1, { V: 0x99 });
      rig.entry(2, { V: 0x9a });
      rig.command(24);
      seen.push(rig.outcome(remappable(1)), rig.outcome(remappable(2)));
      rig.invalidate();
      return [...seen, rig.outcome(remappable(1))];
    };
    expect(change(SERVER)).toEqual(["vector 41", "vector 99", "vector 9a", "vector 99"]);
    const plain = createCapabilities({
      cap: SERVER.cap & ~ESIRTPS,
      ecap: SERVER.ecap,
      hostAddressWidth: 52,
    });
    expect(change(plain)).toEqual(["vector 41", "vector 41", "vector 9a", "vector 99"]);
  });
});
