import { parseArgs } from "node:util";
import { type CommandSpec, type OptionSpec, optionsOf } from "./command.ts";
import { type CommandError, usageError } from "./command-error.ts";
import { NotationError } from "./notation.ts";

/** A command line after its name: options and arguments, as text. */
export class Invocation {
  readonly command: string;
  readonly positionals: readonly string[];
  readonly #options: ReadonlyMap<string, readonly string[]>;

  constructor(
    command: string,
    positionals: readonly string[],
    options: ReadonlyMap<string, readonly string[]>,
  ) {
    this.command = command;
    this.positionals = positionals;
    this.#options = options;
  }

  /** Whether the option was given. */
  has(name: string): boolean {
    return this.#options.has(name);
  }

  /** The option's value as it was written; the last where several were given. */
  text(name: string): string | undefined {
    return this.#options.get(name)?.at(-1);
  }

  /**
   * The option's value, read by `parse`.
   *
   * @throws CommandError that names the option, when `parse` refuses
   */
  value<T>(name: string, parse: (text: string) => T): T | undefined {
    return this.values(name, parse).at(-1);
  }

  /** The values of an option that may be given several times. */
  values<T>(name: string, parse: (text: string) => T): T[] {
    return (this.#options.get(name) ?? []).map((text) => {
      try {
        return parse(text);
      } catch (error) {
        if (!(error instanceof NotationError)) throw error;
        throw usageError(`--${name}`, error.message, helpHint(this.command));
      }
    });
  }

  /** The option's value; an error when it was not given. */
  required<T>(name: string, parse: (text: string) => T): T {
    const value = this.value(name, parse);
    if (value !== undefined) return value;
    throw usageError(this.command, `--${name} is missing`, helpHint(this.command));
  }

  /** An error when two options were given that exclude each other. */
  exclude(name: string, ...others: readonly string[]): void {
    const other = this.has(name) ? others.find((each) => this.has(each)) : undefined;
    if (other === undefined) return;
    throw usageError(
      this.command,
      `--${name} and --${other} exclude each other`,
      helpHint(this.command),
    );
  }
}

const helpHint = (command: string): string => `softiommu help ${command}`;

/** How many letters have to be changed, put in, left out or swapped with the next to get from `a` to `b`. */
const editDistance = (a: string, b: string): number => {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? before[j - 2]! + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1, swap));
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
};

/** The name among `names` that `text` was probably meant to be. */
export const nearest = (text: string, names: readonly string[]): string | undefined => {
  const found = names
    .map((name) => ({ name, distance: editDistance(text, name) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return found !== undefined && found.distance <= Math.max(1, Math.floor(text.length / 3))
    ? found.name
    : undefined;
};

const unknownOption = (spec: CommandSpec, rawName: string): CommandError => {
  const near = nearest(
    rawName.replace(/^-+/, ""),
    optionsOf(spec).map(({ name }) => name),
  );
  return usageError(
    spec.name,
    `there is no option ${rawName}`,
    near === undefined ? helpHint(spec.name) : `did you mean --${near}?`,
  );
};

/** What is wrong with the value that the command line gives an option, if anything. */
const valueProblem = (option: OptionSpec, value: string | undefined): string | undefined => {
  if (option.value === undefined) return value === undefined ? undefined : "takes no value";
  if (value === undefined) return `needs a value, ${option.value.name}`;
  const { choices } = option.value;
  if (choices === undefined || choices.includes(value)) return undefined;
  return `is ${choices.join(", ")}, not ${JSON.stringify(value)}`;
};

const checkArguments = (spec: CommandSpec, given: readonly string[]): void => {
  const missing = spec.arguments.find(
    (each, i) => each.optional !== true && given[i] === undefined,
  );
  if (missing !== undefined) {
    throw usageError(spec.name, `${missing.name} is missing`, helpHint(spec.name));
  }
  const extra = given[spec.arguments.length];
  if (extra !== undefined) {
    throw usageError(
      spec.name,
      `there is an argument too many, ${JSON.stringify(extra)}`,
      helpHint(spec.name),
    );
  }
  spec.arguments.forEach(({ name, choices }, i) => {
    const value = given[i];
    if (value === undefined || choices === undefined || choices.includes(value)) return;
    const near = nearest(value, choices);
    throw usageError(
      spec.name,
      `${name} is ${choices.join(", ")}, not ${JSON.stringify(value)}`,
      near === undefined ? undefined : `did you mean ${near}?`,
    );
  });
};

/**
 * Reads what stands behind a command's name.
 *
 * @throws CommandError when it is not what the command takes
 */
export const parseInvocation = (spec: CommandSpec, argv: readonly string[]): Invocation => {
  const known = optionsOf(spec);
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      known.map(({ name, short, value }) => [
        name,
        {
          type: value === undefined ? ("boolean" as const) : ("string" as const),
          ...(short === undefined ? {} : { short }),
        },
      ]),
    ),
  });
  const positionals: string[] = [];
  const options = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const option = known.find(({ name }) => name === token.name);
    if (option === undefined) throw unknownOption(spec, token.rawName);
    const problem = valueProblem(option, token.value);
    if (problem !== undefined) {
      throw usageError(spec.name, `${token.rawName} ${problem}`, helpHint(spec.name));
    }
    const before = options.get(option.name) ?? [];
    if (option.repeatable !== true && option.value !== undefined && before.length > 0) {
      throw usageError(spec.name, `${token.rawName} is given twice`, helpHint(spec.name));
    }
    options.set(option.name, [...before, token.value ?? ""]);
  }
  if (!options.has("help")) checkArguments(spec, positionals);
  return new Invocation(spec.name, positionals, options);
};
