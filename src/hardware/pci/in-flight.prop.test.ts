import fc from "fast-check";
import { expect, test } from "vitest";
import { InFlightRequests } from "./in-flight.ts";

type Step =
  | { readonly kind: "enter" }
  | { readonly kind: "wait" }
  | { readonly kind: "leave"; readonly pick: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("enter" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("leave" as const), pick: fc.nat(1000) }) },
);

test("PCI-FLY-03: a drain is over exactly when the last request that it found has ended", () => {
  let immediate = 0;
  let delayed = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const requests = new InFlightRequests();
      const live: number[] = [];
      const owed: { readonly id: number; readonly on: Set<number> }[] = [];
      const fired: number[] = [];
      const expected: number[] = [];
      /** Those at the front whose requests are all gone have been told, in order. */
      const settle = (): void => {
        while (owed[0] !== undefined && ![...owed[0].on].some((ticket) => live.includes(ticket))) {
          expected.push(owed.shift()!.id);
        }
      };
      steps.forEach((each, id) => {
        if (each.kind === "enter") live.push(requests.enter());
        else if (each.kind === "wait") {
          owed.push({ id, on: new Set(live) });
          requests.whenEarlierDone(() => fired.push(id));
          if (live.length === 0) immediate++;
          else delayed++;
        } else if (live.length > 0) {
          const [ticket] = live.splice(each.pick % live.length, 1);
          requests.leave(ticket!);
          requests.leave(ticket!);
        }
        settle();
        expect(fired).toEqual(expected);
        expect(requests.count).toBe(live.length);
      });
    }),
    { seed: 5, numRuns: 300 },
  );
  expect(immediate).toBeGreaterThan(100);
  expect(delayed).toBeGreaterThan(100);
});
