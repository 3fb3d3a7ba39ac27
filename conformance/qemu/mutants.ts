/** A unit with one thing wrong. */
export interface Mutant {
  readonly name: string;
  /** Below `src/hardware/vtd/`. */
  readonly file: string;
  /** Text that is there once, and what stands in its place. */
  readonly from: string;
  readonly to: string;
}

/** Units that a campaign must tell from QEMU's. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "level: a table's index is taken one bit too low",
    file: "entry-checks.ts",
    from: "if (level < 2) return (lo >>> (12 + 9 * level)) & 511;",
    to: "if (level < 2) return (lo >>> (12 + 8 * level)) & 511;",
  },
  {
    name: "order: reserved bits of a root entry are looked at before P",
    file: "device-tables.ts",
    from: "if (!root.has(ROOT_ENTRY.fields.P)) return 0x01;",
    to: "if (root.violatesReserved) return 0x0a;\n    if (!root.has(ROOT_ENTRY.fields.P)) return 0x01;",
  },
  {
    name: "reserved mask: the lowest word of a structure is not looked at",
    file: "structure-reader.ts",
    from: "let bad = 0;\n    for (let i = 0;",
    to: "let bad = 0;\n    for (let i = 1;",
  },
  {
    name: "reason: a read without permission is recorded as a write",
    file: "legacy-codes.ts",
    from: "[0x86, 0x06],",
    to: "[0x86, 0x05],",
  },
  {
    name: "reason: a device is refused for its context although the root entry is at fault",
    file: "device-tables.ts",
    from: "if (root.violatesReserved) return 0x0a;",
    to: "if (root.violatesReserved) return 0x0b;",
  },
  {
    name: "tag: invalidating a domain forgets another",
    file: "invalidator.ts",
    from: "spaces.forgetDomain(what.domain);",
    to: "spaces.forgetDomain(what.domain ^ 1);",
  },
  {
    name: "granularity: a page is not invalidated",
    file: "invalidator.ts",
    from: "this.#parts.iotlb.drop(tag, hi, lo, mask);",
    to: "",
  },
  {
    name: "granularity: the address mask of a page invalidation does not count",
    file: "invalidator.ts",
    from: "this.#parts.iotlb.drop(tag, hi, lo, mask);",
    to: "this.#parts.iotlb.drop(tag, hi, lo, 0);",
  },
  {
    name: "queue: the head moves past a bad descriptor",
    file: "invalidation-queue.ts",
    from: 'if (decoded.kind === "error") return this.#fail(decoded.info);',
    to: 'if (decoded.kind === "error") {\n      registers.set(IQH, "QH", ((head + this.#step) % this.#bytes) / 16);\n      return this.#fail(decoded.info);\n    }',
  },
  {
    name: "queue: a wait's status goes to the next word",
    file: "descriptor-decoder.ts",
    from: 'address: values["STADDR"]! << 2n',
    to: 'address: (values["STADDR"]! << 2n) + 4n',
  },
  {
    name: "queue: reserved bits of descriptors are not looked at",
    file: "descriptor-decoder.ts",
    from: "(word & reserved[i]!) !== 0n",
    to: "(word & reserved[i]!) === -1n",
  },
  {
    name: "faults: no overflow is reported",
    file: "fault-recording.ts",
    from: 'registers.set(FSTS, "PFO", 1);',
    to: "",
  },
  {
    name: "faults: a source with a fault pending gets no second one in",
    file: "fault-recording.ts",
    from: 'registers.get(FRCD, "SID", i) === BigInt(fault.source)',
    to: 'registers.get(FRCD, "SID", i) !== BigInt(fault.source)',
  },
  {
    name: "faults: clearing the record leaves FSTS.PPF set",
    file: "fault-recording.ts",
    from: 'registers.set(FSTS, "PPF", pending);',
    to: "",
  },
  {
    name: "flags: a write marks nothing dirty",
    file: "first-stage.ts",
    from: "((access & WRITE) !== 0 ? DIRTY : 0)",
    to: "0",
  },
  {
    name: "level: a large page is taken for a smaller one",
    file: "quick-walk.ts",
    from: "const pageLg2 = 12 + 9 * level;\n      const offset",
    to: "const pageLg2 = 12 + 8 * level;\n      const offset",
  },
  {
    name: "width: addresses beyond it are translated",
    file: "second-stage.ts",
    from: "if (!this.hasWidthFor(target, hi)) return 0x84;",
    to: "",
  },
  {
    name: "events: unmasking does not send what waits",
    file: "event-message.ts",
    from: "registers.onWrite(at.control, () => this.#sendIfPossible());",
    to: "",
  },
  {
    name: "interrupts: the subhandle is added whether SHV says so or not",
    file: "interrupt-remapping.ts",
    from: "handle + (withSubhandle ? message.data & 0xffff : 0)",
    to: "handle + (message.data & 0xffff)",
  },
  {
    name: "interrupts: one bit less of the source is compared",
    file: "interrupt-remapping.ts",
    from: "const QUALIFIERS = [0b000,",
    to: "const QUALIFIERS = [0b001,",
  },
  {
    name: "registers: what is cleared by writing 1 is cleared by any write",
    file: "register-file.ts",
    from: "& ~(this.#clearable[at]! & value)",
    to: "& ~this.#clearable[at]!",
  },
  {
    name: "registers: an invalidation reports another granularity than it performed",
    file: "register-invalidation.ts",
    from: 'registers.set(IOTLB, "IAIG", performed);',
    to: 'registers.set(IOTLB, "IAIG", 1);',
  },
];
