import { expect, test } from "vitest";
import { defineEvent, TraceChannel } from "./channel.ts";

const HIT = defineEvent<{ page: number }>("unit.cache.hit");
const MISS = defineEvent<{ page: number }>("unit.cache.miss");
const OTHER = defineEvent<string>("bus.reset");

test("TRACE-01: globs choose, order holds, subscriptions end", () => {
  const channel = new TraceChannel();
  const seen: string[] = [];
  const end = channel.listen("unit.*", (e) =>
    seen.push(`a ${e.name} ${JSON.stringify(e.payload)}`),
  );
  channel.listen("*.hit", (e) => seen.push(`b ${e.name}`));
  channel.listen("unit.cache", (e) => seen.push(`never ${e.name}`));
  channel.emit(HIT, { page: 1 });
  channel.emit(MISS, { page: 2 });
  channel.emit(OTHER, "x");
  end();
  end();
  channel.emit(HIT, { page: 3 });
  expect(seen).toEqual([
    'a unit.cache.hit {"page":1}',
    "b unit.cache.hit",
    'a unit.cache.miss {"page":2}',
    "b unit.cache.hit",
  ]);
});

test("TRACE-02: on while somebody listens, and only then", () => {
  const channel = new TraceChannel();
  expect(channel.enabled).toBe(false);
  const ends = [channel.listen("*", () => {}), channel.listen("*", () => {})];
  expect(channel.enabled).toBe(true);
  ends[0]!();
  expect(channel.enabled).toBe(true);
  ends[1]!();
  expect(channel.enabled).toBe(false);
});
