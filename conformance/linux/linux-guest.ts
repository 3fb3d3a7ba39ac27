import { askGuest } from "../../src/cli/boot/script-run.ts";
import type { Pc } from "../../src/pc/index.ts";

/** An answer of the guest's script program. */
export type Answer = Readonly<Record<string, unknown>>;

/** A guest that answers. */
export class LinuxGuest {
  readonly pc: Pc;

  constructor(pc: Pc) {
    this.pc = pc;
  }

  /** @throws CommandError when the guest ends, or does not answer in time */
  async ask(line: string): Promise<Answer> {
    return JSON.parse(await askGuest(this.pc, line)) as Answer;
  }

  /**
   * What a command of the shell prints.
   *
   * @throws Error when it fails
   */
  async run(command: string): Promise<string> {
    const answer = await this.ask(JSON.stringify({ run: command, ms: 60_000 }));
    if (answer["exit"] === 0) return String(answer["text"]);
    throw new Error(`in the guest, ${command}: ${JSON.stringify(answer)}`);
  }
}
