import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UnitRig } from "../../../test/unit-rig.ts";
import { SERVER } from "../../hardware/vtd/index.ts";
import type { Pc } from "../../pc/index.ts";
import type { Input } from "../input.ts";
import { keptInput } from "../input.ts";
import { guestVersions, initrdForKexec, readGuest } from "./guest-files.ts";
import { commandLineOf, DEFAULT_SETUP } from "./guest-pc.ts";
import { readSavedGuest, saveGuest } from "./saved-guest.ts";
import { runScript, scriptLines } from "./script-run.ts";
import { LEAVE, runSession } from "./session.ts";
import { UnitLog } from "./unit-log.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "softiommu-boot-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NEVER = new Promise<never>(() => {});

/** As much of a PC as a session needs: its console is a shell that answers each line. */
class FakePc {
  readonly written: string[] = [];
  readonly ended: Promise<unknown>;
  running = true;
  #end: (end: unknown) => void = () => {};
  #shown: (bytes: Uint8Array) => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  readonly console = {
    onOutput: (listener: (bytes: Uint8Array) => void) => {
      this.#shown = listener;
      return () => {};
    },
    write: (data: string | Uint8Array) => {
      const text = typeof data === "string" ? data : new TextDecoder().decode(data);
      this.written.push(text);
      if (text === "\x04") this.#end({ how: "off" });
      else queueMicrotask(() => this.#shown(new TextEncoder().encode(`did ${text}# \x1b[6n`)));
    },
  };

  readonly channel = {
    write: (line: string) => void this.written.push(line),
    waitFor: () =>
      Promise.resolve(this.written.at(-1)?.trim() === '{"x":1}' ? '{"error":"x"}\n' : "{}\n"),
  };

  get pc(): Pc {
    return this as unknown as Pc;
  }
}

describe("what a boot needs", () => {
  test("BOOT-MISS-01: a guest that is not built is named, with the folder and what makes it", () => {
    const env = { SOFTIOMMU_GUEST: join(folder, "none") };
    expect(guestVersions(env)).toEqual([]);
    expect(() => readGuest(undefined, env)).toThrow(/guest kernel: it is not built: nothing in/);
    try {
      readGuest("7.3", env);
    } catch (error) {
      expect(error).toMatchObject({ exit: "input", details: { folder: env.SOFTIOMMU_GUEST } });
      expect((error as { hint: string }).hint).toContain("npm run guest:build -- 7.3");
    }
  });

  test("BOOT-MODE-01: kernel arguments follow unit and domains", () => {
    const line = (setup: Partial<typeof DEFAULT_SETUP>): string =>
      commandLineOf({ ...DEFAULT_SETUP, kernel: "7.3", ...setup }, "x=1");
    expect(line({})).toMatch(/intel_iommu=on,sm_on iommu\.strict=1 x=1$/);
    expect(line({ unit: "legacy", domains: "lazy" })).toMatch(
      /intel_iommu=on iommu\.strict=0 x=1$/,
    );
    expect(line({ domains: "off" })).toMatch(/ intel_iommu=off x=1$/);
    expect(line({ domains: "pass-through" })).toContain("iommu=pt");
  });

  test("the file system for kexec has the second archive at a multiple of four", () => {
    const guest = {
      version: "7.3",
      kernel: new Uint8Array(1),
      initrd: new Uint8Array([1, 2, 3]),
      second: new Uint8Array([9]),
    };
    expect([...initrdForKexec(guest)]).toEqual([1, 2, 3, 0, 9]);
  });
});

