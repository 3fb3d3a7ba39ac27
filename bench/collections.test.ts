import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { ensureProgram } from "../scripts/build.mjs";

/** What `--trace-gc` says of a collection. */
const COLLECTION = /: (Scavenge|Mark-Compact) /;

test("10^7 IOTLB hits and 10^6 walks cause no garbage collection", {
  timeout: 120_000,
}, async () => {
  const program = await ensureProgram("bench");
  const args = ["--trace-gc", "--expose-gc", program, "--collection-proof"];
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect(status).toBe(0);
  const lines = stdout.split("\n");
  const begin = lines.indexOf("begin");
  const end = lines.findIndex((line) => line.startsWith("end "));
  const littered = lines.indexOf("littered");
  expect(begin).toBeGreaterThanOrEqual(0);
  expect(lines.slice(begin, end).filter((line) => COLLECTION.test(line))).toEqual([]);
  expect(Number(lines[end]!.split(" ")[1])).toBeGreaterThanOrEqual(1.1e7);
  // Collections do show where there is garbage.
  expect(lines.slice(end, littered).some((line) => COLLECTION.test(line))).toBe(true);
});
