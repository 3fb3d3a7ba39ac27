import { type CommandSpec, type OptionSpec, optionsOf, type ValueSpec } from "./command.ts";

/** Shells that can be taught the command. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** The name of such a shell. */
export type Shell = (typeof SHELLS)[number];

const words = (options: readonly OptionSpec[]): string =>
  options
    .flatMap(({ name, short }) =>
      short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`],
    )
    .join(" ");

/** The line that offers values for the word under the cursor in bash. */
const bashValues = (value: ValueSpec): string => {
  if (value.choices !== undefined) {
    return `COMPREPLY=($(compgen -W "${value.choices.join(" ")}" -- "$cur"))`;
  }
  return value.path === true ? 'COMPREPLY=($(compgen -f -- "$cur"))' : "COMPREPLY=()";
};

const bashCommand = (spec: CommandSpec): string => {
  const options = optionsOf(spec);
  const cases = options.flatMap((option) =>
    option.value === undefined
      ? []
      : [`        --${option.name}) ${bashValues(option.value)}; return ;;`],
  );
  const [argument] = spec.arguments;
  return [
    `    ${spec.name})`,
    '      case "$prev" in',
    ...cases,
    "      esac",
    '      if [[ "$cur" == -* ]]; then',
    `        COMPREPLY=($(compgen -W "${words(options)}" -- "$cur"))`,
    "      else",
    `        ${argument === undefined ? "COMPREPLY=()" : bashValues(argument)}`,
    "      fi",
    "      ;;",
  ].join("\n");
};

const bash = (commands: readonly CommandSpec[]): string => `# bash completion for softiommu
_softiommu() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]}
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")}" -- "$cur"))
    return
  fi
  case "$command" in
${commands.map(bashCommand).join("\n")}
  esac
}
complete -o filenames -F _softiommu softiommu
`;

/** Text inside single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Text inside a zsh specification, where `[`, `]` and `:` mean something. */
const zshText = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");

const zshValue = (value: ValueSpec): string => {
  const action =
    value.choices !== undefined
      ? `(${value.choices.join(" ")})`
      : value.path === true
        ? "_files"
        : " ";
  return `:${zshText(value.name)}:${action}`;
};

const zshOption = (option: OptionSpec): string[] => {
  const tail = `[${zshText(option.doc)}]${option.value === undefined ? "" : zshValue(option.value)}`;
  const names = [`--${option.name}`, ...(option.short === undefined ? [] : [`-${option.short}`])];
  return names.map((name) => quoted(`${option.repeatable === true ? "*" : ""}${name}${tail}`));
};

const zshCommand = (spec: CommandSpec): string => {
  const specs = [
    ...optionsOf(spec).flatMap(zshOption),
    ...spec.arguments.map((each, i) =>
      quoted(`${i + 1}${each.optional === true ? ":" : ""}${zshValue(each)}`),
    ),
  ];
  return `    ${spec.name})\n      _arguments -s \\\n        ${specs.join(" \\\n        ")}\n      ;;`;
};

const zsh = (commands: readonly CommandSpec[]): string => `#compdef softiommu
_softiommu() {
  if ((CURRENT == 2)); then
    local -a commands=(
${commands.map(({ name, purpose }) => `      ${quoted(`${name}:${zshText(purpose)}`)}`).join("\n")}
    )
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${commands.map(zshCommand).join("\n")}
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _softiommu "$@"
else
  compdef _softiommu softiommu
fi
`;

const fishOption = (command: string, option: OptionSpec): string => {
  const parts = [
    `complete -c softiommu -n ${quoted(`__fish_seen_subcommand_from ${command}`)}`,
    `-l ${option.name}`,
  ];
  if (option.short !== undefined) parts.push(`-s ${option.short}`);
  if (option.value !== undefined) parts.push(option.value.path === true ? "-r -F" : "-x");
  if (option.value?.choices !== undefined)
    parts.push(`-a ${quoted(option.value.choices.join(" "))}`);
  return [...parts, `-d ${quoted(option.doc)}`].join(" ");
};

const fishCommand = (spec: CommandSpec): string[] => {
  const seen = quoted(`__fish_seen_subcommand_from ${spec.name}`);
  const [argument] = spec.arguments;
  const lines = [
    `complete -c softiommu -n __fish_use_subcommand -f -a ${spec.name} -d ${quoted(spec.purpose)}`,
    ...optionsOf(spec).map((option) => fishOption(spec.name, option)),
  ];
  if (argument?.choices !== undefined) {
    lines.push(`complete -c softiommu -n ${seen} -f -a ${quoted(argument.choices.join(" "))}`);
  } else if (argument?.path === true) {
    lines.push(`complete -c softiommu -n ${seen} -F`);
  }
  return lines;
};

const fish = (commands: readonly CommandSpec[]): string =>
  `# fish completion for softiommu\n${commands.flatMap(fishCommand).join("\n")}\n`;

/** The script that teaches a shell the command, from the command table. */
export const completionScript = (shell: Shell, commands: readonly CommandSpec[]): string =>
  ({ bash, zsh, fish })[shell](commands);
