import { bit, bits, inInterruptRange, Refusal, type Walk } from "./vtd-machine.ts";

/** Where and how a second stage walks. */
export interface SecondStage {
  readonly root: bigint;
  readonly levels: number;
  /** SSADE: accessed and dirty flags. */
  readonly flags: boolean;
  /** PWSNP. */
  readonly snooped: boolean;
  readonly domain: number;
}

/** Whom a second stage translates for. */
export type Client =
  | { readonly what: "page" }
  /** A stage-1 table at a stage-1 level. */
  | { readonly what: "table"; readonly level: number; readonly top: boolean };

export interface SecondStagePage {
  readonly address: bigint;
  readonly pageLg2: number;
  readonly read: boolean;
  readonly write: boolean;
  /** Physical address of the leaf entry, to make the page dirty. */
  readonly leaf: bigint;
  /** Entries read for it. */
  readonly reads: number;
}

const ADDRESS = 0x000f_ffff_ffff_f000n;
const ACCESSED = 1n << 8n;
const DIRTY = 1n << 9n;

/** VTD-SS-04 */
const hasReservedBits = (walk: Walk, entry: bigint, level: number, leaf: boolean): boolean => {
  const { cap, ecap, hostAddressWidth } = walk.machine;
  if (hostAddressWidth <= 51 && bits(entry, 51, hostAddressWidth) !== 0n) return true;
  if (bit(entry, 62)) return true;
  if (bit(entry, 11) && !(leaf && bit(ecap, 7))) return true;
  if (bit(entry, 7)) {
    if (level === 4 || level === 3) return true;
    if (level === 2 && !bit(cap, 35)) return true;
    if (level === 1 && !bit(cap, 34)) return true;
  }
  if (leaf && level === 2 && bits(entry, 29, 12) !== 0n) return true;
  if (leaf && level === 1 && bits(entry, 20, 12) !== 0n) return true;
  return false;
};

/** VTD-SS-05, VTD-NEST-02: what the page lets the client do. Returns only when that is enough. */
const checkPermissions = (
  walk: Walk,
  client: Client,
  read: boolean,
  write: boolean,
  level: number,
): void => {
  if (client.what === "table") {
    if (!read) throw new Refusal(client.top ? 0x75 : 0x76, 1, client.level);
    return;
  }
  const { asked, request, scalable } = walk;
  if (scalable && !read && !write) throw new Refusal(0x79, 2, level);
  if (!scalable && asked.write && !read && !write) throw new Refusal(0x05, 2, level);
  if (asked.read && !read) throw new Refusal(scalable ? 0x86 : 0x06, 2, level);
  if (asked.write && !write) {
    if (request.type !== "translation-request") throw new Refusal(scalable ? 0x85 : 0x05, 2, level);
    asked.write = false;
  }
};

/** VTD-SS-06: sets `wanted` in the entry at `address`, where it is not set. */
const updateFlags = (
  walk: Walk,
  stage: SecondStage,
  address: bigint,
  entry: bigint,
  wanted: bigint,
  level: number,
): void => {
  if (!stage.flags || (entry & wanted) === wanted) return;
  if (!stage.snooped && !walk.machine.unsnoopedUpdates) throw new Refusal(0x7c, 2, level);
  setBits(walk, address, wanted);
};

/** Sets flags in the entry as it is now; whether memory took it. */
export const setBits = (walk: Walk, address: bigint, flags: bigint): boolean => {
  const { memory } = walk.machine;
  const now = memory.read64(address);
  return now !== undefined && memory.write64(address, now | flags);
};

/** Makes the page dirty through its leaf entry at `leaf`. */
export const makeDirty = (walk: Walk, leaf: bigint): void => {
  const now = walk.machine.memory.read64(leaf);
  if (now !== undefined && (now & DIRTY) === 0n) setBits(walk, leaf, DIRTY);
};

/** VTD-SS-01 */
const isBeyond = (walk: Walk, stage: SecondStage, address: bigint): boolean => {
  const width = 12 + 9 * stage.levels;
  const unit = Number(bits(walk.machine.cap, 21, 16)) + 1;
  return address >= 1n << BigInt(width) || address >= 1n << BigInt(unit);
};

const refuseBeyond = (walk: Walk, client: Client): never => {
  if (client.what === "table") throw new Refusal(0x74, 1, client.level);
  throw new Refusal(walk.scalable ? 0x84 : 0x04, 2);
};

const refuseUnreadable = (walk: Walk, top: boolean, level: number): never => {
  if (top) throw new Refusal(walk.scalable ? 0x7b : 0x03, 2, level);
  throw new Refusal(walk.scalable ? 0x78 : 0x07, 2, level);
};

const refuseNotPresent = (walk: Walk, client: Client, level: number): never => {
  if (client.what === "table") throw new Refusal(client.top ? 0x75 : 0x76, 1, client.level);
  if (walk.scalable) throw new Refusal(0x79, 2, level);
  throw new Refusal(walk.asked.write ? 0x05 : 0x06, 2, level);
};

/** Translates `input` by the second stage. */
export const secondStage = (
  walk: Walk,
  stage: SecondStage,
  input: bigint,
  client: Client,
): SecondStagePage => {
  if (isBeyond(walk, stage, input)) refuseBeyond(walk, client);
  let table = stage.root;
  let read = true;
  let write = true;
  for (let level = stage.levels - 1; ; level--) {
    const index = (input >> BigInt(12 + 9 * level)) & 0x1ffn;
    const address = table + index * 8n;
    walk.reads++;
    const entry = walk.machine.memory.read64(address, {
      structure: "stage-2",
      base: address,
      input,
      domain: stage.domain,
      forTable: client.what === "table",
      level,
    });
    if (entry === undefined) return refuseUnreadable(walk, level === stage.levels - 1, level);
    if (!bit(entry, 0) && !bit(entry, 1)) refuseNotPresent(walk, client, level);
    const leaf = level === 0 || bit(entry, 7);
    if (hasReservedBits(walk, entry, level, leaf))
      throw new Refusal(walk.scalable ? 0x7a : 0x0c, 2, level);
    read &&= bit(entry, 0);
    write &&= bit(entry, 1);
    if (!leaf) {
      updateFlags(walk, stage, address, entry, ACCESSED, level);
      table = entry & ADDRESS;
      continue;
    }
    checkPermissions(walk, client, read, write, level);
    const pageLg2 = 12 + 9 * level;
    const offset = (1n << BigInt(pageLg2)) - 1n;
    const output = (entry & ADDRESS & ~offset) | (input & offset);
    if (inInterruptRange(output)) throw new Refusal(walk.scalable ? 0x87 : 0x0e, 2, level);
    const writes = client.what === "page" && walk.asked.write;
    updateFlags(walk, stage, address, entry, writes ? ACCESSED | DIRTY : ACCESSED, level);
    const reads = stage.levels - level;
    return { address: output, pageLg2, read, write, leaf: address, reads };
  }
};
