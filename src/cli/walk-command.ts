import { hex } from "../bits/hex.ts";
import type { VtdCapture } from "../capture/index.ts";
import { EXECUTE, PRIVILEGED, READ, WRITE } from "../hardware/pci/index.ts";
import { RTADDR, type TranslationUnit } from "../hardware/vtd/index.ts";
import { machineFromCapture, recordWalk, type WalkRequest } from "../machine/index.ts";
import type { Command } from "./command.ts";
import { usageError } from "./command-error.ts";
import type { Invocation } from "./invocation.ts";
import { parseAddress, parseDevice, parsePasid } from "./notation.ts";
import { CAPTURE_ARGUMENT, CAPTURE_OPTIONS, openInvoked } from "./open-capture.ts";
import { walkDocument } from "./walk-document.ts";
import { outcomeLines, readsText, requestLine, stepLines } from "./walk-text.ts";

const MODES = ["legacy mode", "scalable mode", "an unknown mode", "abort-DMA mode"] as const;

/** What the unit was set to when the capture was taken. */
export const unitLine = (unit: TranslationUnit): string => {
  if (!unit.enabled) return "translation is off";
  const { TTM, RTA } = RTADDR.decode([unit.rootTableAddress]);
  return `${MODES[Number(TTM)]!}, root table ${hex(RTA)}`;
};

const requestOf = (invocation: Invocation): WalkRequest => {
  const device = invocation.required("bdf", parseDevice);
  if (device.segment !== 0) {
    throw usageError("--bdf", "a capture has devices of segment 0000 only");
  }
  const iova = invocation.required("iova", parseAddress);
  const pasid = invocation.value("pasid", parsePasid);
  const execute = invocation.has("execute") ? READ | EXECUTE : 0;
  const kind = invocation.has("write") ? WRITE | execute : READ | execute;
  const access = kind | (invocation.has("privileged") ? PRIVILEGED : 0);
  if (pasid === undefined && (access & (EXECUTE | PRIVILEGED)) !== 0) {
    throw usageError(
      "walk",
      "--execute and --privileged need --pasid",
      "a request without a PASID has neither",
    );
  }
  return { source: device.requesterId, pasid, iova, access };
};

/** Translates with a unit that has no caches, so that every read is seen. */
const walkIn = (capture: VtdCapture, request: WalkRequest) => {
  const { unit } = machineFromCapture(capture, { caches: "off" });
  return { unit, walk: recordWalk(unit, request) };
};

/** `softiommu walk`. */
export const WALK_COMMAND: Command = {
  name: "walk",
  purpose: "translate one request, and show every step of the way",
  usage: "CAPTURE --bdf DEVICE --iova ADDRESS [options]",
  examples: [
    {
      line: "walk captures/vtd_sm_fs --bdf 00:03.0 --iova 0xfff7b000",
      doc: "each entry on the way from the root table to the page, with its bits",
    },
    {
      line: "walk captures/vtd_sm_fs --bdf 00:07.0 --iova 0x40000 --write",
      doc: "why a write is refused, and which bit would have to change",
    },
    {
      line: "walk guest.elf --regs regs.json --bdf 0x18 --iova 4G --json",
      doc: "a core of dump-guest-memory, a requester ID, the answer as JSON",
    },
  ],
  arguments: [CAPTURE_ARGUMENT],
  groups: [
    {
      title: "Request",
      options: [
        {
          name: "bdf",
          value: { name: "DEVICE" },
          doc: "who asks: [ssss:]bb:dd.f, or a requester ID as 0x…",
        },
        { name: "iova", value: { name: "ADDRESS" }, doc: "the address to translate" },
        { name: "pasid", value: { name: "N" }, doc: "the request's PASID; without, it has none" },
        { name: "write", doc: "a write; otherwise it is a read" },
        { name: "execute", doc: "an instruction fetch as well; needs --pasid" },
        { name: "privileged", doc: "with supervisor privilege; needs --pasid" },
      ],
    },
    CAPTURE_OPTIONS,
  ],
  exits: ["input", "fault"],
  notes: [
    "Levels count from 0, the level of 4 KiB pages. Accessed and dirty flags that the request " +
      "sets are shown with a + and stay in this process: files are never changed. The unit is " +
      "one that updates them even where page walks are not snooped, as QEMU's are.",
    "Numbers are decimal, 0x… or 0b…, with _ between digits, and K, M or G behind them.",
  ],
  seeAlso: ["inspect", "docs/commands.md", "docs/spec/vtd.md"],
  run({ invocation, output, paint, json, quiet }) {
    const request = requestOf(invocation);
    const { capture, title, close } = openInvoked(invocation);
    try {
      const { unit, walk } = walkIn(capture, request);
      const { capabilities } = unit;
      if (json) {
        output.out(`${JSON.stringify(walkDocument(title, walk, capabilities))}\n`);
      } else {
        const heading = [paint.dim(`${title}: ${unitLine(unit)}`), requestLine(walk, paint), ""];
        const steps = stepLines(walk, capabilities, paint);
        const lines = [
          ...(quiet ? [] : heading),
          ...steps,
          ...(quiet ? [] : ["", paint.dim(readsText(walk))]),
          ...outcomeLines(walk, capabilities, paint),
        ];
        output.out(`${lines.join("\n")}\n`);
      }
      return walk.outcome.ok ? "ok" : "fault";
    } finally {
      close();
    }
  },
};
