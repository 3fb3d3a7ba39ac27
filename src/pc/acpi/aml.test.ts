import { describe, expect, it } from "vitest";
import {
  type Aml,
  busRange,
  device,
  eisaId,
  fixedMemory,
  integer,
  memoryRange,
  named,
  packageOf,
  portRange,
  ports,
  resources,
  scope,
} from "./aml.ts";

const hex = (aml: Aml): string => aml.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");

describe("machine language of ACPI", () => {
  it("PC-ACPI-07: integers take the shortest form", () => {
    expect(
      [0, 1, 2, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff].map((n) => hex(integer(n))),
    ).toEqual([
      "00",
      "01",
      "0a 02",
      "0a ff",
      "0b 00 01",
      "0b ff ff",
      "0c 00 00 01 00",
      "0c ff ff ff ff",
    ]);
  });

  it("PC-ACPI-07: names are four characters, in the root after a backslash", () => {
    expect(hex(named("_HID", integer(1)))).toBe("08 5f 48 49 44 01");
    expect(hex(scope("\\_SB"))).toBe("10 06 5c 5f 53 42 5f");
    expect(hex(device("PCI0"))).toBe("5b 82 05 50 43 49 30");
  });

  it("PC-ACPI-07: lengths count themselves, in one to four bytes", () => {
    const bytes = (count: number): Aml[] => Array.from({ length: count }, () => [0]);
    const head = (count: number): string => hex(packageOf(...bytes(count)).slice(0, 4));
    expect(head(0)).toBe("12 02 00");
    expect(head(61)).toBe("12 3f 3d 00");
    // 62 elements, their count and a length of two bytes: 65.
    expect(head(62)).toBe("12 41 04 3e");
    const large = scope("\\_SB", ...bytes(4096 - 7));
    expect(hex(large.slice(0, 4))).toBe("10 81 00 01");
    expect(large).toHaveLength(1 + 3 + 5 + 4096 - 7);
  });

  it("PC-ACPI-07: identifiers are compressed", () => {
    expect(hex(eisaId("PNP0A03"))).toBe("0c 41 d0 0a 03");
    expect(hex(eisaId("PNP0C02"))).toBe("0c 41 d0 0c 02");
  });

  it("PC-ACPI-07: resources have the layout of their descriptors", () => {
    expect(hex(busRange(0, 0xff))).toBe("88 0d 00 02 0c 00 00 00 00 00 ff 00 00 00 00 01");
    expect(hex(portRange(0, 0xcf7))).toBe("88 0d 00 01 0c 03 00 00 00 00 f7 0c 00 00 f8 0c");
    expect(hex(memoryRange(0xa_0000, 0xb_ffff, true))).toBe(
      "87 17 00 00 0c 03 00 00 00 00 00 00 0a 00 ff ff 0b 00 00 00 00 00 00 00 02 00",
    );
    expect(hex(ports(0xcf8, 8))).toBe("47 01 f8 0c f8 0c 01 08");
    expect(hex(fixedMemory(0xb000_0000, 0x10_0000))).toBe("86 09 00 01 00 00 00 b0 00 00 10 00");
    expect(hex(resources(ports(0xcf8, 8)))).toBe("11 0d 0a 0a 47 01 f8 0c f8 0c 01 08 79 00");
  });
});
