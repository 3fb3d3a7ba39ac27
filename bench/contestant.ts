import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { Round } from "./round.ts";

/** A process, in whatever language, that does a round when it is told to. */
export class Contestant {
  readonly #name: string;
  readonly #process: ChildProcess & { readonly stdin: Writable; readonly stdout: Readable };
  readonly #lines: AsyncIterator<string>;

  private constructor(name: string, program: string, args: readonly string[]) {
    this.#name = name;
    this.#process = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    // A process that has died is noticed by what it does not say.
    this.#process.stdin.on("error", () => {});
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** Starts the process and waits until it has prepared its job. */
  static async start(name: string, program: string, args: readonly string[]): Promise<Contestant> {
    const contestant = new Contestant(name, program, args);
    await contestant.#read();
    return contestant;
  }

  async #read(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`${this.#name} ended early`);
    return value;
  }

  async runRound(): Promise<Round> {
    this.#process.stdin.write("\n");
    const [ns, sum, reads] = (await this.#read()).split(" ").map(Number);
    return { ns: ns!, sum: sum!, reads: reads! };
  }

  stop(): void {
    this.#process.stdin.end();
  }
}
