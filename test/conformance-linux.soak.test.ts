import { afterAll, describe, expect, it } from "vitest";
import { CASES, type LinuxCase } from "../conformance/linux/cases.ts";
import { bootProblems } from "../conformance/linux/kernel-log.ts";
import { Machines } from "../conformance/linux/machines.ts";
import { runCase } from "../conformance/linux/run-case.ts";
import { guestVersions } from "../src/cli/boot/guest-files.ts";
import { lacks } from "./requirement.ts";
import { ROOT } from "./sources.ts";

/** A kernel before iommufd, which flushes caches where v86 cannot. */
const OLD = "6.1";

/** Cases that need nothing newer. */
const OLD_CASES = CASES.filter((each) => each.needs === undefined);

describe.skipIf(lacks("guest") || !guestVersions().includes(OLD))("Linux 6.1", () => {
  let made: Promise<Machines> | undefined;
  const machines = (): Promise<Machines> => {
    made ??= Machines.create(OLD, ROOT);
    return made;
  };
  afterAll(async () => {
    for (const { machine } of OLD_CASES) (await machines()).forget(machine);
  });

  it.each(OLD_CASES.map((each): [string, LinuxCase] => [each.name, each]))(
    "LINUX-OLD-01: %s",
    async (_, each) => {
      const { messages } = await (await machines()).boot(each.machine);
      expect(bootProblems(messages)).toEqual([]);
      const { problems } = await runCase(await machines(), each);
      expect(problems).toEqual([]);
    },
  );
});
