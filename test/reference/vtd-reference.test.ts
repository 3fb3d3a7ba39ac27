/** The reference itself, on tables small enough to be checked by eye. */
import { describe, expect, it } from "vitest";
import type { ReferenceMachine, ReferenceRequest, ReferenceResult } from "./vtd-machine.ts";
import { SERVER_PROFILE } from "./vtd-profiles.ts";
import { referenceTranslate } from "./vtd-reference.ts";

/** Memory as a list of quadwords; every address below 1 GiB is there. */
class Quadwords {
  readonly written = new Map<bigint, bigint>();
  read64(address: bigint): bigint | undefined {
    return address < 0x4000_0000n ? (this.written.get(address) ?? 0n) : undefined;
  }
  write64(address: bigint, value: bigint): boolean {
    if (address >= 0x4000_0000n) return false;
    this.written.set(address, value);
    return true;
  }
  set(...entries: readonly (readonly [address: bigint, value: bigint])[]): this {
    for (const [address, value] of entries) this.written.set(address, value);
    return this;
  }
}

const machine = (
  memory: Quadwords,
  rtaddr: bigint,
  rest: Partial<ReferenceMachine> = {},
): ReferenceMachine => ({
  ...SERVER_PROFILE,
  enabled: true,
  rtaddr,
  memory,
  ...rest,
});

interface Options {
  readonly source?: number;
  readonly pasid?: number;
  readonly access?: "r" | "w" | "rw";
  readonly privileged?: boolean;
  readonly type?: ReferenceRequest["type"];
}

const request = (address: bigint, options: Options = {}): ReferenceRequest => {
  const access = options.access ?? "r";
  return {
    source: options.source ?? 0x0010,
    pasid: options.pasid,
    address,
    type: options.type ?? "untranslated",
    access: {
      read: access.includes("r"),
      write: access.includes("w"),
      execute: false,
      privileged: options.privileged ?? false,
    },
  };
};

const codeOf = (result: ReferenceResult): number | undefined =>
  result.ok ? undefined : result.code;

/** Device 02.0 of bus 0 in legacy mode: a 3-level table at 3000 that maps 8000_5000 to 9000. */
const legacy = (): Quadwords =>
  new Quadwords().set(
    [0x1000n, 0x2001n],
    [0x2100n, 0x3001n],
    [0x2108n, 0x701n],
    [0x3010n, 0x4003n],
    [0x4000n, 0x5003n],
    [0x5028n, 0x9003n],
  );

/** PASID entry 0 of device 02.0, at 4000; what it points to is up to the test. */
const scalable = (entry: readonly bigint[]): Quadwords =>
  new Quadwords()
    .set([0x1000n, 0x2001n], [0x2200n, 0x3009n], [0x3000n, 0x4001n])
    .set(...entry.map((value, i) => [0x4000n + BigInt(i) * 8n, value] as const));

/** A first stage with its top table at 1_0000 over an identity second stage at 2_0000, 4 levels each. */
const nested = (secondLeaf = 3n, control = 1n << 23n): Quadwords => {
  const memory = scalable([0x2_0000n | 0xc9n, 0x5n | control, 0x1_0000n]);
  memory.set(
    [0x1_0000n, 0x1_1007n],
    [0x1_1000n, 0x1_2007n],
    [0x1_2000n, 0x1_3007n],
    [0x1_3008n, 0x3_0007n],
  );
  memory.set([0x2_0000n, 0x2_1003n], [0x2_1000n, 0x2_2003n], [0x2_2000n, 0x2_3003n]);
  for (let page = 0n; page < 0x40n; page++)
    memory.set([0x2_3000n + page * 8n, (page << 12n) | secondLeaf]);
  return memory;
};

