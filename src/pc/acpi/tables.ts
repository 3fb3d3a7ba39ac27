import type { Layout } from "../../struct/layout.ts";
import {
  ECAM_BASE,
  IO_APIC_BASE,
  LOCAL_APIC_BASE,
  PCI_LINE_IRQS,
  POWER_MANAGEMENT,
  POWER_MANAGEMENT_IRQ,
  UNIT_BASE,
} from "../memory-map.ts";
import { describeMachine } from "./dsdt.ts";
import * as spec from "./structures.ts";

/** A remapping unit as firmware describes it. */
export interface UnitDescription {
  /** First address of its registers. */
  readonly base: bigint;
  /** Bytes of registers: a page, or 2^N of them. */
  readonly length: number;
  readonly hostAddressWidth: number;
  readonly remapsInterrupts: boolean;
  /** Requester IDs of the functions it serves; `all` for those that no other unit does. */
  readonly serves: "all" | readonly { readonly requesterId: number; readonly isBridge: boolean }[];
}

/** What the tables tell of the machine. */
export interface MachineDescription {
  readonly units: readonly UnitDescription[];
  /** The last bus that ECAM reaches. */
  readonly lastBus: number;
}

const TEXT = new TextEncoder();

/** Text as the integer that its bytes are, padded with spaces. */
const text = (value: string, bytes: number): bigint =>
  TEXT.encode(value.padEnd(bytes)).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

const OEM_ID = text("SOFTIO", 6);
const OEM_TABLE_ID = text("SOFTPC", 8);
const CREATOR = text("SOFT", 4);

type Values<Name extends string> = { readonly [N in Name]?: bigint | number | boolean };

/** A structure as bytes. */
const bytesOf = <Name extends string>(layout: Layout<Name>, values: Values<Name>): Uint8Array =>
  new Uint8Array(BigUint64Array.from(layout.encode(values)).buffer).subarray(0, layout.bytes);

