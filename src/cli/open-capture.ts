import {
  assumedVtdRegisters,
  type CapturedRegisters,
  type ReadOptions,
  readCapture,
  readRegisters,
  type VtdCapture,
  withVtdRegisters,
} from "../capture/index.ts";
import { CAP } from "../hardware/vtd/index.ts";
import type { ArgumentSpec, OptionGroup } from "./command.ts";
import { CommandError, usageError } from "./command-error.ts";
import type { Invocation } from "./invocation.ts";
import { nodeFiles, openNamed } from "./node-files.ts";
import { parseAddress, parseNumber } from "./notation.ts";

/** The argument that names what to read. */
export const CAPTURE_ARGUMENT: ArgumentSpec = {
  name: "CAPTURE",
  path: true,
  doc: "a capture's folder, CAPTURE/MOMENT for one of several moments, a memory image or an ELF core",
};

/** Options that say what an image or core does not. */
export const CAPTURE_OPTIONS: OptionGroup = {
  title: "Images and cores",
  options: [
    {
      name: "regs",
      value: { name: "FILE", path: true },
      doc: "the unit's registers, in the form of a capture's regs.json",
    },
    {
      name: "root-table",
      value: { name: "ADDRESS" },
      doc: "without registers: the root table, for a unit that can do everything",
    },
    { name: "scalable", doc: "with --root-table: scalable mode; legacy without" },
    { name: "cap", value: { name: "VALUE" }, doc: "with --root-table: the capability register" },
    { name: "ecap", value: { name: "VALUE" }, doc: "with --root-table: the extended one" },
    {
      name: "aw",
      value: { name: "BITS" },
      doc: "with --root-table: address width, 39 to 57 (default 57)",
    },
    {
      name: "base",
      value: { name: "ADDRESS" },
      doc: "the file is a plain image whose first byte is at ADDRESS",
    },
  ],
};

/** Options that mean nothing without `--root-table`. */
const ROOT_TABLE_DETAILS = ["scalable", "cap", "ecap", "aw"] as const;

const parseWidth = (text: string): bigint => parseNumber(text, 57n);

const registersFromFlags = (invocation: Invocation, rootTable: bigint): CapturedRegisters => {
  const assumed = assumedVtdRegisters(rootTable, invocation.has("scalable"));
  const width = invocation.value("aw", parseWidth);
  invocation.exclude("aw", "cap");
  if (width !== undefined && width < 39n) throw usageError("--aw", "it is 39 to 57 bits");
  const assumedCap = CAP.decode([assumed.cap]);
  const cap =
    invocation.value("cap", parseAddress) ??
    (width === undefined ? assumed.cap : CAP.encode({ ...assumedCap, MGAW: width - 1n })[0]!);
  const ecap = invocation.value("ecap", parseAddress) ?? assumed.ecap;
  return { iommu: "vtd", registers: withVtdRegisters(assumed, { cap, ecap }) };
};

/** The registers that the command line gives, if any. */
const givenRegisters = (invocation: Invocation): CapturedRegisters | undefined => {
  invocation.exclude("regs", "root-table", ...ROOT_TABLE_DETAILS);
  const file = invocation.text("regs");
  if (file !== undefined) {
    const files = nodeFiles(file);
    try {
      return readRegisters(files, "");
    } finally {
      files.close();
    }
  }
  const rootTable = invocation.value("root-table", parseAddress);
  if (rootTable !== undefined) return registersFromFlags(invocation, rootTable);
  const lonely = ROOT_TABLE_DETAILS.find((name) => invocation.has(name));
  if (lonely === undefined) return undefined;
  throw usageError(`--${lonely}`, "it has no meaning without --root-table");
};

/** A capture, and what to call when it is not needed any more. */
export interface OpenCapture {
  readonly capture: VtdCapture;
  /** `NAME` or `NAME/MOMENT`, as people call it. */
  readonly title: string;
  close(): void;
}

/**
 * Opens a capture by what the user calls it.
 *
 * @throws CaptureError when it cannot be read, CommandError when it is an AMD IOMMU's
 */
export const openCapture = (
  path: string,
  options: Omit<ReadOptions, "moment"> = {},
): OpenCapture => {
  const { files, moment } = openNamed(path);
  try {
    const capture = readCapture(files, { ...options, ...(moment === undefined ? {} : { moment }) });
    if (capture.iommu === "amd") {
      throw new CommandError("input", path, "it is a capture of an AMD IOMMU", {
        hint: "AMD-Vi tables cannot be read yet, only Intel VT-d ones",
        details: { file: path, iommu: "amd" },
      });
    }
    const title = moment === undefined ? capture.name : `${capture.name}/${moment}`;
    return { capture, title, close: () => files.close() };
  } catch (error) {
    files.close();
    throw error;
  }
};

/** Opens what the first argument and the options of `CAPTURE_OPTIONS` name. */
export const openInvoked = (invocation: Invocation): OpenCapture => {
  const registers = givenRegisters(invocation);
  const base = invocation.value("base", parseAddress);
  // The parser does not let a command run without its argument.
  return openCapture(invocation.positionals[0]!, {
    ...(registers === undefined ? {} : { registers }),
    ...(base === undefined ? {} : { base }),
  });
};
