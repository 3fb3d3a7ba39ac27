/**
 * A unit with caches while its tables change: every answer is that of a walk
 * from scratch or, where an invalidation is owed, one that held since the last
 * invalidation that covered it.
 */
import { describe, expect, it } from "vitest";
import { InvalidationLog } from "../../../test/reference/cache-history.ts";
import {
  type Possibility,
  possibilities,
  type Stale,
} from "../../../test/reference/cache-oracle.ts";
import { PASIDS, SOURCES, World } from "../../../test/reference/cache-world.ts";
import { Random } from "../../../test/reference/random.ts";
import type { ReferenceRequest, ReferenceResult } from "../../../test/reference/vtd-machine.ts";
import { SERVER_PROFILE, type UnitProfile } from "../../../test/reference/vtd-profiles.ts";
import {
  answeredAddress,
  describeRequest,
  fillRequest,
} from "../../../test/reference/vtd-requests.ts";
import { SOAK, scale } from "../../../test/scale.ts";
import { createSparseMemory } from "../../memory/index.ts";
import { DmaRequest, EXECUTE, READ, WRITE } from "../pci/dma-request.ts";
import {
  type ContextInvalidation,
  createCapabilities,
  type IotlbInvalidation,
  type PasidInvalidation,
  type PasidIotlbInvalidation,
  TranslationUnit,
  type VtdFault,
} from "./index.ts";

const FIRST_SEED = 70_000;
const WORLDS = scale(12, 4_000);
const STEPS = 900;

type Operation = "dma" | "entry" | "pasid" | "context" | "root" | "invalidate";

