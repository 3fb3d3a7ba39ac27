import { describe, expect, test } from "vitest";
import { CaptureError } from "./capture-error.ts";
import { type Json, type JsonValue, parseJson } from "./json-text.ts";
import { bytesOf } from "./sample-files.ts";

const parse = (text: string): Json => parseJson("x.json", bytesOf(text));

/** The value without its positions. */
const plain = (json: Json): unknown => {
  const value: JsonValue = json.value;
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]));
};

const messageOf = (text: string): string => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof CaptureError) return error.message;
    throw error;
  }
  return "read";
};

describe("JSON with positions", () => {
  test.each([
    "{}",
    "[]",
    ' { "a" : [ 1 , -2.5e3 , true , false , null , "x" ] , "b" : { "" : "" } } \r\n\t',
    '"\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u00e9 \\ud83d\\ude00 é 😀"',
    `"${"long ".repeat(40)}"`,
    "-0",
    "0.5E-2",
  ])("CAP-BAD-03: reads %s as JSON.parse does", (text) => {
    expect(plain(parse(text))).toEqual(JSON.parse(text));
  });

  test("CAP-BAD-03: a value knows its byte, counted behind characters of several bytes", () => {
    expect(parse('{"é": 7}').field("é").at).toBe(7);
  });

  test.each([
    ["", "x.json: at byte 0x0: expected a JSON value, found the end of the text"],
    ["{", "x.json: at byte 0x1: expected a name in quotes, found the end of the text"],
    ['{"a":1,}', 'x.json: at byte 0x7: expected a name in quotes, found "}"'],
    ['{"a" 1}', 'x.json: at byte 0x5: expected ":", found "1"'],
    ["[1 2]", 'x.json: at byte 0x3: expected "," or "]", found "2"'],
    ["[1]]", 'x.json: at byte 0x3: expected the end of the JSON text, found "]"'],
    ['{"a":1,"a":2}', 'x.json: at byte 0x7: expected each name once, found a second "a"'],
    ["01", 'x.json: at byte 0x0: expected a JSON number, found "01"'],
    ["[1e]", 'x.json: at byte 0x1: expected a JSON number, found "1e"'],
    ["nul", 'x.json: at byte 0x3: expected "l" of null, found the end of the text'],
    ['"a', "x.json: at byte 0x2: expected a closing quote, found the end of the text"],
    ['"a\nb"', "x.json: at byte 0x2: expected a closing quote, found byte 0xa"],
    ['"\\x"', 'x.json: at byte 0x2: expected an escape sequence, found "x"'],
    ["\ufeff{}", "x.json: at byte 0x0: expected a JSON value, found byte 0xef"],
    [
      "1".repeat(65),
      "x.json: at byte 0x0: expected a number of at most 64 characters, found a longer one",
    ],
  ])("CAP-BAD-03: %j is refused at the byte where it goes wrong", (text, message) => {
    expect(messageOf(text)).toBe(message);
  });

  test("CAP-BAD-03: depth is bounded before the stack is", () => {
    expect(messageOf("[".repeat(1_000_000))).toContain("at byte 0x21: expected at most 32 arrays");
    expect(messageOf('{"a":'.repeat(33))).toContain("expected at most 32 arrays and objects");
    expect(messageOf(`${"[".repeat(32)}1${"]".repeat(32)}`)).toBe("read");
  });

  test("CAP-BAD-03: the count of values is bounded", () => {
    expect(messageOf(`[${"0,".repeat(2 ** 20)}0]`)).toContain("expected at most 1048576 values");
  });

  test("CAP-BAD-03: text that is not UTF-8 is refused", () => {
    const bytes = Uint8Array.of(0x22, 0x61, 0xff, 0x22);
    expect(() => parseJson("x.json", bytes)).toThrow("at byte 0x1: expected UTF-8 text in quotes");
  });

  test("CAP-BAD-04: text of the file is quoted, shortened and printable", () => {
    expect(parse(`"${"\\u001b[31m\\u009b\\u202e".repeat(20)}"`).describe()).toMatch(
      /^"\\u001b\[31m\\u009b\\u202e[ -~]{20,300}\.\.\."$/,
    );
  });

  test("values of the wrong kind are refused where they stand", () => {
    const json = parse('{"a": [1.5, "0x1ffff", -1, 9007199254740993]}');
    const [half, wide, negative, huge] = json.field("a").items(4);
    expect(() => json.field("b")).toThrow(
      'at byte 0x0: expected an object with "b", found one without',
    );
    expect(() => json.field("a").items(3)).toThrow(
      "at byte 0x6: expected at most 3 items, found 4",
    );
    expect(() => half!.integer(0, 9)).toThrow(
      "at byte 0x7: expected a whole number from 0 to 9, found 1.5",
    );
    expect(() => wide!.hex(16)).toThrow(
      "at byte 0xc: expected a hexadecimal number of at most 16 bits",
    );
    expect(() => negative!.hex(64)).toThrow("at byte 0x17");
    expect(() => huge!.integer(0, 2 ** 60)).toThrow("at byte 0x1b");
    expect(wide!.hex(17)).toBe(0x1ffffn);
  });
});
