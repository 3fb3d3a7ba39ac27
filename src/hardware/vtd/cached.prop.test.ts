/**
 * A unit with caches while its tables change: every answer is that of a walk
 * from scratch or, where an invalidation is owed, one that held since the last
 * invalidation that covered it.
 */
import { describe, expect, it } from "vitest";
import { InvalidationLog } from "../../../test/reference/cache-history.ts";
import { type Possibility, possibilities, type Stale } from "../../../test/reference/cache-oracle.ts";
import { PASIDS, SOURCES, World } from "../../../test/reference/cache-world.ts";
import { Random } from "../../../test/reference/random.ts";
import type { ReferenceRequest, ReferenceResult } from "../../../test/reference/vtd-machine.ts";
import { SERVER_PROFILE, type UnitProfile } from "../../../test/reference/vtd-profiles.ts";
import {
  answeredAddress,
  describeRequest,
  fillRequest,
} from "../../../test/reference/vtd-requests.ts";
import { scale } from "../../../test/scale.ts";
import { DmaRequest, EXECUTE, READ, WRITE } from "../pci/dma-request.ts";
import { createCapabilities, TranslationUnit, type VtdFault } from "./index.ts";

const FIRST_SEED = 70_000;
const WORLDS = scale(60, 6_000);
const STEPS = 900;

type Operation = "dma" | "entry" | "pasid" | "context" | "root" | "invalidate";

/** How many of each thing were seen. */
class Coverage {
  readonly counts = new Map<string, number>();
  add(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
  of(what: string): number {
    return this.counts.get(what) ?? 0;
  }
  /** How many different things begin with `prefix`. */
  kinds(prefix: string): number {
    return [...this.counts.keys()].filter((what) => what.startsWith(prefix)).length;
  }
}

/** An answer as one string: two that are equal cannot be told apart by a device. */
const keyOf = (request: ReferenceRequest, result: ReferenceResult): string => {
  if (!result.ok) return `${result.code.toString(16)} ${result.silenced} ${result.stage} ${result.level}`;
  const { read, write, execute } = result.granted;
  const granted = (read ? READ : 0) | (write ? WRITE : 0) | (execute ? EXECUTE : 0);
  const shown = request.type === "translation-request" ? granted : "";
  return `ok ${result.address.toString(16)} ${result.pageLg2} ${shown}`;
};

const keyOfAnswer = (request: ReferenceRequest, ok: boolean, dma: DmaRequest): string => {
  if (!ok) {
    const { code, silenced, stage, level } = dma.fault as VtdFault;
    return `${code.toString(16)} ${silenced} ${stage} ${level}`;
  }
  const shown = request.type === "translation-request" ? dma.granted : "";
  return `ok ${answeredAddress(dma).toString(16)} ${dma.pageLg2} ${shown}`;
};

const WITHOUT_ESRTPS = { ...SERVER_PROFILE, cap: SERVER_PROFILE.cap & ~(1n << 63n) };

/** One world with its unit. */
class Scene {
  readonly #random: Random;
  readonly #world: World;
  readonly #unit: TranslationUnit;
  readonly #profile: UnitProfile;
  readonly #log = new InvalidationLog();
  readonly #coverage: Coverage;
  readonly #dma = new DmaRequest();

  constructor(seed: number, caches: boolean, coverage: Coverage) {
    this.#random = new Random(seed);
    this.#coverage = coverage;
    this.#world = new World(this.#random, this.#random.chance(25));
    this.#profile = this.#random.chance(60) ? SERVER_PROFILE : WITHOUT_ESRTPS;
    const { cap, ecap, hostAddressWidth } = this.#profile;
    const capabilities = createCapabilities({ cap, ecap, hostAddressWidth });
    const { memory } = this.#world;
    this.#unit = new TranslationUnit({ capabilities, memory, ...(caches ? {} : { caches: "off" }) });
    this.#unit.setRootTable(this.#world.rtaddr);
    this.#unit.setTranslation(true);
  }

