import { CaptureError, quote } from "./capture-error.ts";
import { MAX_JSON_DEPTH, MAX_JSON_VALUES } from "./limits.ts";

/** What a JSON value can be. */
export type JsonValue = string | number | boolean | null | Json[] | Map<string, Json>;

/**
 * A JSON value that knows where in its file it stands, so that whoever finds it
 * wrong can say where. `JSON.parse` keeps no positions and names none in half of
 * its errors. Every method throws a `CaptureError` when the value is not what is
 * asked for.
 */
export class Json {
  readonly file: string;
  /** Byte in the file where the value begins. */
  readonly at: number;
  readonly value: JsonValue;

  constructor(file: string, at: number, value: JsonValue) {
    this.file = file;
    this.at = at;
    this.value = value;
  }

  /** The error that says that something else was expected here. */
  wrong(expected: string, found: string = this.describe(), hint?: string): CaptureError {
    return new CaptureError({ file: this.file, offset: this.at, expected, found, hint });
  }

  /** The value as a message shows it. */
  describe(): string {
    const { value } = this;
    if (typeof value === "string") return quote(value);
    if (Array.isArray(value)) return "an array";
    return value instanceof Map ? "an object" : String(value);
  }

  members(): Map<string, Json> {
    if (this.value instanceof Map) return this.value;
    throw this.wrong("an object");
  }

  /** The member `name` of an object; `undefined` when it has none. */
  optional(name: string): Json | undefined {
    return this.members().get(name);
  }

  field(name: string): Json {
    const member = this.optional(name);
    if (member === undefined) throw this.wrong(`an object with "${name}"`, "one without");
    return member;
  }

  items(most: number): readonly Json[] {
    if (!Array.isArray(this.value)) throw this.wrong("an array");
    if (this.value.length <= most) return this.value;
    throw this.wrong(`at most ${most} items`, `${this.value.length}`);
  }

  /** A string that matches `pattern`. */
  text(pattern: RegExp, expected: string): string {
    if (typeof this.value === "string" && pattern.test(this.value)) return this.value;
    throw this.wrong(expected);
  }

  /** A number without fraction, `least` and `most` included. */
  integer(least: number, most: number): number {
    const { value } = this;
    if (
      typeof value === "number" &&
      Number.isSafeInteger(value) &&
      value >= least &&
      value <= most
    ) {
      return value;
    }
    throw this.wrong(`a whole number from ${least} to ${most}`);
  }

  /** A string such as "0x1f", below 2^`bits`. */
  hex(bits: number): bigint {
    const { value } = this;
    if (typeof value === "string" && /^0x[0-9a-f]{1,16}$/i.test(value)) {
      const number = BigInt(value);
      if (number >> BigInt(bits) === 0n) return number;
    }
    throw this.wrong(`a hexadecimal number of at most ${bits} bits in a string, such as "0x1f"`);
  }
}

/** Characters of a number; a longer one is exact in no number type. */
const MAX_NUMBER_LENGTH = 64;
const NUMBER_CHARS: ReadonlySet<number> = new Set(new TextEncoder().encode("-+.0123456789eE"));
const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/;
/** Bytes of a string that is decoded by hand. */
const SHORT = 64;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** RFC 8259, with the bounds of `limits.ts` and without duplicate names. */
class JsonParser {
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  #values = 0;

  constructor(file: string, bytes: Uint8Array, start: number, end: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  document(): Json {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#end) throw this.#unexpected("the end of the JSON text");
    return value;
  }

  #unexpected(expected: string): CaptureError {
    if (this.#at >= this.#end) return this.#error(expected, "the end of the text");
    const byte = this.#bytes[this.#at]!;
    const printable = byte >= 0x20 && byte < 0x7f;
    return this.#error(
      expected,
      printable ? quote(String.fromCharCode(byte)) : `byte 0x${byte.toString(16)}`,
    );
  }

  #error(expected: string, found: string, offset: number = this.#at): CaptureError {
    return new CaptureError({ file: this.#file, offset, expected, found });
  }

  /** The character at the position, "" at the end. */
  #peek(): string {
    return this.#at < this.#end ? String.fromCharCode(this.#bytes[this.#at]!) : "";
  }