/** How many of each thing were seen. */
class Coverage {
  readonly counts = new Map<string, number>();
  add(what: string): undefined {
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
  if (!result.ok)
    return `${result.code.toString(16)} ${result.silenced} ${result.stage} ${result.level}`;
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
  /** The invalidation that does not reach the unit. */
  readonly #lost: string | undefined;
  /** Requests of late, and the page-table entries that the last one used. */
  #recent: ReferenceRequest[] = [];
  #used: readonly bigint[] = [];

  constructor(seed: number, caches: boolean, coverage: Coverage, lost?: string) {
    this.#lost = lost;
    this.#random = new Random(seed);
    this.#coverage = coverage;
    this.#world = new World(this.#random, this.#random.chance(25));
    this.#profile = this.#random.chance(60) ? SERVER_PROFILE : WITHOUT_ESRTPS;
    const { cap, ecap, hostAddressWidth } = this.#profile;
    const capabilities = createCapabilities({ cap, ecap, hostAddressWidth });
    const { memory } = this.#world;
    this.#unit = new TranslationUnit({
      capabilities,
      memory,
      ...(caches ? {} : { caches: "off" }),
    });
    this.#unit.setRootTable(this.#world.rtaddr);
    this.#unit.setTranslation(true);
  }

  /** @returns what was wrong, or `undefined` */
  step(): string | undefined {
    const world = this.#world;
    world.time++;
    const operation = this.#random.weighted<Operation>([
      [280, "dma"],
      [60, "entry"],
      [12, "pasid"],
      [8, "context"],
      [1, "root"],
      [30, "invalidate"],
    ]);
    if (operation !== "dma") this.#coverage.add(`operation ${operation}`);
    if (operation === "dma") return this.#access();
    if (operation === "entry") world.changeEntry(this.#used);
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
    const near = random.chance(60) ? this.#lately() : this.#request();
    const tag = this.#world.tagOf(near.source, near.pasid);
    const { domain } = tag;
    const page = {
      granularity: "page",
      domain,
      address: near.address & ~0xfffn,
      mask: random.pick([0, 0, 0, 1, 2, 9, 18]),
      hint: random.chance(40),
    } as const;
    const whole = { granularity: "domain", domain } as const;
    const pasid = { granularity: "pasid", ...tag } as const;
    const { source } = near;
    const device = { granularity: "device", source, functionMask: random.below(4) } as const;
    random.pick([
      () => this.#invalidateContext(this.#globalOr([whole, device, device])),
      () => this.#invalidatePasid(this.#globalOr([whole, pasid, pasid])),
      () => this.#invalidateIotlb(this.#globalOr([whole, page, page, page, page])),
      () => this.#invalidatePasidIotlb(random.pick([pasid, { ...page, ...tag }])),
    ])();
  }

  #globalOr<T>(others: readonly T[]): T | { readonly granularity: "global" } {
    return this.#random.chance(20) ? { granularity: "global" } : this.#random.pick(others);
  }

  /** Counts an invalidation; whether it reaches the unit. */
  #arrives(what: string, by: { granularity: string; hint?: boolean }): boolean {
    const name = `${what} ${by.granularity}${by.hint === true ? " with hint" : ""}`;
    this.#coverage.add(`invalidate ${name}`);
    return name !== this.#lost;
  }

  #invalidateContext(by: ContextInvalidation): void {
    if (this.#arrives("context", by)) this.#unit.invalidateContext(by);
    this.#log.context(this.#world.time, by);
  }

  #invalidatePasid(by: PasidInvalidation): void {
    if (this.#arrives("pasid", by)) this.#unit.invalidatePasid(by);
    this.#log.pasid(this.#world.time, by);
  }

  #invalidateIotlb(by: IotlbInvalidation): void {
    if (this.#arrives("iotlb", by)) this.#unit.invalidateIotlb(by);
    this.#log.iotlb(this.#world.time, by);
  }

  #invalidatePasidIotlb(by: PasidIotlbInvalidation): void {
    if (this.#arrives("pasid-iotlb", by)) this.#unit.invalidatePasidIotlb(by);
    this.#log.pasidIotlb(this.#world.time, by);
  }

  #lately(): ReferenceRequest {
    return this.#recent.length > 0 ? this.#random.pick(this.#recent) : this.#request();
  }

  #request(): ReferenceRequest {
    const random = this.#random;
    const type = random.weighted<ReferenceRequest["type"]>([
      [80, "untranslated"],
      [17, "translation-request"],
      [3, "translated"],
    ]);
    const pasid = this.#world.legacy || random.chance(35) ? undefined : random.pick(PASIDS);
    const [read, write] = random.pick([
      [true, false],
      [false, true],
      [true, true],
    ] as const);
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

  /** Makes a request; says what is wrong with its answer. */
  #access(): string | undefined {
    const request = this.#random.chance(50) ? this.#lately() : this.#request();
    this.#recent = [...this.#recent.slice(-5), request];
    const ways = possibilities(this.#world, this.#log, this.#profile, request);
    const fresh = ways.next().value as Possibility;
    this.#used = fresh.entries;
    fillRequest(this.#dma, request);
    const ok = this.#unit.translate(this.#dma);
    const key = keyOfAnswer(request, ok, this.#dma);
    this.#coverage.add(`dma ${request.type} ${ok ? "ok" : "refused"}`);
    if (!ok) this.#coverage.add(`code ${key.split(" ")[0]}`);
    if (key === keyOf(request, fresh.result)) return this.#judgeFresh(request, key, ways);
    const seen = [keyOf(request, fresh.result)];
    let next = ways.next();
    for (; next.done !== true; next = ways.next()) {
      const { result, stale } = next.value;
      if (keyOf(request, result) === key) return this.#countStale(stale);
      seen.push(keyOf(request, result));
    }
    if (!next.value) return this.#coverage.add("undecided");
    return `${describeRequest(request)}: ${key}, and not ${[...new Set(seen)].join(" or ")}`;
  }

  #countStale(stale: ReadonlySet<Stale>): undefined {
    this.#coverage.add("stale");
    for (const what of stale) this.#coverage.add(`stale ${what}`);
  }

  /** The answer is that of a walk from scratch: was it one, and need it have been? */
  #judgeFresh(
    request: ReferenceRequest,
    key: string,
    ways: Generator<Possibility, boolean>,
  ): string | undefined {
    this.#coverage.add("fresh");
    const again = possibilities(this.#world, this.#log, this.#profile, request).next();
    const lacksFlags = (again.value as Possibility).updates;
    if (!lacksFlags && !this.#random.chance(10)) return undefined;
    let explained = !lacksFlags;
    let owed = false;
    let next = ways.next();
    for (let tried = 0; next.done !== true && !(explained && (owed || tried > 30)); tried++) {
      const alike = keyOf(request, next.value.result) === key;
      owed ||= !alike;
      explained ||= alike && !next.value.updates;
      next = ways.next();
    }
    if (!explained && next.value === false) return this.#coverage.add("undecided");
    if (owed) this.#coverage.add("fresh while owed");
    return explained || !key.startsWith("ok")
      ? undefined
      : `${describeRequest(request)}: ${key}, and flags are not set`;
  }
}

interface Campaign {
  readonly coverage: Coverage;
  readonly failures: readonly string[];
}

const run = (worlds: number, caches: boolean, lost?: string): Campaign => {
  const coverage = new Coverage();
  const failures: string[] = [];
  for (let n = 0; n < worlds && failures.length < (lost === undefined ? 3 : 1); n++) {
    const scene = new Scene(FIRST_SEED + n, caches, coverage, lost);
    for (let step = 0; step < STEPS; step++) {
      const wrong = scene.step();
      if (wrong === undefined) continue;
      failures.push(`seed ${FIRST_SEED + n}, step ${step}: ${wrong}`);
      break;
    }
  }
  return { coverage, failures };
};

const STALE_KINDS = ["context", "pasid", "stage-1", "stage-2"] as const;

/** What a campaign must have seen: named, so that one without caches can be told apart. */
const missing = (coverage: Coverage, worlds: number): string[] => {
  const floors: readonly (readonly [what: string, floor: number])[] = [
    ["fresh", worlds * 300],
    ["fresh while owed", worlds],
    ["stale", worlds * 5],
    ...STALE_KINDS.map((kind) => [`stale ${kind}`, worlds / 4] as const),
  ];
  return floors.filter(([what, floor]) => coverage.of(what) < floor).map(([what]) => what);
};

/** Invalidations that may get lost; those that are found out soonest first. */
const LOST = [
  "context device",
  "pasid pasid",
  "iotlb domain",
  "iotlb page",
  "pasid-iotlb pasid",
  "pasid-iotlb page",
  "context global",
  "context domain",
  "pasid global",
  "pasid domain",
  "iotlb global",
  "iotlb page with hint",
  "pasid-iotlb page with hint",
] as const;

describe("a unit with caches", () => {
  it("VTD-CACHE-03: answers as from scratch, or as it was where an invalidation is owed", () => {
    const { coverage, failures } = run(WORLDS, true);
    expect(failures.join("\n")).toBe("");
    expect(missing(coverage, WORLDS)).toEqual([]);
    expect(coverage.of("undecided") / coverage.of("fresh")).toBeLessThan(0.001);
    expect(coverage.kinds("invalidate "), "kinds of invalidation").toBe(13);
    expect(coverage.kinds("dma "), "requests x outcomes").toBe(6);
    expect(coverage.kinds("code "), "codes").toBeGreaterThanOrEqual(20);
    const stale = STALE_KINDS.map((kind) => `${coverage.of(`stale ${kind}`)} ${kind}`).join(", ");
    console.log(
      `vtd caches: ${WORLDS} worlds of ${STEPS} steps, ${coverage.of("fresh")} fresh (of those looked at, ${coverage.of("fresh while owed")} while owed), ${coverage.of("stale")} stale (${stale}), ${coverage.of("undecided")} undecided, ${coverage.kinds("code ")} codes`,
    );
  });

  it("VTD-CACHE-03: without caches no answer is stale, and the floor for stale answers says so", () => {
    const worlds = Math.ceil(WORLDS / 6);
    const { coverage, failures } = run(worlds, false);
    expect(failures.join("\n")).toBe("");
    expect(coverage.of("stale")).toBe(0);
    expect(missing(coverage, worlds)).toEqual([
      "stale",
      ...STALE_KINDS.map((kind) => `stale ${kind}`),
    ]);
  });

  it.each(SOAK ? LOST : LOST.slice(0, 6))(
    "VTD-CACHE-03: a unit that does not hear of an invalidation is found out: %s",
    (lost) => {
      expect(run(scale(40, 400), true, lost).failures).not.toEqual([]);
    },
  );

  it("VTD-PASID-06: a privileged request without SRE is refused where another device's translation is cached", () => {
    const memory = createSparseMemory([{ base: 0n, length: 1n << 28n }]);
    const put = (address: bigint, ...words: readonly bigint[]): void => {
      words.forEach((word, i) => {
        memory.write64(address + BigInt(i) * 8n, word);
      });
    };
    put(0x1000n, 0x2001n);
    // Two devices, one domain, one PASID; SRE only for the first.
    for (const [source, directory, supervisor] of [
      [0x10n, 0x3000n, 1n],
      [0x11n, 0x5000n, 0n],
    ] as const) {
      put(0x2000n + source * 32n, directory | 9n);
      put(directory, (directory + 0x1000n) | 1n);
      put(directory + 0x1040n, 0x41n, 0x5n | (1n << 23n), 0x1_0000n | supervisor);
    }
    put(0x1_0000n, 0x1_1027n);
    put(0x1_1000n, 0x1_2027n);
    put(0x1_2000n, 0x1_3027n);
    put(0x1_3008n, 0x7_7067n);
    const { cap, ecap, hostAddressWidth } = SERVER_PROFILE;
    const capabilities = createCapabilities({ cap, ecap, hostAddressWidth });
    const unit = new TranslationUnit({ capabilities, memory });
    unit.setRootTable(0x1400n);
    unit.setTranslation(true);
    const dma = new DmaRequest();
    const read = (source: number, privileged: boolean): number | undefined => {
      const access = { read: true, write: false, execute: false, privileged };
      fillRequest(dma, { source, pasid: 1, address: 0x1000n, access, type: "untranslated" });
      return unit.translate(dma) ? undefined : dma.fault?.code;
    };
    expect(read(0x10, true)).toBe(undefined);
    expect(read(0x11, false)).toBe(undefined);
    expect(read(0x11, true)).toBe(0x5d);
  });
});
