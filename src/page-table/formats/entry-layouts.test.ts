import { describe, expect, it } from "vitest";
import type { ReservedBy } from "../../struct/layout.ts";
import {
  AMD_V1_LEAF_ENTRY,
  AMD_V1_TABLE_ENTRY,
  SECOND_STAGE_LEAF_1G,
  SECOND_STAGE_LEAF_2M,
  SECOND_STAGE_LEAF_4K,
  SECOND_STAGE_TABLE_ENTRY,
  X86_64_LEAF_1G,
  X86_64_LEAF_2M,
  X86_64_LEAF_4K,
  X86_64_TABLE_ENTRY,
} from "../index.ts";

const unit = (hostAddressWidth: number, ...capabilities: string[]): ReservedBy => ({
  has: (capability) => capabilities.includes(capability),
  hostAddressWidth,
});

describe("reserved bits of entries", () => {
  it("PT-BITS-01: x86-64 entries reserve bit 7 of tables, low address bits of large leaves, and what is above the host", () => {
    const full = unit(52, "firstStage1G");
    expect(X86_64_TABLE_ENTRY.reservedMask(full)).toEqual([0x80n]);
    expect(X86_64_LEAF_4K.reservedMask(full)).toEqual([0n]);
    expect(X86_64_LEAF_2M.reservedMask(full)).toEqual([0x1f_e000n]);
    expect(X86_64_LEAF_1G.reservedMask(full)).toEqual([0x3fff_e000n]);
    expect(X86_64_LEAF_1G.reservedMask(unit(52))).toEqual([0x3fff_e080n]);
    expect(X86_64_LEAF_4K.reservedMask(unit(39))).toEqual([0x000f_ff80_0000_0000n]);
    expect(X86_64_TABLE_ENTRY.reservedMask(unit(46))).toEqual([0x000f_c000_0000_0080n]);
  });

  it("PT-BITS-02: second-stage entries reserve bits 11 and 7 of tables, snoop without snoop control, and bit 62", () => {
    const TM = 1n << 62n;
    const full = unit(52, "snoopControl", "secondStage2M", "secondStage1G");
    expect(SECOND_STAGE_TABLE_ENTRY.reservedMask(full)).toEqual([TM | 0x880n]);
    expect(SECOND_STAGE_LEAF_4K.reservedMask(full)).toEqual([TM]);
    expect(SECOND_STAGE_LEAF_4K.reservedMask(unit(52))).toEqual([TM | 0x800n]);
    expect(SECOND_STAGE_LEAF_2M.reservedMask(full)).toEqual([TM | 0x1f_f000n]);
    expect(SECOND_STAGE_LEAF_1G.reservedMask(full)).toEqual([TM | 0x3fff_f000n]);
    expect(SECOND_STAGE_LEAF_2M.reservedMask(unit(52))).toEqual([TM | 0x1f_f880n]);
    expect(SECOND_STAGE_LEAF_1G.reservedMask(unit(48))).toEqual([TM | 0x000f_0000_3fff_f880n]);
  });

  it("PT-BITS-03: AMD v1 entries reserve bits 58:52 of leaves and 60:52 of tables", () => {
    expect(AMD_V1_LEAF_ENTRY.reservedMask(unit(52))).toEqual([0x7fn << 52n]);
    expect(AMD_V1_TABLE_ENTRY.reservedMask(unit(52))).toEqual([0x1ffn << 52n]);
  });
});