  #skipSpace(): void {
    while (this.#at < this.#end) {
      const byte = this.#bytes[this.#at]!;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #expect(char: string): void {
    this.#skipSpace();
    if (this.#peek() !== char) throw this.#unexpected(quote(char));
    this.#at++;
  }

  #value(depth: number): Json {
    this.#skipSpace();
    const at = this.#at;
    if (depth > MAX_JSON_DEPTH) {
      throw this.#error(`at most ${MAX_JSON_DEPTH} arrays and objects inside each other`, "more");
    }
    if (++this.#values > MAX_JSON_VALUES) {
      throw this.#error(`at most ${MAX_JSON_VALUES} values`, "more");
    }
    return new Json(this.#file, at, this.#bare(depth));
  }

  #bare(depth: number): JsonValue {
    const char = this.#peek();
    if (char === "{") return this.#object(depth);
    if (char === "[") return this.#array(depth);
    if (char === '"') return this.#string();
    if (char === "-" || (char >= "0" && char <= "9")) return this.#number();
    if (char === "t") return this.#word("true", true);
    if (char === "f") return this.#word("false", false);
    if (char === "n") return this.#word("null", null);
    throw this.#unexpected("a JSON value");
  }

  #word<T>(word: string, value: T): T {
    for (const char of word) {
      if (this.#peek() !== char) throw this.#unexpected(`${quote(char)} of ${word}`);
      this.#at++;
    }
    return value;
  }

  #number(): number {
    const start = this.#at;
    while (NUMBER_CHARS.has(this.#bytes[this.#at]!) && this.#at < this.#end) this.#at++;
    if (this.#at - start > MAX_NUMBER_LENGTH) {
      throw this.#error(
        `a number of at most ${MAX_NUMBER_LENGTH} characters`,
        "a longer one",
        start,
      );
    }
    const text = this.#decode(start);
    if (NUMBER.test(text)) return Number(text);
    throw this.#error("a JSON number", quote(text), start);
  }

  #array(depth: number): Json[] {
    const items: Json[] = [];
    this.#at++;
    this.#skipSpace();
    if (this.#peek() === "]") {
      this.#at++;
      return items;
    }
    for (;;) {
      items.push(this.#value(depth + 1));
      this.#skipSpace();
      const next = this.#peek();
      if (next !== "," && next !== "]") throw this.#unexpected('"," or "]"');
      this.#at++;
      if (next === "]") return items;
    }
  }

  #object(depth: number): Map<string, Json> {
    const members = new Map<string, Json>();
    this.#at++;
    this.#skipSpace();
    if (this.#peek() === "}") {
      this.#at++;
      return members;
    }
    for (;;) {
      this.#skipSpace();
      const at = this.#at;
      if (this.#peek() !== '"') throw this.#unexpected("a name in quotes");
      const name = this.#string();
      if (members.has(name)) throw this.#error("each name once", `a second ${quote(name)}`, at);
      this.#expect(":");
      members.set(name, this.#value(depth + 1));
      this.#skipSpace();
      const next = this.#peek();
      if (next !== "," && next !== "}") throw this.#unexpected('"," or "}"');
      this.#at++;
      if (next === "}") return members;
    }
  }

  #string(): string {
    this.#at++;
    const pieces: string[] = [];
    for (let start = this.#at; ; start = this.#at) {
      while (this.#isPlain()) this.#at++;
      if (this.#at > start) pieces.push(this.#decode(start));
      const char = this.#peek();
      if (char !== "\\" && char !== '"') throw this.#unexpected("a closing quote");
      this.#at++;
      if (char === '"') return pieces.join("");
      pieces.push(this.#escape());
    }
  }

  /** Whether the byte at the position stands for itself in a string. */
  #isPlain(): boolean {
    const byte = this.#at < this.#end ? this.#bytes[this.#at]! : 0;
    return byte >= 0x20 && byte !== 0x22 && byte !== 0x5c;
  }

  #decode(start: number): string {
    // Almost every string is a short ASCII one, for which a decoder's call costs more than the work.
    if (this.#at - start <= SHORT) {
      let text = "";
      let at = start;
      while (at < this.#at && this.#bytes[at]! < 0x80)
        text += String.fromCharCode(this.#bytes[at++]!);
      if (at === this.#at) return text;
    }
    try {
      return utf8.decode(this.#bytes.subarray(start, this.#at));
    } catch {
      throw this.#error("UTF-8 text in quotes", "other bytes", start);
    }
  }

  #escape(): string {
    const char = this.#peek();
    const plain = ESCAPES[char];
    if (plain !== undefined) {
      this.#at++;
      return plain;
    }
    const code = String.fromCharCode(
      ...this.#bytes.subarray(this.#at, Math.min(this.#at + 5, this.#end)),
    );
    if (!/^u[0-9a-f]{4}$/i.test(code)) throw this.#unexpected("an escape sequence");
    this.#at += 5;
    return String.fromCharCode(Number.parseInt(code.slice(1), 16));
  }
}

/**
 * @param start where in `bytes` the text begins
 * @param end the byte after its last
 * @throws CaptureError with the byte at which the text stops being JSON
 */
export const parseJson = (
  file: string,
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): Json => new JsonParser(file, bytes, start, end).document();
