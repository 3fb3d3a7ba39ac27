import fc from "fast-check";
import { expect, test } from "vitest";
import { CaptureError } from "./capture-error.ts";
import { parseJson } from "./json-text.ts";
import { bytesOf } from "./sample-files.ts";

/** Whether both read it, or neither; `undefined` where duplicate names or a long number part them on purpose. */
const agree = (text: string): boolean | undefined => {
  let native = true;
  try {
    JSON.parse(text);
  } catch {
    native = false;
  }
  try {
    parseJson("x.json", bytesOf(text));
    return native;
  } catch (error) {
    if (!(error instanceof CaptureError)) return false;
    if (error.expected === "each name once" || error.expected.startsWith("a number of at most"))
      return undefined;
    return !native;
  }
};

/** A JSON text with a few characters replaced, so that most are almost JSON. */
const nearlyJson = fc
  .tuple(
    fc.json({ maxDepth: 4 }),
    fc.array(fc.tuple(fc.nat(200), fc.constantFrom(...'{}[]",:0-e.\\ut \u0001')), { maxLength: 2 }),
  )
  .map(([text, edits]) =>
    edits.reduce((all, [at, char]) => all.slice(0, at) + char + all.slice(at + 1), text),
  );

test("CAP-BAD-03: accepts what JSON.parse accepts and nothing else", () => {
  let compared = 0;
  fc.assert(
    fc.property(nearlyJson, (text) => {
      const agreed = agree(text);
      if (agreed === undefined) return;
      compared++;
      expect(agreed, text).toBe(true);
    }),
    { seed: 20, numRuns: 3000 },
  );
  expect(compared).toBeGreaterThan(2000);
});
