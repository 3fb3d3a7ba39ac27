import type { AccessWidth, Platform } from "../../../hardware/platform/index.ts";
import { CAP, ECAP } from "../../../hardware/vtd/spec/capability-registers.ts";
import { GCMD, GSTS, registerRows } from "../../../hardware/vtd/spec/registers.ts";
import type { Layout } from "../../../struct/layout.ts";
import { DONE, fail, type Outcome } from "../../errno.ts";

/** Bits of GSTS that are levels: they keep their state when written back to GCMD. */
const LEVELS = 0x96ff_ffffn;
/** How often a bit is looked at before hardware counts as stuck. */
const POLL_LIMIT = 1000;
const NOBODY = (1n << 64n) - 1n;
const CAP_OFFSET = 8n;
const ECAP_OFFSET = 16n;

type Fields<Name extends string> = { readonly [N in Name]: bigint };

/** The register window of one unit, by layouts. */
export class UnitRegisters {
  readonly base: bigint;
  /** CAP as it is read; all ones when nobody is there. */
  readonly cap: bigint;
  readonly ecap: bigint;
  readonly capFields: Fields<keyof typeof CAP.fields>;
  readonly ecapFields: Fields<keyof typeof ECAP.fields>;
  readonly #platform: Platform;
  readonly #offsets = new Map<Layout<string>, bigint>();

  constructor(platform: Platform, base: bigint) {
    this.#platform = platform;
    this.base = base;
    this.cap = platform.readMmio(base + CAP_OFFSET, 8);
    this.ecap = platform.readMmio(base + ECAP_OFFSET, 8);
    this.capFields = CAP.decode([this.cap]);
    this.ecapFields = ECAP.decode([this.ecap]);
    for (const { layout, offset } of registerRows(this.cap, this.ecap)) {
      if (!this.#offsets.has(layout)) this.#offsets.set(layout, BigInt(offset));
    }
  }

  get isPresent(): boolean {
    return this.cap !== NOBODY && this.cap !== 0n;
  }

  /** Address of a register; `index` picks one of several of a kind. */
  addressOf(layout: Layout<string>, index = 0): bigint {
    return this.base + this.#offsets.get(layout)! + BigInt(index * layout.bytes);
  }

  /** A register's words, low first. */
  readWords(layout: Layout<string>, index = 0): readonly bigint[] {
    const at = this.addressOf(layout, index);
    if (layout.bytes === 4) return [this.#platform.readMmio(at, 4)];
    const count = layout.bytes / 8;
    return Array.from({ length: count }, (_, i) => this.#platform.readMmio(at + BigInt(i * 8), 8));
  }

  /** A register's fields. */
  read<Name extends string>(layout: Layout<Name>, index = 0): Fields<Name> {
    return layout.decode(this.readWords(layout, index));
  }

  /** Writes a whole register. */
  write(layout: Layout<string>, value: bigint): void {
    this.#platform.writeMmio(this.addressOf(layout), layout.bytes as AccessWidth, value);
  }

  /** Writes 32 bits at an address. */
  write32(address: bigint, value: bigint): void {
    this.#platform.writeMmio(address, 4, value);
  }

  /** Looks at a register until `done` holds. @returns ETIMEDOUT when it never does */
  poll<Name extends string>(
    layout: Layout<Name>,
    done: (fields: Fields<Name>) => boolean,
  ): Outcome<undefined> {
    for (let i = 0; i < POLL_LIMIT; i++) if (done(this.read(layout))) return DONE;
    return fail("ETIMEDOUT");
  }

  /**
   * Gives one command, leaving everything else as it is, and waits for its
   * status bit.
   *
   * @param on the state to reach; of one-shot commands always `true`
   */
  command(
    bit: keyof typeof GCMD.fields,
    status: keyof typeof GSTS.fields,
    on: boolean,
  ): Outcome<undefined> {
    const mask = GCMD.fields[bit].mask;
    const kept = this.readWords(GSTS)[0]! & LEVELS;
    this.write(GCMD, on ? kept | mask : kept & ~mask);
    return this.poll(GSTS, (fields) => (fields[status] === 1n) === on);
  }
}
