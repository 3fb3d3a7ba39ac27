import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { countAll } from "./counts.ts";

const counts = countAll();
const kept: unknown = JSON.parse(readFileSync(new URL("./counts.json", import.meta.url), "utf8"));

describe("counts of a translation", () => {
  test("are those in bench/counts.json", () => {
    expect(counts).toEqual(kept);
  });

  test("n levels take n reads; nested, (n + 1)(m + 1) - 1", () => {
    const { reads } = counts;
    expect(reads["second stage, 3 levels, legacy mode"].tables).toBe(3);
    expect(reads["first stage, 4 levels"].tables).toBe(4);
    expect(reads["first stage, 5 levels"].tables).toBe(5);
    expect(reads["nested, 4 over 4"].tables).toBe(24);
    expect(reads["nested, 5 over 4"].tables).toBe(29);
    expect(reads["nested, 5 over 5"].tables).toBe(35);
  });

  test("a hit and an invalidation touch as much of a large cache as of a small one", () => {
    const { touches } = counts;
    expect(touches["caches of 65536"]).toEqual(touches["caches of 256"]);
    // Were nothing counted, they would be equal too.
    expect(touches["caches of 256"].hit).toBeGreaterThan(0);
    expect(touches["caches of 256"].invalidatePage).toBeGreaterThan(0);
  });

  test("a descriptor is read once, in one piece; only a wait writes; registers touch no memory", () => {
    const { descriptors, registers } = counts.unit;
    const none = { reads: 0, readBytes: 0, writes: 0, writtenBytes: 0 };
    expect(descriptors["IOTLB page, 128 bits"]).toEqual({ ...none, reads: 1, readBytes: 16 });
    expect(descriptors["PASID-based IOTLB page, 256 bits"]).toEqual({
      ...none,
      reads: 1,
      readBytes: 32,
    });
    expect(descriptors["wait with a status, 128 bits"]).toEqual({
      reads: 1,
      readBytes: 16,
      writes: 1,
      writtenBytes: 4,
    });
    for (const touches of Object.values(registers)) expect(touches).toEqual(none);
  });
});
