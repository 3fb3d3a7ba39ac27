import { isatty } from "node:tty";

/** What the user types, or what is piped in. */
export interface Input {
  /** Whether a person types: then keys come as they are pressed while somebody listens. */
  readonly isTerminal: boolean;
  /**
   * Calls `onBytes` with what comes in, and `onEnd` when nothing more can.
   *
   * @returns a function that ends it, and gives the terminal back
   */
  listen(onBytes: (bytes: Uint8Array) => void, onEnd: () => void): () => void;
}

/** The process's own input. */
export const processInput = (): Input => ({
  isTerminal: isatty(0),
  listen(onBytes, onEnd) {
    const { stdin } = process;
    if (stdin.isTTY) stdin.setRawMode(true);
    stdin.on("data", onBytes);
    stdin.on("end", onEnd);
    stdin.resume();
    return () => {
      stdin.off("data", onBytes);
      stdin.off("end", onEnd);
      if (stdin.isTTY) stdin.setRawMode(false);
      stdin.pause();
    };
  },
});

/** Input that is over from the start, or after `text`. */
export const keptInput = (text: string): Input => ({
  isTerminal: false,
  listen(onBytes, onEnd) {
    let listening = true;
    queueMicrotask(() => {
      if (listening && text !== "") onBytes(new TextEncoder().encode(text));
      if (listening) onEnd();
    });
    return () => {
      listening = false;
    };
  },
});

/** Input of which nothing comes. */
export const NO_INPUT: Input = keptInput("");
