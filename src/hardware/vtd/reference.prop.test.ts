/** The unit against `test/reference`, on random and hostile machines: same answer, same bytes afterwards. */
import { describe, expect, it } from "vitest";
import { Random } from "../../../test/reference/random.ts";
import type { ReferenceRequest, ReferenceResult } from "../../../test/reference/vtd-machine.ts";
import { TestMemory } from "../../../test/reference/vtd-memory.ts";
import { PROFILES, type UnitProfile } from "../../../test/reference/vtd-profiles.ts";
import { referenceTranslate } from "../../../test/reference/vtd-reference.ts";
import {
  answeredAddress,
  describeRequest,
  fillRequest,
} from "../../../test/reference/vtd-requests.ts";
import { buildMachine, randomRequest } from "../../../test/reference/vtd-tables.ts";
import { scale } from "../../../test/scale.ts";
import { DmaRequest, EXECUTE, READ, WRITE } from "../pci/dma-request.ts";
import { createCapabilities, TranslationUnit, type VtdFault } from "./index.ts";

const FIRST_SEED = 20_000;
const MACHINES = scale(1_200, 250_000);
const REQUESTS = 14;

/** Every code that `docs/spec/vtd.md` gives a request. */
const CODES = [
  0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x30,
  0x31, 0x38, 0x39, 0x3a, 0x40, 0x41, 0x42, 0x44, 0x45, 0x46, 0x48, 0x50, 0x51, 0x52, 0x58, 0x59,
  0x5a, 0x5b, 0x5d, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x7b, 0x7c,
  0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x90, 0x91,
];

interface Tested {
  readonly unit: TranslationUnit;
  /** Whether the unit has caches, which are then emptied before every request. */
  readonly caches: boolean;
}

const invalidateAll = (unit: TranslationUnit): void => {
  unit.invalidateContext({ granularity: "global" });
  unit.invalidatePasid({ granularity: "global" });
  unit.invalidateIotlb({ granularity: "global" });
};

const bitsOf = (granted: { read: boolean; write: boolean; execute: boolean }): number =>
  (granted.read ? READ : 0) | (granted.write ? WRITE : 0) | (granted.execute ? EXECUTE : 0);

/** How the unit answered, in the reference's words; `granted` is judged apart. */
const answer = (unit: TranslationUnit, dma: DmaRequest): Record<string, unknown> => {
  const before = unit.counters.tableReads;
  const ok = unit.translate(dma);
  const reads = unit.counters.tableReads - before;
  if (ok) return { ok, address: answeredAddress(dma), pageLg2: dma.pageLg2, reads };
  const { code, silenced, stage, level } = dma.fault as VtdFault;
  return { ok, code, silenced, stage, level, reads };
};

const hex = (value: unknown): string =>
  JSON.stringify(value, (key, inner: unknown) => {
    if (typeof inner === "bigint") return `0x${inner.toString(16)}`;
    return key === "code" ? `0x${(inner as number).toString(16)}` : inner;
  });

/** VTD-REQ-03; a refused translation request is granted nothing. */
const isGrantRight = (
  dma: DmaRequest,
  request: ReferenceRequest,
  expected: ReferenceResult,
): boolean => {
  if (expected.ok) return dma.granted === bitsOf(expected.granted);
  return request.type !== "translation-request" || dma.granted === 0;
};

/** The first address at which the two memories differ. */
const difference = (a: TestMemory, b: TestMemory): string | undefined => {
  if (Buffer.compare(a.bytes, b.bytes) === 0) return undefined;
  const at = a.bytes.findIndex((byte, i) => byte !== b.bytes[i]) & ~7;
  const word = (bytes: Uint8Array): string =>
    Buffer.from(bytes.slice(at, at + 8).reverse()).toString("hex");
  return `memory offset 0x${at.toString(16)}: unit ${word(a.bytes)}, reference ${word(b.bytes)}`;
};

class Campaign {
  readonly fast = new TestMemory();
  readonly slow = new TestMemory();
  readonly outcomes = new Map<string, number>();
  readonly mismatches: string[] = [];
  readonly #units = new Map<string, Tested[]>();
  requests = 0;

