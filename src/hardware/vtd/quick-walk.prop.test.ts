/**
 * The quick walk beside the other one: of two equal machines one is listened
 * to, which keeps it from walking quickly, and nothing else tells them apart.
 */
import { expect, test } from "vitest";
import { PASIDS, SOURCES, World } from "../../../test/reference/cache-world.ts";
import { Random } from "../../../test/reference/random.ts";
import { SERVER_PROFILE } from "../../../test/reference/vtd-profiles.ts";
import { scale } from "../../../test/scale.ts";
import { DmaRequest, NO_PASID, READ, WRITE } from "../pci/dma-request.ts";
import { createCapabilities, TranslationUnit, type VtdFault } from "./index.ts";

const WORLDS = scale(40, 2_000);
const STEPS = 500;

class Twin {
  readonly world: World;
  readonly unit: TranslationUnit;
  readonly request = new DmaRequest();

  constructor(seed: number, listened: boolean) {
    const random = new Random(seed);
    this.world = new World(random, random.chance(25));
    const { cap, ecap, hostAddressWidth } = SERVER_PROFILE;
    const capabilities = createCapabilities({ cap, ecap, hostAddressWidth });
    this.unit = new TranslationUnit({ capabilities, memory: this.world.memory });
    this.unit.setRootTable(this.world.rtaddr);
    this.unit.setTranslation(true);
    if (listened) this.unit.trace.listen("*", () => undefined);
  }

  change(flush: boolean): void {
    this.world.time++;
    this.world.changeEntry([]);
    if (!flush) return;
    for (const domain of [1, 2, 3, 4, 5, 6])
      this.unit.invalidateIotlb({ granularity: "domain", domain });
  }

  /** Makes a request; everything that can be seen of its answer. */
  ask(source: number, pasid: number, address: bigint, access: number): object {
    const { request, unit } = this;
    request.source = source;
    request.pasid = pasid;
    request.hi = Number(address >> 32n) | 0;
    request.lo = Number(address & 0xffff_ffffn) | 0;
    request.access = access;
    const ok = unit.translate(request);
    const fault = request.fault as VtdFault | undefined;
    const { outHi, outLo, pageLg2, granted } = request;
    const answer = ok ? { outHi, outLo, pageLg2, granted } : { code: fault?.code, fault };
    return { ok, answer, counters: { ...unit.counters, quickWalks: 0 } };
  }
}

test("VTD-CACHE-07: a quick walk answers, counts, marks and caches as the other does", () => {
  let quick = 0;
  let walks = 0;
  for (let seed = 1; seed <= WORLDS; seed++) {
    const [plain, listened] = [new Twin(seed, false), new Twin(seed, true)];
    const random = new Random(1_000_000 + seed);
    for (let step = 0; step < STEPS; step++) {
      if (random.chance(15)) {
        const flush = random.chance(50);
        plain.change(flush);
        listened.change(flush);
        continue;
      }
      const pasid = plain.world.legacy || random.chance(35) ? NO_PASID : random.pick(PASIDS);
      const source = random.pick(SOURCES);
      const address = plain.world.randomAddress();
      listened.world.randomAddress();
      const access = random.pick([READ, WRITE, READ | WRITE]);
      const found = plain.ask(source, pasid, address, access);
      const wanted = listened.ask(source, pasid, address, access);
      expect(found, `seed ${seed}, step ${step}`).toEqual(wanted);
    }
    expect(listened.unit.counters.quickWalks).toBe(0);
    quick += plain.unit.counters.quickWalks;
    walks += plain.unit.counters.walks;
  }
  // Most entries of these worlds are spoilt in some way, and still a good part of the walks must be quick.
  expect(quick / walks).toBeGreaterThan(0.1);
  expect(quick).toBeLessThan(walks);
});
