import { defineLayout, type Layout } from "../../struct/layout.ts";
import type { ConfigSpace } from "./config-space.ts";

/** A memory base address register as it is declared. */
export interface BarDeclaration {
  /** 0 to 5; one of 64 bits takes the next index too. */
  readonly index: number;
  /** log2 of the bytes behind it, 4 to 31, or to 63 with 64 bits. */
  readonly sizeLg2: number;
  /** Bits of the address; 32 when absent. */
  readonly width?: 32 | 64;
  readonly prefetchable?: boolean;
}

/** A memory base address register: its address bits from the size up can be written, all below are fixed (PCIe 6.3 §7.5.1.2.1). */
const layoutOf = (bar: BarDeclaration): Layout<"ioSpace" | "type" | "prefetchable" | "address"> => {
  const width = bar.width ?? 32;
  return defineLayout({
    name: `base address register ${bar.index}`,
    bytes: width / 8,
    section: "§7.5.1.2.1",
    fields: {
      ioSpace: { at: 0, access: "ro", doc: "0: memory" },
      type: { at: 1, width: 2, access: "ro", doc: "0: 32 bits, 2: 64 bits" },
      prefetchable: { at: 3, access: "ro", doc: "reads have no effect" },
      address: {
        at: bar.sizeLg2,
        width: width - bar.sizeLg2,
        kind: "address",
        access: "rw",
        doc: "first address, a multiple of the size",
      },
    },
  });
};

/** One base address register of a function. */
export class BaseAddressRegister {
  readonly index: number;
  /** log2 of the bytes behind it. */
  readonly sizeLg2: number;
  readonly width: 32 | 64;
  readonly #config: ConfigSpace;
  readonly #offset: number;

  /** @throws RangeError when the register does not fit the header: a bug in the caller */
  constructor(config: ConfigSpace, declaration: BarDeclaration) {
    const { index, sizeLg2, width = 32, prefetchable = false } = declaration;
    const lastIndex = width === 64 ? index + 1 : index;
    if (index < 0 || lastIndex > 5 || sizeLg2 < 4 || sizeLg2 >= width) {
      throw new RangeError(`base address register ${index} of 2^${sizeLg2} bytes is out of range`);
    }
    this.index = index;
    this.sizeLg2 = sizeLg2;
    this.width = width;
    this.#config = config;
    this.#offset = 0x10 + 4 * index;
    const layout = layoutOf(declaration);
    config.place(layout, this.#offset, { type: width === 64 ? 2 : 0, prefetchable });
  }

  /** The first address it claims, whether or not memory accesses are answered. */
  get address(): bigint {
    const low = BigInt(this.#config.read(this.#offset, 4));
    const high = this.width === 64 ? BigInt(this.#config.read(this.#offset + 4, 4)) : 0n;
    return (((high << 32n) | low) >> BigInt(this.sizeLg2)) << BigInt(this.sizeLg2);
  }

  /** Writes an address as firmware does. */
  assign(address: bigint): void {
    this.#config.write(this.#offset, 4, Number(address & 0xffff_ffffn));
    if (this.width === 64) {
      this.#config.write(this.#offset + 4, 4, Number((address >> 32n) & 0xffff_ffffn));
    }
  }
}

/**
 * The registers of a function.
 *
 * @throws RangeError when two of them overlap: a bug in the caller
 */
export const placeBaseAddresses = (
  config: ConfigSpace,
  declarations: readonly BarDeclaration[],
): readonly BaseAddressRegister[] => {
  const taken = declarations.flatMap(({ index, width }) =>
    width === 64 ? [index, index + 1] : [index],
  );
  if (new Set(taken).size !== taken.length) throw new RangeError("base address registers overlap");
  return declarations.map((declaration) => new BaseAddressRegister(config, declaration));
};