describe("a session", () => {
  test("BOOT-PIPE-01: what is piped in is typed line by line, then the guest is switched off", async () => {
    const fake = new FakePc();
    let shown = "";
    const end = await runSession(fake.pc, keptInput("one\ntwo"), (text) => (shown += text), false);
    expect([end, fake.written]).toEqual(["ended", ["one\n", "two\n", "\x04"]]);
    expect(shown).toBe("did one\n# did two\n# ");
  });

  test("BOOT-PIPE-01: or left at its prompt", async () => {
    const fake = new FakePc();
    const end = await runSession(fake.pc, keptInput("one\n"), () => {}, true);
    expect([end, fake.written]).toEqual(["left", ["one\n"]]);
  });

  test("BOOT-KEY-01: keys go to the guest as they come, but for Ctrl-], which ends the session", async () => {
    const fake = new FakePc();
    let stopped = 0;
    const input: Input = {
      isTerminal: true,
      listen(onBytes) {
        queueMicrotask(() => {
          onBytes(Uint8Array.of(0x03));
          onBytes(Uint8Array.of(0x61, LEAVE, 0x62));
        });
        return () => void stopped++;
      },
    };
    expect(await runSession(fake.pc, input, () => {}, false)).toBe("left");
    expect([fake.written, stopped]).toEqual([["\x03", "a"], 1]);
  });

  test("CLI-ERR-07, BOOT-PIPE-01: an output that nobody reads ends it", async () => {
    const fake = new FakePc();
    const closed = (): never => {
      throw new Error("closed");
    };
    await expect(runSession(fake.pc, keptInput("one\n"), closed, false)).rejects.toThrow("closed");
  });
});

describe("a script", () => {
  test("BOOT-SCRIPT-01: its lines but for comments are asked in order, from a clean state; the first refused is told", async () => {
    const lines = scriptLines('# x\n{"a":1}\n\n  {"x":1}\r\n{"b":2}\n');
    expect(lines.map(({ number }) => number)).toEqual([2, 4, 5]);
    const fake = new FakePc();
    Object.assign(fake, { ended: NEVER });
    const answers: string[] = [];
    const refused = await runScript(fake.pc, lines, ({ number }, answer) =>
      answers.push(`${number} ${answer}`),
    );
    expect(fake.written).toEqual(['{"reset":true}\n', '\n{"a":1}\n', '\n{"x":1}\n', '{"b":2}\n']);
    expect([refused, answers]).toEqual([4, ["2 {}", '4 {"error":"x"}', "5 {}"]]);
  });
});

describe("a saved guest", () => {
  test.each(["guest", "guest.gz"])(
    "BOOT-SAVE-01: %s is read back with what its PC is made of",
    (name) => {
      const saved = {
        setup: { ...DEFAULT_SETUP, kernel: "7.3" },
        snapshot: Uint8Array.of(1, 2, 10),
      };
      saveGuest(join(folder, name), saved);
      const found = readSavedGuest(join(folder, name));
      expect([found.setup, [...found.snapshot]]).toEqual([saved.setup, [1, 2, 10]]);
    },
  );

  test.each(["", "x\n", '{"schema":"other"}\n', "no newline"])(
    "BOOT-SAVE-01: %j is none",
    (text) => {
      writeFileSync(join(folder, "bad"), text);
      expect(() => readSavedGuest(join(folder, "bad"))).toThrow("it is no saved guest");
    },
  );
});

describe("the trace", () => {
  test("BOOT-TRACE-01: registers by name and field, descriptors, waits, refusals and messages, a line each", () => {
    const rig = new UnitRig(SERVER);
    const lines: string[] = [];
    const stop = new UnitLog(rig.unit).listen(({ text }) => lines.push(text));
    rig.enableQueue();
    rig.write32(0x3c, 0x51);
    rig.write32(0x40, 0xfee0_0000);
    rig.write32(0x38, 0);
    rig.enable();
    rig.submit([0x12n], UnitRig.wait(7n));
    rig.read(0x9000n, 5);
    stop();
    rig.read32(0x1c);
    expect(lines).toContain("write   GCMD 0x4000000  QIE");
    expect(lines).toContain("write   IQA 0x100800  DW IQA=0x100000");
    expect(lines).toContain("queue   invalidate iotlb granularity global");
    expect(lines).toContain("queue   wait writes 0x7 to 0x110000");
    expect(lines).toContain("done    0x7 at 0x110000");
    expect(lines).toContain("message 0x51 to 0xfee00000");
    expect(lines.find((line) => line.startsWith("fault"))).toMatch(
      /^fault {3}0000:00:02\.0 reads 0x9000 PASID 5: 0x71 a first-stage/,
    );
    expect(lines.at(-1)).not.toContain("GSTS");
  });
});
