import type { Access, ReferenceMachine } from "../reference/vtd-machine.ts";
import { inInterruptRange } from "../reference/vtd-machine.ts";
import { referenceTranslate } from "../reference/vtd-reference.ts";
import { REGISTER } from "./layout.ts";
import type { HostileMachine } from "./machine.ts";

/** A transfer that a device is told to make. */
export interface Transfer {
  readonly source: number;
  readonly address: bigint;
  readonly length: number;
  readonly pasid: number | undefined;
  readonly access: Access;
  /** What a write writes. */
  readonly bytes: Uint8Array;
}

/** What the guest's last commands made of the unit. */
export interface Latched {
  readonly enabled: boolean;
  readonly rtaddr: bigint;
}

const GRANULE = 0x1f_ffffn;

/** Whether `address` is protected, read off the registers. */
export const isProtected = (machine: HostileMachine, address: bigint): boolean => {
  if ((machine.read32(REGISTER.PMEN) & 0x8000_0000) === 0) return false;
  const inside = (base: bigint, limit: bigint): boolean =>
    address >= base && address <= (limit | GRANULE);
  return (
    inside(machine.read(REGISTER.PLMBASE, 4), machine.read(REGISTER.PLMLIMIT, 4)) ||
    inside(machine.read(REGISTER.PHMBASE, 8), machine.read(REGISTER.PHMLIMIT, 8))
  );
};

/** Memory as it will be: what changes lies over what is. */
class FutureMemory {
  /** Quadwords that change, by address. */
  readonly changed = new Map<bigint, bigint>();
  readonly #machine: HostileMachine;

  constructor(machine: HostileMachine) {
    this.#machine = machine;
  }

  read64(address: bigint): bigint | undefined {
    return this.changed.get(address) ?? this.#machine.ram.read64(address);
  }

  write64(address: bigint, value: bigint): boolean {
    if (this.#machine.ram.read64(address) === undefined) return false;
    this.changed.set(address, value);
    return true;
  }

  writeByte(address: bigint, value: number): boolean {
    const old = this.read64(address & ~7n);
    if (old === undefined) return false;
    const shift = (address & 7n) * 8n;
    return this.write64(address & ~7n, (old & ~(0xffn << shift)) | (BigInt(value) << shift));
  }
}

/**
 * The quadwords that a transfer may change in memory, and what they will hold:
 * from the tables as they are, by the reference, for a unit without caches.
 */
export const predictChanges = (
  machine: HostileMachine,
  latched: Latched,
  transfer: Transfer,
): ReadonlyMap<bigint, bigint> => {
  const future = new FutureMemory(machine);
  const { cap, ecap, hostAddressWidth, unsnoopedUpdates } = machine.unit.capabilities;
  const unit: ReferenceMachine = {
    cap,
    ecap,
    hostAddressWidth,
    erratum772415: false,
    unsnoopedUpdates,
    memory: future,
    ...latched,
  };
  const { source, pasid, access, length, bytes } = transfer;
  if (pasid === undefined && (access.execute || access.privileged)) return future.changed;
  for (let done = 0; done < length; ) {
    const address = BigInt.asUintN(64, transfer.address + BigInt(done));
    const count = Math.min(4096 - Number(address & 0xfffn), length - done);
    const isMessage =
      access.write &&
      pasid === undefined &&
      count === 4 &&
      (address & 3n) === 0n &&
      inInterruptRange(address);
    // Behind the range there is no memory, so that nothing follows a message.
    if (isMessage) break;
    const found = referenceTranslate(unit, {
      source,
      pasid,
      address,
      access,
      type: "untranslated",
    });
    if (!found.ok || isProtected(machine, found.address)) break;
    if (future.read64(found.address & ~7n) === undefined) break;
    for (let i = 0; access.write && i < count; i++)
      future.writeByte(found.address + BigInt(i), bytes[done + i]!);
    done += count;
  }
  return future.changed;
};
