/** What is listed against what is translated, on random and hostile machines. */
import { describe, expect, it } from "vitest";
import { Random } from "../../../test/reference/random.ts";
import { TestMemory } from "../../../test/reference/vtd-memory.ts";
import { PROFILES, type UnitProfile } from "../../../test/reference/vtd-profiles.ts";
import { answeredAddress } from "../../../test/reference/vtd-requests.ts";
import { buildMachine, type RandomMachine } from "../../../test/reference/vtd-tables.ts";
import { scale } from "../../../test/scale.ts";
import { PROT_READ, PROT_USER, PROT_WRITE } from "../../page-table/format.ts";
import { DmaRequest, NO_PASID, READ, WRITE } from "../pci/dma-request.ts";
import { type EnumeratedSpace, enumerateUnit, type UnitEnumeration } from "./enumerate.ts";
import { createCapabilities, TranslationUnit, type VtdFault } from "./index.ts";
import { FIRST_STAGE, NESTED, PASS_THROUGH } from "./target.ts";

const FIRST_SEED = 70_000;
const MACHINES = scale(500, 100_000);
const REQUESTS = 24;

/** Tables that overlap may be read round and round; such machines are counted and left. */
const LIMITS = { mappings: 2 ** 15, pagingEntries: 2 ** 22 };

/** ECAP.RPRIVS: requests without a PASID that are privileged are another matter. */
const withoutPrivilege = (profile: UnitProfile): UnitProfile => ({
  ...profile,
  ecap: profile.ecap & ~(1n << 53n),
});

/** What a request should meet: an address, a refusal, or a refusal with this code. */
type Verdict = { readonly pa: bigint; readonly pageLg2: number } | "refused" | number;

/** Codes that are about accessed and dirty flags, which a list does not look at. */
const FLAG_CODES = [0x77, 0x7c, 0x90, 0x91];

const inWindow = (address: bigint): boolean => address >> 20n === 0xfeen;

const leafVerdict = (space: EnumeratedSpace, address: bigint, access: number): Verdict => {
  const { leaves, type } = space;
  const frame = Number(address >> 12n);
  for (let i = 0; i < leaves.count; i++) {
    const first = leaves.iovaFrames[i]!;
    const pageLg2 = leaves.sizesLg2[i]!;
    if (frame < first || frame >= first + 2 ** (pageLg2 - 12)) continue;
    const user = type === FIRST_STAGE || type === NESTED ? PROT_USER : 0;
    const need = (access & READ ? PROT_READ : 0) | (access & WRITE ? PROT_WRITE : 0) | user;
    if ((leaves.prots[i]! & need) !== need) return "refused";
    const pa = (BigInt(leaves.outFrames[i]!) << 12n) + (address - (BigInt(first) << 12n));
    return { pa, pageLg2 };
  }
  return "refused";
};

const verdict = (
  listed: UnitEnumeration,
  profile: UnitProfile,
  request: { source: number; pasid: number | undefined; address: bigint; access: number },
): Verdict => {
  const { source, pasid, address, access } = request;
  if (listed.mode === "abort") return 0;
  if (listed.fault !== 0) return listed.fault;
  const device = listed.devices.find((each) => each.source === source);
  if (device === undefined) return "refused";
  const space = device.spaces.find((each) => each.pasid === (pasid ?? null));
  if (space === undefined) return "refused";
  if (space.code !== 0) return space.code;
  if (pasid === undefined && inWindow(address)) return "refused";
  if (space.type !== PASS_THROUGH) return leafVerdict(space, address, access);
  if (address >> BigInt(profile.hostAddressWidth) !== 0n || inWindow(address)) return "refused";
  return { pa: address, pageLg2: 64 };
};

class Campaign {
  readonly memory = new TestMemory();
  /** The memory before any flag was set in it: tables may share a page with entries that flags would change. */
  readonly #untouched = new TestMemory();
  readonly seen = new Map<string, number>();
  readonly mismatches: string[] = [];

