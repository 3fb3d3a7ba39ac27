import { describe, expect, it } from "vitest";
import { IntelModelRun } from "../../../../test/intel-model.ts";
import { Random } from "../../../../test/reference/random.ts";
import { scale } from "../../../../test/scale.ts";
import { QEMU_11_1_FIRST_STAGE, SERVER } from "../../../hardware/vtd/index.ts";
import type { HostMachineOptions } from "../../../machine/host-machine.ts";
import type { IntelIommuOptions } from "./index.ts";

const MACHINES: [string, Partial<HostMachineOptions>, IntelIommuOptions][] = [
  ["a server", {}, {}],
  ["two units", { units: [{ serves: [{ device: 3 }] }, {}] }, {}],
  ["legacy mode", {}, { scalable: false }],
  ["a unit without large caches", { units: [{ capabilities: SERVER, caches: "off" }] }, {}],
  ["a first stage only", { units: [{ capabilities: QEMU_11_1_FIRST_STAGE }] }, {}],
];

const STEPS = 150;

describe("who may reach which byte", () => {
  it.each(MACHINES)(
    "INTEL-MODEL-01, INTEL-MODEL-02: random sequences agree with a model of pages: %s",
    (name, machine, driver) => {
      const counts = new Map<string, number>();
      const runs = scale(name === "a server" ? 14 : 5, 200);
      for (let seed = 1; seed <= runs; seed++) {
        const random = new Random(seed);
        const run = new IntelModelRun(random, counts, machine, driver);
        const steps: [number, () => void][] = [
          [4, () => run.create()],
          [3, () => run.nest()],
          [8, () => run.map()],
          [5, () => run.unmap()],
          [8, () => run.attach()],
          [4, () => run.remapGuest()],
          [4, () => run.track()],
          [4, () => run.readDirty()],
          [1, () => run.destroy()],
        ];
        try {
          for (let step = 0; step < STEPS; step++) {
            random.weighted(steps)();
            for (let i = 0; i < 3; i++) run.access();
          }
          run.finish();
        } catch (error) {
          throw new Error(`${name}, seed ${seed}`, { cause: error });
        }
      }
      // Names by their ends: a refusal counts whatever met it.
      const of = (what: string): number =>
        [...counts].reduce((sum, [key, count]) => sum + (key.endsWith(what) ? count : 0), 0);
      const floors = [
        "map ok",
        "map EADDRINUSE",
        "unmap ok",
        "attach ok",
        "replace ok",
        "detach ok",
      ];
      const seen = [...floors, "read translated ok", "read translated refused", "write ok"];
      if (name === "a server") {
        seen.push("nest ok", "guest invalidates", "dirty found", "read by a cached translation ok");
        seen.push(" ENOSPC", "replace EIO", "map ENOMEM", "track EIO");
      }
      expect(seen.filter((what) => of(what) < 3)).toEqual([]);
    },
  );
});
