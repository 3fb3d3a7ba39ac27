import type { Pc } from "../../pc/index.ts";
import type { Input } from "../input.ts";

/** How a session at the guest's console ends: the user has left it, or the guest is gone. */
export type SessionEnd = "left" | "ended";

/** Ctrl-], which leaves, as it does in telnet. */
export const LEAVE = 0x1d;

/** What the guest's shell prints when it waits for a line. */
const PROMPT = "# ";

/** Ctrl-D: at its prompt, the end of the shell. */
const END_OF_INPUT = "\x04";

/** With this the shell asks a terminal where its cursor is; nobody answers for a pipe. */
const WHERE = "\x1b[6n";

/** Milliseconds between two looks, and without output until a program is thought to want the next line. */
const LOOK_MS = 5;
const QUIET_MS = 2000;

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Keys go to the guest as they come, but for the one that leaves. */
const typed = (pc: Pc, input: Input): { readonly end: Promise<SessionEnd>; stop(): void } => {
  let stop = (): void => {};
  const end = new Promise<SessionEnd>((resolve) => {
    stop = input.listen(
      (bytes) => {
        const at = bytes.indexOf(LEAVE);
        pc.console.write(at < 0 ? bytes : bytes.subarray(0, at));
        if (at >= 0) resolve("left");
      },
      () => resolve("left"),
    );
  });
  return { end, stop: () => stop() };
};

/** Everything that is piped in, line by line: each when the shell waits for it, as nobody holds back a serial line. */
class PipedLines {
  readonly #pc: Pc;
  #tail = PROMPT;
  #heard = 0;

  constructor(pc: Pc) {
    this.#pc = pc;
  }

  heard(text: string): void {
    this.#tail = (this.#tail + text).slice(-PROMPT.length);
    this.#heard = performance.now();
  }

  async #whenPrompted(): Promise<void> {
    while (
      this.#pc.running &&
      this.#tail !== PROMPT &&
      performance.now() - this.#heard < QUIET_MS
    ) {
      await pause(LOOK_MS);
    }
  }

  /** @param stays whether the shell is left at its prompt, instead of ended */
  async send(text: string, stays: boolean): Promise<SessionEnd> {
    const whole = text === "" || text.endsWith("\n") ? text : `${text}\n`;
    const lines = whole.split(/(?<=\n)/).filter((line) => line !== "");
    for (const line of lines) {
      await this.#whenPrompted();
      this.#tail = "";
      this.#heard = performance.now();
      this.#pc.console.write(line);
    }
    await this.#whenPrompted();
    if (stays) return "left";
    this.#pc.console.write(END_OF_INPUT);
    await this.#pc.ended;
    return "ended";
  }
}

const readAll = (input: Input): Promise<string> =>
  new Promise((resolve) => {
    const decoder = new TextDecoder();
    let text = "";
    const stop = input.listen(
      (bytes) => {
        text += decoder.decode(bytes, { stream: true });
      },
      () => {
        stop();
        resolve(text);
      },
    );
  });

/**
 * Joins `input` and the guest's console until one of them ends.
 *
 * @param shown called with what the guest prints
 * @param stays whether the guest's shell is to go on when piped input is over
 */
export const runSession = async (
  pc: Pc,
  input: Input,
  shown: (text: string) => void,
  stays: boolean,
): Promise<SessionEnd> => {
  const decoder = new TextDecoder();
  const piped = new PipedLines(pc);
  let failed: (error: unknown) => void = () => {};
  const broken = new Promise<never>((_, reject) => {
    failed = reject;
  });
  const silence = pc.console.onOutput((bytes) => {
    const text = decoder.decode(bytes, { stream: true });
    const printed = input.isTerminal ? text : text.replaceAll(WHERE, "");
    piped.heard(printed);
    try {
      shown(printed);
    } catch (error) {
      failed(error);
    }
  });
  const keys = input.isTerminal ? typed(pc, input) : undefined;
  const session = keys?.end ?? readAll(input).then((text) => piped.send(text, stays));
  try {
    const ended = pc.ended.then((): SessionEnd => "ended");
    return await Promise.race([session, ended, broken]);
  } finally {
    keys?.stop();
    silence();
  }
};