  run(seed: number): void {
    const random = new Random(seed);
    const profile = withoutPrivilege(random.weighted(PROFILES));
    this.memory.clear();
    const machine = buildMachine(random, profile, this.memory);
    const { memory } = this.memory;
    const capabilities = createCapabilities(profile);
    const { rtaddr } = machine;
    this.#untouched.copyFrom(this.memory);
    const listed = enumerateUnit({ capabilities, memory, rtaddr, limits: LIMITS });
    if (listed.truncation !== undefined) {
      this.#count("truncated");
      return;
    }
    const unit = new TranslationUnit({ capabilities, memory, caches: "off" });
    unit.setRootTable(rtaddr);
    unit.setTranslation(true);
    for (let i = 0; i < REQUESTS; i++) this.#ask(seed, random, machine, listed, unit);
  }

  #ask(
    seed: number,
    random: Random,
    machine: RandomMachine,
    listed: UnitEnumeration,
    unit: TranslationUnit,
  ): void {
    if (machine.targets.length === 0) return;
    const { source, pasid, address: near } = random.pick(machine.targets);
    // Around a page's end, further into a large one, and elsewhere.
    const step = random.pick([0n, 0n, 0xfffn, 0x1000n, -1n, 0x1f_f000n, 0x20_0000n, 0x3fff_ffffn]);
    const address = BigInt.asUintN(64, near + step);
    const access = random.pick([READ, WRITE, READ | WRITE]);
    const device = listed.devices.find((each) => each.source === source);
    // The PASID of requests without one is listed once, as null.
    if (pasid !== undefined && pasid === device?.ridPasid) return;
    const request = new DmaRequest();
    request.source = source;
    request.pasid = pasid ?? NO_PASID;
    request.hi = Number(address >> 32n) | 0;
    request.lo = Number(address & 0xffff_ffffn) | 0;
    request.access = access;
    const expected = verdict(listed, machine.profile, { source, pasid, address, access });
    const { flagUpdates } = unit.counters;
    const passed = unit.translate(request);
    if (unit.counters.flagUpdates !== flagUpdates) this.memory.copyFrom(this.#untouched);
    const code = passed ? 0 : (request.fault as VtdFault).code;
    if (FLAG_CODES.includes(code)) {
      this.#count("flags");
      return;
    }
    const type = device?.spaces.find((each) => each.pasid === (pasid ?? null))?.type ?? 0;
    if (typeof expected === "object") {
      this.#count(`listed ${listed.mode} ${type}`);
      const right = passed
        ? answeredAddress(request) === expected.pa && request.pageLg2 === expected.pageLg2
        : (code === 0x87 || code === 0x0e) && inWindow(expected.pa);
      if (right) return;
    } else {
      this.#count(
        expected === "refused" ? `not listed ${listed.mode} ${type}` : "refused by entry",
      );
      if (!passed && (expected === "refused" || expected === code)) return;
    }
    const told = typeof expected === "object" ? expected.pa.toString(16) : expected;
    const got = passed ? answeredAddress(request).toString(16) : `fault ${code.toString(16)}`;
    this.mismatches.push(
      `seed ${seed}, ${machine.profile.name}: source ${source} pasid ${pasid} access ${access} at ${address.toString(16)}: listed ${told}, unit ${got}`,
    );
  }

  #count(outcome: string): void {
    this.seen.set(outcome, (this.seen.get(outcome) ?? 0) + 1);
  }
}

describe("the list and the unit", () => {
  it("INSP-MAP-02: what is listed is what requests get, and nothing else", () => {
    const campaign = new Campaign();
    for (let n = 0; n < MACHINES && campaign.mismatches.length < 5; n++)
      campaign.run(FIRST_SEED + n);
    expect(campaign.mismatches.join("\n")).toBe("");
    const floors = [
      ...["listed legacy 2", "listed legacy 4", "not listed legacy 2"],
      ...[1, 2, 3, 4].flatMap((type) => [`listed scalable ${type}`, `not listed scalable ${type}`]),
      "refused by entry",
    ];
    for (const outcome of floors) {
      const count = campaign.seen.get(outcome) ?? 0;
      expect(count, outcome).toBeGreaterThanOrEqual(MACHINES / 25);
    }
    expect(campaign.seen.get("truncated") ?? 0).toBeLessThan(MACHINES / 20);
  });
});
