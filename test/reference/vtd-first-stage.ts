import { bit, bits, inInterruptRange, Refusal, type Walk } from "./vtd-machine.ts";
import {
  makeDirty,
  type SecondStage,
  type SecondStagePage,
  secondStage,
  setBits,
} from "./vtd-second-stage.ts";

/** Where and how a first stage walks. */
export interface FirstStage {
  readonly root: bigint;
  readonly levels: number;
  /** EAFE: extended-accessed flags. */
  readonly extendedAccessed: boolean;
  /** PWSNP. */
  readonly snooped: boolean;
  /** Whether the request is privileged. */
  readonly privileged: boolean;
  /** WPE. */
  readonly protectsSupervisor: boolean;
  readonly domain: number;
  readonly pasid: number;
  /** The second stage under it, when nested. */
  readonly under: SecondStage | undefined;
}

export interface FirstStagePage {
  readonly address: bigint;
  readonly pageLg2: number;
}

const ADDRESS = 0x000f_ffff_ffff_f000n;
const ACCESSED = 1n << 5n;
const DIRTY = 1n << 6n;
const EXTENDED_ACCESSED = 1n << 10n;

/** VTD-FS-01: bits 63 to `width` - 1 are all equal. */
const isCanonical = (address: bigint, width: number): boolean => {
  const upper = address >> BigInt(width - 1);
  return upper === 0n || upper === (1n << BigInt(64 - width + 1)) - 1n;
};

/** VTD-FS-03 */
const hasReservedBits = (walk: Walk, entry: bigint, level: number): boolean => {
  const { cap, hostAddressWidth } = walk.machine;
  if (hostAddressWidth <= 51 && bits(entry, 51, hostAddressWidth) !== 0n) return true;
  if (!bit(entry, 7)) return false;
  if (level === 4 || level === 3) return true;
  if (level === 2) return !bit(cap, 56) || bits(entry, 29, 13) !== 0n;
  if (level === 1) return bits(entry, 20, 13) !== 0n;
  return false;
};

/** VTD-FS-07 to 09, VTD-NEST-03 and 05: sets `wanted` in the entry at `address`, where it is not set. */
const updateFlags = (
  walk: Walk,
  stage: FirstStage,
  address: bigint,
  entry: bigint,
  wanted: bigint,
  level: number,
  page: SecondStagePage | undefined,
): void => {
  if ((entry & wanted) === wanted) return;
  const { unsnoopedUpdates, erratum772415 } = walk.machine;
  if (!stage.snooped && !unsnoopedUpdates) throw new Refusal(0x90, 1, level);
  if (page !== undefined) {
    walk.updateReads += page.reads;
    const skipsPermission = erratum772415 && stage.snooped;
    if (!page.write && !skipsPermission) throw new Refusal(0x77, 1, level);
    if (stage.under?.flags) makeDirty(walk, page.leaf);
  }
  if (!setBits(walk, address, wanted)) throw new Refusal(0x91, 1, level);
};

/** VTD-FS-04 to 06, at the leaf: what all entries together permit. */
const checkPermissions = (
  walk: Walk,
  stage: FirstStage,
  user: boolean,
  write: boolean,
  execute: boolean,
  level: number,
): void => {
  const { asked, request } = walk;
  if (!user && !stage.privileged) throw new Refusal(0x81, 1, level);
  if (asked.write && !write) {
    if (request.type !== "translation-request") throw new Refusal(0x85, 1, level);
    asked.write = false;
  }
  if (asked.execute && !execute) throw new Refusal(0x82, 1, level);
};

/** Translates the request's address by the first stage; guest physical when nested. */
export const firstStage = (walk: Walk, stage: FirstStage): FirstStagePage => {
  const input = walk.request.address;
  if (!isCanonical(input, stage.levels === 5 ? 57 : 48)) throw new Refusal(0x80, 1);
  const accessed = stage.extendedAccessed ? ACCESSED | EXTENDED_ACCESSED : ACCESSED;
  let table = stage.root;
  let user = true;
  let writable = true;
  let executable = true;
  for (let level = stage.levels - 1; ; level--) {
    const top = level === stage.levels - 1;
    const index = (input >> BigInt(12 + 9 * level)) & 0x1ffn;
    const inTable = table + index * 8n;
    const page =
      stage.under && secondStage(walk, stage.under, inTable, { what: "table", level, top });
    const address = page === undefined ? inTable : page.address;
    const { domain, pasid } = stage;
    walk.reads++;
    const entry = walk.machine.memory.read64(address, {
      structure: "stage-1",
      base: address,
      input,
      domain,
      pasid,
      level,
    });
    if (entry === undefined) throw new Refusal(top ? 0x73 : 0x70, 1, level);
    if (!bit(entry, 0)) throw new Refusal(0x71, 1, level);
    if (hasReservedBits(walk, entry, level)) throw new Refusal(0x72, 1, level);
    writable &&= bit(entry, 1);
    user &&= bit(entry, 2);
    executable &&= !bit(entry, 63);
    if (level > 0 && !bit(entry, 7)) {
      updateFlags(walk, stage, address, entry, accessed, level, page);
      table = entry & ADDRESS;
      continue;
    }
    const write = writable || (stage.privileged && !stage.protectsSupervisor);
    const execute = executable || !bit(walk.machine.ecap, 30);
    checkPermissions(walk, stage, user, write, execute, level);
    const pageLg2 = 12 + 9 * level;
    const offset = (1n << BigInt(pageLg2)) - 1n;
    const output = (entry & ADDRESS & ~offset) | (input & offset);
    if (stage.under === undefined && inInterruptRange(output)) throw new Refusal(0x87, 1, level);
    updateFlags(
      walk,
      stage,
      address,
      entry,
      walk.asked.write ? accessed | DIRTY : accessed,
      level,
      page,
    );
    return { address: output, pageLg2 };
  }
};