const joined = (...parts: readonly Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

/** What must be at the checksum's place for all bytes to add up to 0. */
const checksum = (bytes: Uint8Array): number => -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;

const CHECKSUM_AT = 9;

const table = (signature: string, revision: number, ...parts: readonly Uint8Array[]) => {
  const body = joined(...parts);
  const header = bytesOf(spec.TABLE_HEADER, {
    signature: text(signature, 4),
    length: spec.TABLE_HEADER.bytes + body.length,
    revision,
    oemId: OEM_ID,
    oemTableId: OEM_TABLE_ID,
    oemRevision: 1,
    creatorId: CREATOR,
    creatorRevision: 1,
  });
  const bytes = joined(header, body);
  bytes[CHECKSUM_AT] = checksum(bytes);
  return bytes;
};

const fadt = (firmwareControl: number, dsdt: number): Uint8Array =>
  table(
    "FACP",
    1,
    bytesOf(spec.FIXED_DESCRIPTION, {
      firmwareControl,
      dsdt,
      interrupt: POWER_MANAGEMENT_IRQ,
      event: POWER_MANAGEMENT.event,
      control: POWER_MANAGEMENT.control,
      timer: POWER_MANAGEMENT.timer,
      generalPurpose: POWER_MANAGEMENT.generalPurpose,
      eventLength: 4,
      controlLength: 2,
      timerLength: 4,
      generalPurposeLength: 4,
      c2Latency: 0xfff,
      c3Latency: 0xfff,
      writeBack: 1,
      processorC1: 1,
      noPowerButton: 1,
      noSleepButton: 1,
      noClockWake: 1,
    }),
  );

const ACTIVE_HIGH = 1;
const LEVEL = 3;

const madt = (): Uint8Array => {
  const levels = [...new Set([POWER_MANAGEMENT_IRQ, ...PCI_LINE_IRQS])].map((irq) =>
    bytesOf(spec.INTERRUPT_OVERRIDE, {
      type: 2,
      length: spec.OVERRIDE_BYTES,
      source: irq,
      interrupt: irq,
      polarity: ACTIVE_HIGH,
      trigger: LEVEL,
    }).subarray(0, spec.OVERRIDE_BYTES),
  );
  return table(
    "APIC",
    1,
    bytesOf(spec.INTERRUPT_CONTROLLERS, { localApic: LOCAL_APIC_BASE, pcCompatible: 1 }),
    bytesOf(spec.PROCESSOR_APIC, { type: 0, length: spec.PROCESSOR_APIC.bytes, enabled: 1 }),
    bytesOf(spec.IO_APIC, { type: 1, length: spec.IO_APIC.bytes, address: IO_APIC_BASE }),
    ...levels,
  );
};

const mcfg = (lastBus: number): Uint8Array =>
  table("MCFG", 1, bytesOf(spec.ENHANCED_CONFIGURATION, { base: BigInt(ECAM_BASE), lastBus }));

const ENDPOINT_SCOPE = 1;
const BRIDGE_SCOPE = 2;

const remappingUnit = ({ base, length, serves }: UnitDescription): Uint8Array => {
  const scopes = (serves === "all" ? [] : serves).map(({ requesterId, isBridge }) =>
    bytesOf(spec.DEVICE_SCOPE, {
      type: isBridge ? BRIDGE_SCOPE : ENDPOINT_SCOPE,
      length: spec.DEVICE_SCOPE.bytes,
      startBus: requesterId >>> 8,
      device: (requesterId >>> 3) & 0x1f,
      function: requesterId & 7,
    }),
  );
  return joined(
    bytesOf(spec.REMAPPING_UNIT, {
      length: spec.REMAPPING_UNIT.bytes + scopes.length * spec.DEVICE_SCOPE.bytes,
      includeAll: serves === "all",
      sizeLg2: Math.ceil(Math.log2(length / 4096)),
      base,
    }),
    ...scopes,
  );
};

/**
 * The DMAR table: the unit that serves all the rest comes last, as §8.3 wants it.
 *
 * @param units at least one
 */
export const dmarTable = (units: readonly UnitDescription[]): Uint8Array => {
  const ordered = [...units].sort(
    (a, b) => Number(a.serves === "all") - Number(b.serves === "all"),
  );
  return table(
    "DMAR",
    1,
    bytesOf(spec.DMA_REMAPPING, {
      hostAddressWidth: Math.max(...units.map((unit) => unit.hostAddressWidth)) - 1,
      interruptRemapping: units.every((unit) => unit.remapsInterrupts),
    }),
    ...ordered.map(remappingUnit),
  );
};

const addressesOf = (addresses: readonly number[]): Uint8Array =>
  new Uint8Array(Uint32Array.from(addresses).buffer);

/** Tables as they lie in memory, and where the first one is found. */
export interface FirmwareTables {
  readonly rsdp: number;
  readonly bytes: Uint8Array;
}

/**
 * Every table of the machine, as one block of memory.
 *
 * @param base its address, a multiple of 64; the RSDP is there
 */
export const firmwareTables = (machine: MachineDescription, base: number): FirmwareTables => {
  const blocks: Uint8Array[] = [new Uint8Array(64)];
  let end = base + 64;
  const place = (bytes: Uint8Array): number => {
    const at = end;
    const padded = new Uint8Array(Math.ceil(bytes.length / 64) * 64);
    padded.set(bytes);
    blocks.push(padded);
    end += padded.length;
    return at;
  };
  const unitsLength = machine.units.reduce(
    (last, unit) => Math.max(last, Number(unit.base) + unit.length - UNIT_BASE),
    0,
  );
  const facs = place(bytesOf(spec.FIRMWARE_CONTROL, { signature: text("FACS", 4), length: 64 }));
  const dsdt = place(table("DSDT", 1, describeMachine(machine.lastBus, unitsLength)));
  const listed = [fadt(facs, dsdt), madt(), mcfg(machine.lastBus)];
  if (machine.units.length > 0) listed.push(dmarTable(machine.units));
  const rsdt = place(table("RSDT", 1, addressesOf(listed.map(place))));
  const pointer = bytesOf(spec.ROOT_POINTER, {
    signature: text("RSD PTR ", 8),
    oemId: OEM_ID,
    rsdt,
  });
  pointer[8] = checksum(pointer);
  blocks[0]!.set(pointer);
  return { rsdp: base, bytes: joined(...blocks) };
};
