import type { V86Emulator } from "./v86.ts";

type Listener = (bytes: Uint8Array) => void;

/** What is kept for `waitFor`, in characters; the oldest goes first. */
const MAX_UNREAD = 1 << 20;

/** One of the PC's serial ports, seen from the other end of the line. */
export class SerialPort {
  readonly #emulator: V86Emulator;
  readonly #index: number;
  readonly #listeners = new Set<Listener>();
  readonly #decoder = new TextDecoder();
  #bytes: number[] = [];
  #unread = "";
  #waiting: { readonly pattern: string | RegExp; readonly found: (text: string) => void }[] = [];

  /** @param index 0 for COM1, 1 for COM2 */
  constructor(emulator: V86Emulator, index: number) {
    this.#emulator = emulator;
    this.#index = index;
    emulator.add_listener(`serial${index}-output-byte`, (byte) => this.#received(byte));
  }

  /** Sends bytes, or text in UTF-8, to the guest. */
  write(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    this.#emulator.serial_send_bytes(this.#index, bytes);
  }

  /**
   * Calls `listener` with what the guest sends, in pieces of any size.
   *
   * @returns a function that ends it
   */
  onOutput(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Waits until the guest has sent `pattern`. What comes after the match is
   * left for the next call.
   *
   * @returns everything up to the end of the match that no earlier call returned
   */
  waitFor(pattern: string | RegExp): Promise<string> {
    return new Promise((found) => {
      this.#waiting.push({ pattern, found });
      this.#match();
    });
  }

  /** Forgets what nobody has waited for. */
  discard(): void {
    this.#unread = "";
  }

  #received(byte: number): void {
    // One by one they come while the processor runs; a piece is passed on when it pauses.
    if (this.#bytes.length === 0) queueMicrotask(() => this.#flush());
    this.#bytes.push(byte);
  }

  #flush(): void {
    const bytes = Uint8Array.from(this.#bytes);
    this.#bytes = [];
    for (const listener of this.#listeners) listener(bytes);
    this.#unread = (this.#unread + this.#decoder.decode(bytes, { stream: true })).slice(
      -MAX_UNREAD,
    );
    this.#match();
  }

  #match(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const end = endOf(this.#unread, first.pattern);
      if (end < 0) return;
      const text = this.#unread.slice(0, end);
      this.#unread = this.#unread.slice(end);
      this.#waiting.shift();
      first.found(text);
    }
  }
}

/** Where the first match of `pattern` ends; -1 when there is none. */
const endOf = (text: string, pattern: string | RegExp): number => {
  if (typeof pattern === "string") {
    const at = text.indexOf(pattern);
    return at < 0 ? -1 : at + pattern.length;
  }
  const match = pattern.exec(text);
  return match === null ? -1 : match.index + match[0].length;
};
