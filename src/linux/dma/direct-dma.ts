import { lowMask } from "../../bits/log2.ts";
import { fail, type Outcome, ok } from "../errno.ts";
import type { DmaApi, ScatterMapping } from "./dma-device.ts";
import type { MemorySegment, SegmentLimits } from "./scatter-list.ts";

/** The DMA of a device whose requests are not translated: its addresses are those of memory. */
export class DirectDma implements DmaApi {
  addressLg2 = 32;
  limits: SegmentLimits = { maxLength: 0x1_0000n, boundaryLg2: 32 };

  /** @returns EIO for memory that the device cannot address */
  map(pa: bigint, length: bigint): Outcome<bigint> {
    if (length <= 0n) return fail("EINVAL");
    return pa + length - 1n > lowMask(this.addressLg2) ? fail("EIO") : ok(pa);
  }

  unmap(): void {}

  mapScatterList(list: readonly MemorySegment[]): Outcome<ScatterMapping> {
    if (list.length === 0) return fail("EINVAL");
    for (const { pa, length } of list) {
      const mapped = this.map(pa, length);
      if (!mapped.ok) return mapped;
    }
    const segments = list.map(({ pa, length }) => ({ address: pa, length }));
    return ok({ segments, runs: [], address: 0n, pages: 0 });
  }

  unmapScatterList(): void {}
}