describe("the reference", () => {
  it("VTD-ROOT-01: passes every request with translation off", () => {
    const off = machine(new Quadwords(), 0n, { enabled: false });
    expect(referenceTranslate(off, request(0xfee0_0000n))).toMatchObject({
      ok: true,
      address: 0xfee0_0000n,
      pageLg2: 64,
    });
  });

  it("VTD-SS-05: walks a legacy second stage and knows what it permits", () => {
    const memory = legacy();
    expect(
      referenceTranslate(machine(memory, 0x1000n), request(0x8000_5abcn, { access: "rw" })),
    ).toEqual({
      ok: true,
      address: 0x9abcn,
      pageLg2: 12,
      granted: { read: true, write: true, execute: false },
      reads: 3,
      updateReads: 0,
    });
    memory.set([0x4000n, 0x5001n]);
    expect(
      codeOf(referenceTranslate(machine(memory, 0x1000n), request(0x8000_5000n, { access: "w" }))),
    ).toBe(0x05);
    memory.set([0x4000n, 0x5002n]);
    expect(codeOf(referenceTranslate(machine(memory, 0x1000n), request(0x8000_5000n)))).toBe(0x06);
    memory.set([0x4000n, 0n]);
    expect(referenceTranslate(machine(memory, 0x1000n), request(0x8000_5000n))).toMatchObject({
      code: 0x06,
      stage: 2,
      level: 1,
    });
  });

  it("VTD-SS-01: refuses what AW does not reach", () => {
    expect(codeOf(referenceTranslate(machine(legacy(), 0x1000n), request(1n << 39n)))).toBe(0x04);
  });

  it("VTD-SS-04: takes bit 62 and a low address bit of a large page for reserved", () => {
    const memory = legacy().set([0x4000n, 0x20_0083n]);
    const read = (): ReferenceResult =>
      referenceTranslate(machine(memory, 0x1000n), request(0x8000_5000n));
    expect(read()).toMatchObject({ ok: true, address: 0x20_5000n, pageLg2: 21, reads: 2 });
    memory.set([0x4000n, 0x20_1083n]);
    expect(read()).toMatchObject({ code: 0x0c, level: 1 });
    memory.set([0x4000n, 0x4000_0000_0020_0083n]);
    expect(read()).toMatchObject({ code: 0x0c });
  });

  it("VTD-FAULT-01: FPD of an entry that is not present silences its fault, and not that of a root entry", () => {
    const memory = legacy().set([0x2100n, 0x2n]);
    expect(referenceTranslate(machine(memory, 0x1000n), request(0n))).toMatchObject({
      code: 0x02,
      silenced: "fpd",
    });
    memory.set([0x1000n, 0n]);
    expect(referenceTranslate(machine(memory, 0x1000n), request(0n))).toMatchObject({
      code: 0x01,
      silenced: undefined,
    });
  });

  it("VTD-FS-07: sets accessed on the way and dirty in the leaf of a write", () => {
    const memory = nested();
    memory.set([0x4000n, 0x41n]);
    const result = referenceTranslate(machine(memory, 0x1400n), request(0x1000n, { access: "w" }));
    expect(result).toMatchObject({ ok: true, address: 0x3_0000n, reads: 4 });
    expect(memory.read64(0x1_0000n)).toBe(0x1_1027n);
    expect(memory.read64(0x1_3008n)).toBe(0x3_0067n);
  });

  it("VTD-FS-08: refuses an update of an unsnooped walk with 90", () => {
    const memory = nested(3n, 0n);
    memory.set([0x4000n, 0x41n]);
    expect(referenceTranslate(machine(memory, 0x1400n), request(0x1000n))).toMatchObject({
      code: 0x90,
      level: 3,
    });
    expect(memory.read64(0x1_0000n)).toBe(0x1_1007n);
  });

  it("VTD-FS-01: 48 bits are canonical when they are sign-extended", () => {
    const memory = nested();
    memory.set([0x4000n, 0x41n]);
    for (const address of [0x8000_0000_0000n, 0xffff_7fff_ffff_f000n]) {
      expect(codeOf(referenceTranslate(machine(memory, 0x1400n), request(address)))).toBe(0x80);
    }
    expect(
      codeOf(referenceTranslate(machine(memory, 0x1400n), request(0xffff_8000_0000_0000n))),
    ).toBe(0x71);
  });

  it("VTD-NEST-06: reads 24 entries for 4 levels over 4, and 35 for 5 over 5", () => {
    expect(referenceTranslate(machine(nested(), 0x1400n), request(0x1000n))).toMatchObject({
      ok: true,
      address: 0x3_0000n,
      reads: 24,
    });
    const memory = nested().set([0x4000n, 0x2_4000n | 0xcdn], [0x2_4000n, 0x2_0003n]);
    memory.set([0x4010n, 0x1_4004n], [0x1_4000n, 0x1_0007n]);
    expect(referenceTranslate(machine(memory, 0x1400n), request(0x1000n))).toMatchObject({
      ok: true,
      address: 0x3_0000n,
      reads: 35,
    });
  });

  it("VTD-NEST-02: names the first stage when the second hides its tables", () => {
    const at = (address: bigint, entry: bigint): ReferenceResult =>
      referenceTranslate(machine(nested().set([address, entry]), 0x1400n), request(0x1000n));
    expect(at(0x2_3000n + 0x10n * 8n, 0n)).toMatchObject({ code: 0x75, stage: 1, level: 3 });
    expect(at(0x2_3000n + 0x12n * 8n, 2n)).toMatchObject({ code: 0x76, stage: 1, level: 1 });
    expect(at(0x1_1000n, 0x0001_0000_0000_0007n)).toMatchObject({ code: 0x74, stage: 1, level: 1 });
    expect(at(0x2_3000n + 0x12n * 8n, 0x4000_0000_0001_2003n)).toMatchObject({
      code: 0x7a,
      stage: 2,
      level: 0,
    });
  });

  it("VTD-NEST-03, VTD-NEST-05: a flag needs write permission in the second stage, except by the erratum", () => {
    const plain = referenceTranslate(machine(nested(1n), 0x1400n), request(0x1000n));
    expect(plain).toMatchObject({ code: 0x77, stage: 1, level: 3 });
    const memory = nested(1n);
    const flawed = machine(memory, 0x1400n, { erratum772415: true });
    expect(referenceTranslate(flawed, request(0x1000n))).toMatchObject({
      ok: true,
      granted: { write: false },
    });
    expect(memory.read64(0x1_0000n)).toBe(0x1_1027n);
    expect(codeOf(referenceTranslate(flawed, request(0x1000n, { access: "w" })))).toBe(0x85);
  });

  it("VTD-REQ-03: a translation request is granted what is left of what it asked", () => {
    const memory = nested(1n).set([0x2200n, 0x300dn], [0x1_3008n, 0x3_0067n]);
    for (const table of [0x1_0000n, 0x1_1000n, 0x1_2000n])
      memory.set([table, memory.read64(table)! | 0x20n]);
    const ask = (access: "r" | "rw"): ReferenceResult =>
      referenceTranslate(
        machine(memory, 0x1400n),
        request(0x1000n, { type: "translation-request", access }),
      );
    expect(ask("rw")).toMatchObject({ ok: true, granted: { read: true, write: false } });
    memory.set([0x2_3000n + 0x30n * 8n, 0x3_0003n]);
    expect(ask("rw")).toMatchObject({ ok: true, granted: { read: true, write: true } });
    expect(ask("r")).toMatchObject({ ok: true, granted: { read: true, write: false } });
    memory.set([0x1_3008n, 0n]);
    expect(ask("rw")).toMatchObject({ code: 0x71, silenced: "recoverable" });
  });

  it("VTD-CTX-07, VTD-REQ-02: translated requests pass with device TLBs and not without", () => {
    const memory = nested();
    const ask = (): ReferenceResult =>
      referenceTranslate(machine(memory, 0x1400n), request(0x7_0000n, { type: "translated" }));
    expect(codeOf(ask())).toBe(0x44);
    memory.set([0x2200n, 0x300dn]);
    expect(ask()).toMatchObject({ ok: true, address: 0x7_0000n, pageLg2: 64 });
  });
});
