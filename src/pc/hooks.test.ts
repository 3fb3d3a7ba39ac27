import { describe, expect, it } from "vitest";
import { loadV86, PcRig } from "../../test/pc-rig.ts";
import { lacks } from "../../test/requirement.ts";
import { requireHooks, V86Error } from "./hooks.ts";
import { Pc } from "./pc.ts";
import { V86_VERSION, type V86Emulator, type V86Module } from "./v86.ts";

describe("the check of v86", () => {
  it("PC-HOOK-01: says everything that is missing, and which version is wanted", () => {
    expect(() => requireHooks({} as V86Emulator)).toThrow(V86Error);
    const error = new V86Error(["v86.cpu.jit_dirty_cache"]);
    expect(error.message).toContain("v86.cpu.jit_dirty_cache");
    expect(error.message).toContain(`v86@${V86_VERSION}`);
  });

  it("PC-HOOK-02: a module that is not v86 is refused before anything starts", async () => {
    const options = { program: new Uint8Array(), v86: {} as V86Module };
    await expect(Pc.create(options)).rejects.toThrow(V86Error);
    class Other {}
    const other = { V86: Other as unknown as V86Module["V86"] };
    await expect(Pc.create({ ...options, v86: other })).rejects.toThrow(V86Error);
  });
});

describe.skipIf(lacks("v86"))("the v86 that is installed", () => {
  it("PC-HOOK-01: has every hook, and each one counts", async () => {
    const { emulator, pc } = await PcRig.create();
    expect(() => requireHooks(emulator)).not.toThrow();
    const { cpu } = emulator.v86;
    const less = Object.create(cpu, { jit_dirty_cache: { value: undefined } });
    const crippled = Object.create(emulator, { v86: { value: { ...emulator.v86, cpu: less } } });
    expect(() => requireHooks(crippled)).toThrow("v86.cpu.jit_dirty_cache");
    await pc.destroy();
  });

  it("PC-HOOK-03: a program that does not compile is the error of who gave it", async () => {
    const { v86 } = await loadV86();
    await expect(Pc.create({ v86, program: Uint8Array.of(1, 2, 3) })).rejects.toThrow(
      "WebAssembly",
    );
  });
});
