import { defineConfig } from "vitest/config";

const soak = process.env["SOFTIOMMU_SOAK"] === "1";
const minutes = (count: number): number => count * 60_000;

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "bench/**/*.test.ts"],
    exclude: soak ? [] : ["**/*.soak.test.ts"],
    pool: "threads",
    maxWorkers: 2,
    testTimeout: soak ? minutes(240) : minutes(0.5),
    hookTimeout: minutes(1),
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["**/*.test.ts"],
      reporter: ["text-summary", "html"],
    },
  },
});
