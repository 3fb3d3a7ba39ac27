import { describe, expect, test } from "vitest";
import { EngineRig } from "../../../test/engine-rig.ts";
import type { Invalidation } from "../vtd/index.ts";
import { IOTLB_DESCRIPTOR, PASID_IOTLB_DESCRIPTOR } from "../vtd/spec/descriptors.ts";

const PAGE = 0x7000n;
const OLD = 0x20_0000n;
const NEW = 0x21_0000n;
const PASID = 5;
const ENGINE_STEPS = 1000;

/** Page 7 goes to OLD; with PASID 5 through a first stage. */
const machine = (stepped = false) => {
  const rig = new EngineRig({ stepped });
  rig.memory.write8(OLD, 0x01);
  rig.memory.write8(NEW, 0x02);
  const second = rig.page();
  const first = rig.page();
  const leaf = rig.map(second, 4, PAGE, OLD | 3n)[0]!;
  const firstLeaf = rig.mapFirst(first, PAGE, OLD | 0x67n)[0]!;
  rig.context({ PASIDE: 1 });
  rig.pasidEntry({ PGTT: 2, SSPTPTR: second }, 0);
  rig.pasidEntry({ PGTT: 1, FSPTPTR: first, DID: 2, PWSNP: 1 }, PASID);
  const move = () => {
    rig.poke(leaf, NEW | 3n);
    rig.poke(firstLeaf, NEW | 0x67n);
  };
  return Object.assign(rig, { move });
};

/** The two ways to invalidate, each with the requests that it is for. */
const WAYS: [string, { pasid?: number }, (rig: EngineRig) => void][] = [
  ["by domain", {}, (rig) => rig.invalidateDomain(1)],
  [
    "by PASID",
    { pasid: PASID },
    (rig) => rig.submit(6, PASID_IOTLB_DESCRIPTOR, { G: 3, DID: 2, PASID, ADDR: PAGE }),
  ],
];

describe("stale windows", () => {
  test.each(WAYS)("VTD-STALE-01: a value is read stale, then fresh: %s", (_, tag, invalidate) => {
    const rig = machine();
    expect(rig.load(PAGE, tag)).toBe("01");
    rig.move();
    expect(rig.load(PAGE, tag)).toBe("01");
    invalidate(rig);
    expect([rig.wait()(), rig.load(PAGE, tag)]).toEqual([true, "02"]);
  });

  test.each(WAYS)(
    "VTD-STALE-02, VTD-STALE-03: a held write lands in the old page, and the wait waits for it: %s",
    (_, tag, invalidate) => {
      const rig = machine();
      rig.start("fill", { address: PAGE, pattern: 0x77, flags: { hold: 1 }, ...tag });
      rig.move();
      invalidate(rig);
      const done = rig.wait();
      // Others are translated anew meanwhile, and one of them is held too.
      expect([rig.load(PAGE, tag), done()]).toEqual(["02", false]);
      const { port } = rig.engine;
      const later = port.begin(PAGE, 1, 1, tag.pasid);
      let landed: number | undefined;
      rig.trace.listen("vtd.wait-completed", () => {
        landed = rig.memory.read8(OLD);
      });
      expect(rig.run("release")).toBe("ok");
      expect([done(), landed, later.pending]).toEqual([true, 0x77, true]);
      expect([rig.memory.read8(OLD), rig.memory.read8(NEW)]).toEqual([0x77, 0x02]);
    },
  );

  test("VTD-STALE-02: without draining the wait does not wait", () => {
    const rig = machine();
    rig.run("fill", { address: PAGE, pattern: 0x77, flags: { hold: 1 } });
    rig.submit(2, IOTLB_DESCRIPTOR, { G: 2, DID: 1 });
    expect(rig.wait()()).toBe(true);
    for (const [DR, DW] of [
      [1, 0],
      [0, 1],
    ]) {
      rig.submit(2, IOTLB_DESCRIPTOR, { G: 2, DID: 1, DR: DR!, DW: DW! });
      expect(rig.wait()()).toBe(false);
    }
  });

  test("VTD-STALE-04: a subscriber holds the wait for 1,000 steps of the engine", () => {
    const rig = machine(true);
    const step = (): string => {
      rig.start("read", { address: PAGE });
      rig.engine.step();
      return rig.buffer().toString();
    };
    // The subscriber stands for somebody whose tables the device really uses: the leaf changes when it is ready.
    let finish: (() => void) | undefined;
    const told: Invalidation["kind"][] = [];
    rig.unit.subscribe({
      invalidated: (invalidation, done) => {
        told.push(invalidation.kind);
        finish = () => {
          rig.move();
          rig.unit.translation.invalidateIotlb({ granularity: "global" });
          done();
        };
      },
    });
    expect(step()).toBe("1");
    rig.invalidateDomain(1);
    const done = rig.wait();
    const seen = new Set<string>();
    for (let i = 0; i < ENGINE_STEPS; i++) seen.add(`${step()} ${done()}`);
    expect([told, [...seen]]).toEqual([["iotlb"], ["1 false"]]);
    finish!();
    expect([done(), step()]).toEqual([true, "2"]);
  });

  test("VTD-STALE-04: a held write and a subscriber: the wait waits for the later of them", () => {
    for (const order of ["write first", "subscriber first"]) {
      const rig = machine();
      let finish = (): void => {};
      rig.unit.subscribe({
        invalidated: (_, done) => {
          finish = done;
        },
      });
      rig.run("fill", { address: PAGE, pattern: 0x77, flags: { hold: 1 } });
      rig.invalidateDomain(1);
      const done = rig.wait();
      const steps = [() => void rig.run("release"), () => finish()];
      if (order === "subscriber first") steps.reverse();
      steps[0]!();
      expect(done()).toBe(false);
      steps[1]!();
      expect(done()).toBe(true);
    }
  });
});
