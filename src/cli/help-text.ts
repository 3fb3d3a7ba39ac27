import { type CommandSpec, exitsOf, GLOBAL_OPTIONS, type OptionSpec } from "./command.ts";
import { EXITS, type ExitName } from "./exit-codes.ts";
import type { Paint } from "./paint.ts";
import { wrap, wrapTerm } from "./wrap.ts";

/** What the program is, in one line. */
export const PROGRAM_PURPOSE = "an IOMMU in user space: read, walk and explain its tables";

/** Column at which the meaning of an option begins. */
const MEANING_COLUMN = 27;

/** An option as help and the manual write it: `-q, --quiet` or `--iova ADDRESS`. */
export const optionTerm = ({ name, short, value }: OptionSpec): string =>
  `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value.name}`}`;

/** What an option is for, with what the table says of its repetition. */
export const optionMeaning = ({ doc, repeatable }: OptionSpec): string =>
  repeatable === true ? `${doc}; may be given several times` : doc;

const examples = (spec: CommandSpec, paint: Paint): string[] => [
  paint.bold("Examples:"),
  ...spec.examples.flatMap(({ line, doc }) => [
    paint.cyan(`  softiommu ${line}`),
    ...wrap(doc, 6).map(paint.dim),
  ]),
];

const optionSection = (title: string, options: readonly OptionSpec[], paint: Paint): string[] => [
  "",
  paint.bold(`${title}:`),
  ...options.flatMap((option) =>
    wrapTerm(optionTerm(option), optionMeaning(option), MEANING_COLUMN),
  ),
];

const exitSection = (names: readonly ExitName[], paint: Paint): string[] => [
  "",
  paint.bold("Exit codes:"),
  ...names.flatMap((name) => wrapTerm(String(EXITS[name].status), EXITS[name].doc, 5)),
];

/** The help of one command, at most 80 columns wide. */
export const commandHelp = (spec: CommandSpec, paint: Paint): string => {
  const lines = [
    `${paint.bold(`softiommu ${spec.name}`)}: ${spec.purpose}`,
    "",
    ...examples(spec, paint),
    "",
    paint.bold("Usage:"),
    ...wrap(`softiommu ${spec.name} ${spec.usage}`, 2),
  ];
  if (spec.arguments.length > 0) {
    lines.push("", paint.bold("Arguments:"));
    lines.push(...spec.arguments.flatMap(({ name, doc }) => wrapTerm(name, doc, MEANING_COLUMN)));
  }
  for (const { title, options } of [...spec.groups, GLOBAL_OPTIONS]) {
    lines.push(...optionSection(title, options, paint));
  }
  for (const note of spec.notes) lines.push("", ...wrap(note, 0));
  lines.push(...exitSection(exitsOf(spec), paint));
  if (spec.seeAlso.length > 0) lines.push("", ...wrap(`See also: ${spec.seeAlso.join(", ")}`, 0));
  return `${lines.join("\n")}\n`;
};

/** The help of the program as a whole. */
export const programHelp = (commands: readonly CommandSpec[], paint: Paint): string => {
  const lines = [
    `${paint.bold("softiommu")}: ${PROGRAM_PURPOSE}`,
    "",
    paint.bold("Examples:"),
    ...commands
      .slice(0, 2)
      .flatMap(({ examples: [first] }) =>
        first === undefined
          ? []
          : [paint.cyan(`  softiommu ${first.line}`), ...wrap(first.doc, 6).map(paint.dim)],
      ),
    "",
    paint.bold("Commands:"),
    ...commands.flatMap(({ name, purpose }) => wrapTerm(name, purpose, 14)),
    ...optionSection(GLOBAL_OPTIONS.title, GLOBAL_OPTIONS.options, paint),
    ...exitSection(Object.keys(EXITS) as ExitName[], paint),
    "",
    ...wrap("softiommu help COMMAND says more about one of them.", 0),
  ];
  return `${lines.join("\n")}\n`;
};
