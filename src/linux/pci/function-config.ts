import type { PciCapability } from "../../hardware/pci/spec/capabilities.ts";
import type { Platform } from "../../hardware/platform/index.ts";
import type { Field, Layout } from "../../struct/layout.ts";

const COMMAND = 4;
const CAPABILITIES_POINTER = 0x34;
const CAPABILITIES_LIST = 1 << 20;
const FIRST_EXTENDED = 0x100;
/** Capabilities that fit in either list: more of them is a loop. */
const LONGEST_LIST = 1024;

/** A function's configuration space, by structures and fields. */
export class FunctionConfig {
  readonly segment: number;
  /** Requester ID. */
  readonly source: number;
  readonly #platform: Platform;
  readonly #offsets = new Map<object, number | undefined>();

  constructor(platform: Platform, segment: number, source: number) {
    this.#platform = platform;
    this.segment = segment;
    this.source = source;
  }

  /** Reads 32 bits at a multiple of 4. */
  read(offset: number): number {
    return this.#platform.readConfig(this.segment, this.source, offset, 4);
  }

  /** Sets bits 15:0 of the command register to what is set in `bits`, beside what is set already. */
  enable(bits: number): void {
    const command = (this.read(COMMAND) & 0xffff) | bits;
    this.#platform.writeConfig(this.segment, this.source, COMMAND, 2, command);
  }

  /** Whether somebody answers. */
  get isPresent(): boolean {
    return (this.read(0) & 0xffff) !== 0xffff;
  }

  /** Where a capability is; `undefined` when the function does not have it. */
  offsetOf(
    capability: Pick<PciCapability<string>, "id" | "extended" | "layout">,
  ): number | undefined {
    const { layout } = capability;
    if (!this.#offsets.has(layout)) {
      this.#offsets.set(
        layout,
        capability.extended ? this.#findExtended(capability.id) : this.#find(capability.id),
      );
    }
    return this.#offsets.get(layout);
  }

  #find(id: number): number | undefined {
    if ((this.read(4) & CAPABILITIES_LIST) === 0) return undefined;
    let at = this.read(CAPABILITIES_POINTER) & 0xfc;
    for (let i = 0; at !== 0 && i < LONGEST_LIST; i++) {
      const header = this.read(at);
      if ((header & 0xff) === id) return at;
      at = (header >>> 8) & 0xfc;
    }
    return undefined;
  }

  #findExtended(id: number): number | undefined {
    let at = FIRST_EXTENDED;
    for (let i = 0; at >= FIRST_EXTENDED && i < LONGEST_LIST; i++) {
      const header = this.read(at);
      if (header === 0 || header === 0xffff_ffff) return undefined;
      if ((header & 0xffff) === id) return at;
      at = (header >>> 20) & 0xffc;
    }
    return undefined;
  }

  /** A field of the header; `layout` begins at offset 0. */
  header<Name extends string>(layout: Layout<Name>, name: Name): number {
    return this.#get(0, layout.fields[name]);
  }

  /** A field of a capability; 0 when the function does not have it. */
  get<Name extends string>(capability: PciCapability<Name>, name: Name): number {
    const at = this.offsetOf(capability);
    return at === undefined ? 0 : this.#get(at, capability.layout.fields[name]);
  }

  #get(at: number, field: Field): number {
    return (this.read(at + field.dword * 4) & field.dmask) >>> field.dshift;
  }

  /** Writes fields that lie in one 32-bit word, in one access; the others keep their values. */
  set<Name extends string>(
    capability: PciCapability<Name>,
    values: { readonly [N in Name]?: number },
  ): void {
    const at = this.offsetOf(capability);
    if (at === undefined) return;
    const fields = Object.values<Field>(capability.layout.fields);
    const given = fields.filter(({ name }) => values[name as Name] !== undefined);
    const { dword } = given[0]!;
    let word = this.read(at + dword * 4);
    for (const field of fields) {
      // What is cleared by writing 1 must not be written back.
      if (field.dword === dword && field.access === "w1c") word &= ~field.dmask;
    }
    for (const { name, dmask, dshift } of given) {
      word = (word & ~dmask) | ((values[name as Name]! << dshift) & dmask);
    }
    this.#platform.writeConfig(this.segment, this.source, at + dword * 4, 4, word >>> 0);
  }
}
