import { type CommandSpec, GLOBAL_OPTIONS, type OptionGroup } from "./command.ts";
import { EXITS } from "./exit-codes.ts";
import { optionMeaning, optionTerm, PROGRAM_PURPOSE } from "./help-text.ts";

/** Text as roff takes it: no line begins with a control character, and dashes stay dashes. */
const roff = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");

const group = ({ title, options }: OptionGroup): string[] => [
  `.PP\n.I ${roff(title)}`,
  ...options.flatMap((option) => [
    ".TP",
    `.B ${roff(optionTerm(option))}`,
    roff(optionMeaning(option)),
  ]),
];

const command = (spec: CommandSpec): string[] => [
  `.SS softiommu ${roff(`${spec.name} ${spec.usage}`)}`,
  `${roff(spec.purpose[0]!.toUpperCase() + spec.purpose.slice(1))}.`,
  ...spec.arguments.flatMap(({ name, doc }) => [".TP", `.I ${roff(name)}`, roff(doc)]),
  ...spec.groups.flatMap(group),
  ...spec.notes.flatMap((note) => [".PP", roff(note)]),
];

/** The manual page, from the command table. */
export const manPage = (commands: readonly CommandSpec[]): string => {
  const lines = [
    '.\\" Made from the command table by `softiommu help --man`; do not edit.',
    ".TH SOFTIOMMU 1",
    ".SH NAME",
    `softiommu \\- ${roff(PROGRAM_PURPOSE)}`,
    ".SH SYNOPSIS",
    ...commands.flatMap(({ name, usage }) => [".PP", `.B softiommu ${name}`, roff(usage)]),
    ".SH EXAMPLES",
    ...commands.flatMap(({ examples }) =>
      examples.flatMap(({ line, doc }) => [".TP", `.B softiommu ${roff(line)}`, roff(doc)]),
    ),
    ".SH COMMANDS",
    ...commands.flatMap(command),
    ".SH OPTIONS",
    ...group(GLOBAL_OPTIONS),
    ".SH EXIT STATUS",
    ...Object.values(EXITS).flatMap(({ status, doc }) => [".TP", `.B ${status}`, roff(doc)]),
    ".SH ENVIRONMENT",
    ".TP",
    ".B NO_COLOR",
    roff("no colour, when it is not empty"),
    ".TP",
    ".B FORCE_COLOR",
    roff("colour although the output is no terminal, when it is neither empty nor 0"),
  ];
  return `${lines.filter((line) => line !== "").join("\n")}\n`;
};
