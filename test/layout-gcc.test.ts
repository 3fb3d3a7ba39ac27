import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as vtd from "../src/hardware/vtd/spec/index.ts";
import * as secondStage from "../src/page-table/formats/vtd-second-stage-entry.ts";
import * as firstStage from "../src/page-table/formats/x86-64-entry.ts";
import type { Field, Layout } from "../src/struct/layout.ts";
import { lacks } from "./requirement.ts";

const isLayout = (value: unknown): value is Layout<string> =>
  typeof value === "object" && value !== null && "fields" in value && "reservedMask" in value;

const LAYOUTS = [vtd, firstStage, secondStage]
  .flatMap((module) => Object.values(module))
  .filter(isLayout);

/** The layout as a C structure of bit-fields, padding between them where no field is. */
const structure = (layout: Layout<string>, index: number): string => {
  const fields = Object.values(layout.fields).sort((a: Field, b: Field) => a.at - b.at);
  const members: string[] = [];
  let at = 0;
  const pad = (to: number): void => {
    while (at < to) {
      const width = Math.min(to - at, 64 - (at % 64));
      members.push(`unsigned long long : ${width};`);
      at += width;
    }
  };
  for (const field of fields) {
    pad(field.at);
    members.push(`unsigned long long f_${field.name} : ${field.width};`);
    at += field.width;
  }
  pad(layout.bytes * 8);
  return `struct s${index} { ${members.join(" ")} } __attribute__((packed));`;
};

/** A program that prints, for every field alone, the structure with all of the field's bits set. */
const program = (): string => {
  const prints = LAYOUTS.flatMap((layout, index) => [
    `_Static_assert(sizeof(struct s${index}) == ${layout.bytes}, "size");`,
    ...Object.values(layout.fields).map(
      (field) =>
        `{ struct s${index} s; memset(&s, 0, sizeof s); s.f_${field.name} = ~0ULL; show(&s, sizeof s); }`,
    ),
  ]);
  return `#include <stdio.h>
#include <string.h>
${LAYOUTS.map(structure).join("\n")}
static void show(const void *p, unsigned long n) {
  const unsigned char *b = p;
  for (unsigned long i = 0; i < n; i++) printf("%02x", b[i]);
  printf("\\n");
}
int main(void) { ${prints.join("\n")} return 0; }
`;
};

const bytesOf = (words: readonly bigint[], length: number): string =>
  Buffer.from(BigUint64Array.from(words).buffer, 0, length).toString("hex");

describe.skipIf(lacks("gcc"))("layouts and gcc", () => {
  test("STRUCT-04: every field is where gcc puts the same bit-field", () => {
    const folder = mkdtempSync(join(tmpdir(), "softiommu-layout-"));
    try {
      const source = join(folder, "layout.c");
      writeFileSync(source, program());
      execFileSync("gcc", ["-w", "-o", join(folder, "layout"), source]);
      const lines = execFileSync(join(folder, "layout"), { encoding: "utf8" }).trim().split("\n");
      const expected = LAYOUTS.flatMap((layout) =>
        Object.values(layout.fields).map((field) => {
          const ones = (1n << BigInt(field.width)) - 1n;
          return bytesOf(
            layout.encode({ [field.name]: field.kind === "address" ? ones << field.shift : ones }),
            layout.bytes,
          );
        }),
      );
      expect(lines.length).toBeGreaterThan(150);
      expect(lines).toEqual(expected);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
