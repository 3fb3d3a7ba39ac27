import { hex } from "../../bits/hex.ts";
import type { CommandContext } from "../command.ts";
import type { LogEntry } from "./unit-log.ts";

/** 64-bit numbers are hexadecimal strings in JSON. */
const plain = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? hex(value) : value;

/** Whole lines out of pieces of text. */
class Lines {
  #rest = "";

  take(text: string): string[] {
    const lines = (this.#rest + text).replaceAll("\r", "").split("\n");
    this.#rest = lines.pop() ?? "";
    return lines;
  }
}

/**
 * Where everything of a boot goes: the console and answers to standard output,
 * the trace to standard error; with `--json` all of it to standard output, an
 * object a line.
 */
export class BootOutput {
  readonly #context: CommandContext;
  readonly #console = new Lines();
  readonly #began = performance.now();

  constructor(context: CommandContext) {
    this.#context = context;
  }

  #line(value: unknown): void {
    this.#context.output.out(`${JSON.stringify(value, plain)}\n`);
  }

  console(text: string): void {
    const { json, output } = this.#context;
    if (!json) output.out(text);
    else for (const line of this.#console.take(text)) this.#line({ console: line });
  }

  answer(number: number, answer: string): void {
    const { json, output } = this.#context;
    if (json) output.out(`{"line":${number},"answer":${answer}}\n`);
    else output.out(`${answer}\n`);
  }

  trace({ event, text, payload }: LogEntry): void {
    const { json, output, paint } = this.#context;
    const seconds = (performance.now() - this.#began) / 1000;
    if (json) this.#line({ trace: event, seconds, ...(payload as object) });
    else output.err(`${paint.dim(`${seconds.toFixed(3).padStart(7)} s  ${text}`)}\n`);
  }

  /** Something to know, for people only. */
  note(text: string): void {
    const { json, quiet, output, paint } = this.#context;
    if (!json && !quiet) output.err(`${paint.dim(text)}\n`);
  }

  end(how: string): void {
    if (this.#context.json) this.#line({ end: how });
  }
}