  #unitsOf(profile: UnitProfile): Tested[] {
    const known = this.#units.get(profile.name);
    if (known !== undefined) return known;
    const { cap, ecap, hostAddressWidth, erratum772415, unsnoopedUpdates } = profile;
    const capabilities = createCapabilities({
      cap,
      ecap,
      hostAddressWidth,
      erratum772415,
      unsnoopedUpdates,
    });
    const { memory } = this.fast;
    const tested = [
      { unit: new TranslationUnit({ capabilities, memory, caches: "off" }), caches: false },
      { unit: new TranslationUnit({ capabilities, memory }), caches: true },
    ];
    this.#units.set(profile.name, tested);
    return tested;
  }

  run(seed: number): void {
    const random = new Random(seed);
    const profile = random.weighted(PROFILES);
    this.fast.clear();
    const machine = buildMachine(random, profile, this.fast);
    this.slow.copyFrom(this.fast);
    const { enabled, rtaddr } = machine;
    const reference = { ...profile, enabled, rtaddr, memory: this.slow };
    const tested = random.pick(this.#unitsOf(profile));
    tested.unit.setRootTable(rtaddr);
    tested.unit.setTranslation(enabled);
    const dma = new DmaRequest();
    for (let i = 0; i < REQUESTS; i++) {
      const request = randomRequest(random, machine);
      if (tested.caches) invalidateAll(tested.unit);
      fillRequest(dma, request);
      const got = answer(tested.unit, dma);
      const expected = referenceTranslate(reference, request);
      this.#count(expected);
      this.#compare(
        `seed ${seed}, request ${i}, ${profile.name}`,
        request,
        dma,
        got,
        expected,
        tested.caches,
      );
    }
  }

  #count(expected: ReferenceResult): void {
    this.requests++;
    const outcome = expected.ok
      ? `ok${expected.pageLg2}`
      : expected.code.toString(16).padStart(2, "0");
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }

  #compare(
    where: string,
    request: ReferenceRequest,
    dma: DmaRequest,
    got: Record<string, unknown>,
    expected: ReferenceResult,
    caches: boolean,
  ): void {
    const { granted, updateReads, ...rest } = { granted: undefined, ...expected };
    const { reads, ...outcome } = rest;
    const right = Object.entries(outcome).every(([key, value]) => got[key] === value);
    // Caches fill within one walk, so that only a unit without them reads what the closed form says.
    const counts = caches || got["reads"] === reads + updateReads;
    const memory = difference(this.fast, this.slow);
    if (right && counts && memory === undefined && isGrantRight(dma, request, expected)) return;
    const unit = `${hex(got)} granted ${dma.granted}`;
    const message = `${where}: ${describeRequest(request)}\n  unit ${unit}\n  reference ${hex(rest)} granted ${granted && bitsOf(granted)}`;
    this.mismatches.push(memory === undefined ? message : `${message}\n  ${memory}`);
    this.slow.copyFrom(this.fast);
  }
}

describe("the unit and the reference", () => {
  it("VTD-FAULT-03: answer every request alike, with the same flags in memory and as many reads", () => {
    const campaign = new Campaign();
    for (let n = 0; n < MACHINES && campaign.mismatches.length < 5; n++)
      campaign.run(FIRST_SEED + n);
    expect(campaign.mismatches.join("\n")).toBe("");
    const seen = (code: number): number =>
      campaign.outcomes.get(code.toString(16).padStart(2, "0")) ?? 0;
    const rarest = Math.min(...CODES.map(seen));
    const oks = [12, 21, 30, 64].map((lg2) => campaign.outcomes.get(`ok${lg2}`) ?? 0);
    console.log(
      `vtd reference: ${MACHINES} machines, ${campaign.requests} requests, ${oks.join("+")} translated (4K+2M+1G+untranslated), ${CODES.length} codes, the rarest ${rarest} times`,
    );
    expect(rarest, "every code is seen").toBeGreaterThanOrEqual(MACHINES / 500);
    expect(Math.min(...oks), "every page size is seen").toBeGreaterThanOrEqual(MACHINES / 10);
    expect(
      [...campaign.outcomes.keys()].filter((outcome) => !outcome.startsWith("ok")).length,
    ).toBe(CODES.length);
  });
});
