import { afterAll, describe, expect, it } from "vitest";
import { CASES, type LinuxCase } from "../conformance/linux/cases.ts";
import { failure, mismatch } from "../conformance/linux/expectation.ts";
import { bootProblems, unexpected } from "../conformance/linux/kernel-log.ts";
import { MACHINES, type MachineName, Machines } from "../conformance/linux/machines.ts";
import { runCase } from "../conformance/linux/run-case.ts";
import { parseScript } from "../conformance/linux/script-file.ts";
import { lacks } from "./requirement.ts";
import { ROOT } from "./sources.ts";

/** What each case shows besides what all of them show. */
const TITLES: readonly (readonly [title: string, name: string])[] = [
  ["LINUX-DISK-01: its disk driver, strict", "ATA DMA, legacy mode, strict"],
  ["LINUX-DISK-01: its disk driver, lazy", "ATA DMA, legacy mode, lazy"],
  ["LINUX-DISK-01: its disk driver, passing through", "ATA DMA, legacy mode, passing through"],
  ["LINUX-DISK-01: its disk driver without the unit", "ATA DMA, unit switched off"],
  ["LINUX-DISK-01: its disk driver in caching mode", "ATA DMA, legacy mode, caching mode"],
  ["LINUX-DISK-01: its disk driver on stage 1", "ATA DMA, scalable mode, first stage"],
  ["LINUX-DISK-01: its disk driver on stage 2", "ATA DMA, scalable mode, second stage"],
  ["LINUX-VFIO-01: type 1 in legacy mode", "VFIO type 1 with interrupts"],
  ["LINUX-VFIO-01: type 1 in scalable mode", "VFIO type 1, scalable mode"],
  ["LINUX-FD-01: iommufd on a second stage", "iommufd, second stage"],
  ["LINUX-FD-01: iommufd in legacy mode", "iommufd, legacy mode"],
  ["LINUX-FD-01: iommufd in caching mode", "iommufd, caching mode"],
  ["LINUX-FD-02: dirty tracking", "dirty tracking on the second stage"],
  ["LINUX-FD-03: nested translation", "nested, stale and fresh around an invalidation"],
  ["LINUX-FD-04: PASIDs", "PASIDs"],
  ["LINUX-FD-05: page requests", "page requests"],
  ["LINUX-FAULT-01: faults of each stage", "faults of each stage"],
  ["LINUX-BIND-01: drivers unbound and bound", "drivers unbound and bound"],
  ["LINUX-BIND-02: the next kernel, in another mode", "kexec into another mode"],
];

const MINUTES = 60_000;

/** Cases of one machine after the other: each is booted once, and forgotten when its cases are over. */
const MACHINE_NAMES = Object.keys(MACHINES) as MachineName[];

const casesOf = (machine: MachineName): (readonly [string, LinuxCase])[] =>
  TITLES.flatMap(([title, name]) => {
    const found = CASES.find((each) => each.name === name);
    return found?.machine === machine ? [[title, found] as const] : [];
  });

describe("the cases", () => {
  it("each has a title here", () => {
    expect(TITLES.map(([, name]) => name).sort()).toEqual(CASES.map(({ name }) => name).sort());
  });

  it("are judged: an answer, a message and a boot that nobody expects are problems", () => {
    const { lines, messages } = parseScript(
      '{"a":1}\n#= {"out":{"x":"/^1/"}}\n#~ ^DMAR: x\n\n{"b":1}',
    );
    expect(lines.map(({ number }) => number)).toEqual([1, 5]);
    expect(mismatch(lines[0]!.answer, { out: { x: "12", y: 1 } })).toBeUndefined();
    expect(mismatch(lines[0]!.answer, { out: { x: "21" } }, "answer")).toContain("answer.out.x");
    expect(mismatch(lines[0]!.answer, { errno: "EIO" })).toBeDefined();
    expect(
      [{ errno: "EIO" }, { fault: {} }, { error: "" }, { exit: 1 }].map(failure),
    ).not.toContain(undefined);
    expect(failure({ errno: null })).toBeUndefined();
    const said = { level: 3, text: "DMAR: xyz" };
    expect(unexpected([said], messages)).toEqual([]);
    expect(unexpected([said, { level: 6, text: "y" }])).toHaveLength(1);
    expect(bootProblems([{ level: 4, text: "DMAR: something is wrong" }])).toHaveLength(1);
  });
});

describe.skipIf(lacks("guest"))("a real Linux kernel", () => {
  let made: Promise<Machines> | undefined;
  const machines = (): Promise<Machines> => {
    made ??= Machines.create(undefined, ROOT);
    return made;
  };

  describe.each(MACHINE_NAMES)("on the machine %s", (machine) => {
    afterAll(async () => (await machines()).forget(machine));

    it(
      "LINUX-LOG-01: boots and says nothing that a real PC would not",
      async () => {
        const { messages } = await (await machines()).boot(machine);
        expect(messages.length).toBeGreaterThan(50);
        expect(bootProblems(messages)).toEqual([]);
      },
      10 * MINUTES,
    );

    it.each(casesOf(machine))(
      "LINUX-TABLE-01, LINUX-LOG-01: %s",
      async (_, each) => {
        const { problems } = await runCase(await machines(), each);
        expect(problems).toEqual([]);
      },
      10 * MINUTES,
    );
  });
});
