import { connect, type Socket } from "node:net";

/** The peer is gone, or said something that is no answer. */
export class QtestError extends Error {
  override readonly name = "QtestError";
}

interface Waiting {
  readonly count: number;
  readonly answers: string[];
  readonly resolve: (answers: string[]) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A connection that sends lines and gets a line back for each: QEMU's qtest
 * protocol. A batch is sent whole before the first answer is awaited.
 */
export class QtestClient {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #rest = "";
  #closed: Error | undefined;
  /** Commands sent so far. */
  sent = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", ({ message }) => this.#fail(new QtestError(message)));
    socket.on("close", () => this.#fail(new QtestError("QEMU has closed the qtest socket")));
  }

  /** Connects to the socket at `path`. */
  static connect(path: string): Promise<QtestClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new QtestClient(socket));
      });
    });
  }

  /**
   * Sends commands and gets what follows each `OK`, an empty string where nothing does.
   *
   * @throws QtestError when QEMU refuses one, is silent for `timeout` milliseconds, or ends
   */
  send(commands: readonly string[], timeout = 20_000): Promise<string[]> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (commands.length === 0) return Promise.resolve([]);
    this.sent += commands.length;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#fail(new QtestError(`QEMU did not answer within ${timeout} ms: ${commands.at(-1)}`));
      }, timeout);
      this.#waiting.push({
        count: commands.length,
        answers: [],
        resolve: (answers) => {
          clearTimeout(timer);
          resolve(answers);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#socket.write(`${commands.join("\n")}\n`);
    });
  }

  /** Ends the connection. */
  close(): void {
    this.#fail(new QtestError("the qtest connection was closed"));
    this.#socket.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) this.#take(line.trimEnd());
  }

  #take(line: string): void {
    // Interrupts are announced between answers, once somebody has asked for them.
    if (line.startsWith("IRQ ")) return;
    const waiting = this.#waiting[0];
    if (waiting === undefined) return;
    if (!line.startsWith("OK")) {
      this.#fail(new QtestError(`QEMU answered: ${line}`));
      return;
    }
    waiting.answers.push(line.slice(3));
    if (waiting.answers.length < waiting.count) return;
    this.#waiting.shift();
    waiting.resolve(waiting.answers);
  }

  #fail(error: Error): void {
    this.#closed ??= error;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#closed);
  }
}
