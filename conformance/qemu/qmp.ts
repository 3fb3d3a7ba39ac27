import { connect, type Socket } from "node:net";
import { QtestError } from "./qtest.ts";

interface Message {
  readonly QMP?: unknown;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
}

/** The little of QEMU's machine protocol that a reset needs. */
export class QmpClient {
  readonly #socket: Socket;
  #rest = "";
  #closed: Error | undefined;
  #expected: {
    is: (message: Message) => boolean;
    resolve: () => void;
    reject: (e: Error) => void;
  }[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", ({ message }) => this.#fail(new QtestError(message)));
    socket.on("close", () => this.#fail(new QtestError("QEMU has closed the QMP socket")));
  }

  /** Connects to the socket at `path` and leaves negotiation. */
  static async connect(path: string): Promise<QmpClient> {
    const socket = connect(path);
    const client = new QmpClient(socket);
    await client.#expect((message) => message.QMP !== undefined);
    await client.#run("qmp_capabilities", (message) => message.return !== undefined);
    return client;
  }

  /** Resets the machine; it has been when this returns. */
  reset(): Promise<void> {
    return this.#run("system_reset", (message) => message.event === "RESET");
  }

  /** Ends the connection. */
  close(): void {
    this.#fail(new QtestError("the QMP connection was closed"));
    this.#socket.destroy();
  }

  #run(command: string, is: (message: Message) => boolean): Promise<void> {
    const done = this.#expect(is);
    this.#socket.write(`{"execute":"${command}"}\n`);
    return done;
  }

  #expect(is: (message: Message) => boolean): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => this.#expected.push({ is, resolve, reject }));
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const message: Message = JSON.parse(line);
      if (message.error !== undefined) this.#fail(new QtestError(message.error.desc));
      else if (this.#expected[0]?.is(message) === true) this.#expected.shift()!.resolve();
    }
  }

  #fail(error: Error): void {
    this.#closed ??= error;
    for (const { reject } of this.#expected.splice(0)) reject(this.#closed);
  }
}