  /** @returns what was wrong, or `undefined` */
  step(): string | undefined {
    const world = this.#world;
    world.time++;
    const operation = this.#random.weighted<Operation>([
      [70, "dma"],
      [16, "entry"],
      [3, "pasid"],
      [2, "context"],
      [0.5 as number, "root"],
      [8, "invalidate"],
    ]);
    if (operation !== "dma") this.#coverage.add(`operation ${operation}`);
    if (operation === "dma") return this.#access();
    if (operation === "entry") world.changeEntry();
    else if (operation === "pasid" && !world.legacy) world.changePasid();
    else if (operation === "context") world.changeContext();
    else if (operation === "root") this.#changeRoot();
    else if (operation === "invalidate") this.#invalidate();
    return undefined;
  }

  #changeRoot(): void {
    this.#world.changeRoot();
    this.#unit.setRootTable(this.#world.rtaddr);
    if (this.#profile === WITHOUT_ESRTPS) return;
    const { time } = this.#world;
    this.#log.context(time, { granularity: "global" });
    this.#log.pasid(time, { granularity: "global" });
    this.#log.iotlb(time, { granularity: "global" });
  }

  #invalidate(): void {
    const random = this.#random;
    const { time } = this.#world;
    const domain = random.pick(this.#world.domains).id;
    const pasid = random.pick(PASIDS);
    const mask = random.pick([0, 0, 0, 1, 2, 9, 18]);
    const page = { granularity: "page", domain, address: this.#world.randomAddress() & ~0xfffn, mask, hint: random.chance(40) } as const;
    const kind = random.weighted([[25, "context"], [25, "pasid"], [25, "iotlb"], [25, "pasid-iotlb"]] as const);
    if (kind === "context") {
      const device = {
        granularity: "device",
        source: random.pick(SOURCES),
        functionMask: random.pick([0, 1, 2, 3] as const),
      } as const;
      const by = random.weighted([[10, { granularity: "global" }], [30, { granularity: "domain", domain }], [60, device]] as const);
      this.#coverage.add(`invalidate context ${by.granularity}`);
      this.#unit.invalidateContext(by);
      this.#log.context(time, by);
    } else if (kind === "pasid") {
      const by = random.weighted([[10, { granularity: "global" }], [30, { granularity: "domain", domain }], [60, { granularity: "pasid", domain, pasid }]] as const);
      this.#coverage.add(`invalidate pasid ${by.granularity}`);
      this.#unit.invalidatePasid(by);
      this.#log.pasid(time, by);
    } else if (kind === "iotlb") {
      const by = random.weighted([[10, { granularity: "global" }], [20, { granularity: "domain", domain }], [70, page]] as const);
      this.#coverage.add(`invalidate iotlb ${by.granularity}${by.granularity === "page" && by.hint ? " with hint" : ""}`);
      this.#unit.invalidateIotlb(by);
      this.#log.iotlb(time, by);
    } else {
      const by = random.weighted([[30, { granularity: "pasid", domain, pasid }], [70, { ...page, pasid }]] as const);
      this.#coverage.add(`invalidate pasid-iotlb ${by.granularity}${by.granularity === "page" && by.hint ? " with hint" : ""}`);
      this.#unit.invalidatePasidIotlb(by);
      this.#log.pasidIotlb(time, by);
    }
  }

  #request(): ReferenceRequest {
    const random = this.#random;
    const type = random.weighted<ReferenceRequest["type"]>([
      [80, "untranslated"],
      [17, "translation-request"],
      [3, "translated"],
    ]);
    const pasid = this.#world.legacy || random.chance(35) ? undefined : random.pick(PASIDS);
    const [read, write] = random.pick([[true, false], [false, true], [true, true]] as const);
    const asksRead = read || type === "translation-request";
    const privileged = pasid !== undefined && random.chance(15);
    return {
      source: random.pick(SOURCES),
      pasid,
      address: this.#world.randomAddress(),
      type,
      access: { read: asksRead, write, execute: false, privileged },
    };
  }

  /** A request, and whether its answer may be. */
  #access(): string | undefined {
    const request = this.#request();
    const ways = possibilities(this.#world, this.#log, this.#profile, request);
    const fresh = ways.next().value as Possibility;
    const freshKey = keyOf(request, fresh.result);
    fillRequest(this.#dma, request);
    const before = keyed(ways, this.#random.chance(20) || this.#mayBeStale);
    const ok = this.#unit.translate(this.#dma);
    const key = keyOfAnswer(request, ok, this.#dma);
    void before;
    return this.#judge(request, freshKey, key, ways);
  }
}
