import { describe, expect, it } from "vitest";
import { SerialPort } from "./serial-port.ts";
import type { V86Emulator } from "./v86.ts";

/** The other end of a line. */
const line = () => {
  const sent: number[] = [];
  let hear: (byte: number) => void = () => {};
  const emulator = {
    add_listener: (event: string, listener: (byte: number) => void) => {
      if (event === "serial1-output-byte") hear = listener;
    },
    serial_send_bytes: (port: number, bytes: Uint8Array) => sent.push(port, ...bytes),
  } as unknown as V86Emulator;
  const port = new SerialPort(emulator, 1);
  const say = (text: string): void => {
    for (const byte of new TextEncoder().encode(text)) hear(byte);
  };
  return { port, sent, say };
};

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("a serial port", () => {
  it("PC-SER-01: sends text in UTF-8, and bytes", () => {
    const { port, sent } = line();
    port.write("é\n");
    port.write(Uint8Array.of(255));
    expect(sent).toEqual([1, 0xc3, 0xa9, 10, 1, 255]);
  });

  it("PC-SER-02: passes on all that comes, in order, until nobody listens", async () => {
    const { port, say } = line();
    const heard: number[] = [];
    const end = port.onOutput((bytes) => heard.push(...bytes));
    say("ab");
    await settled();
    say("c");
    await settled();
    end();
    say("d");
    await settled();
    expect(heard).toEqual([97, 98, 99]);
  });

  it("PC-SER-03: waits for a text, and leaves what follows to the next", async () => {
    const { port, say } = line();
    const first = port.waitFor("# ");
    const second = port.waitFor(/\d+\n/);
    say("hello\n");
    await settled();
    say("# 12");
    await expect(first).resolves.toBe("hello\n# ");
    say("3\nrest");
    await expect(second).resolves.toBe("123\n");
    port.discard();
    const third = port.waitFor("rest");
    say(" and rest");
    await expect(third).resolves.toBe(" and rest");
  });
});
