/**
 * VT-d translation, read aloud: `docs/spec/vtd.md` from top to bottom, in
 * `bigint`, with every bit position written where it is used. Slow on purpose.
 * It shares nothing with `src/hardware/vtd` but the rules.
 */
import { firstStage } from "./vtd-first-stage.ts";
import {
  bit,
  bits,
  inInterruptRange,
  type ReferenceMachine,
  type ReferenceRequest,
  type ReferenceResult,
  Refusal,
  readStructure,
  type Silence,
  type Walk,
} from "./vtd-machine.ts";
import { type SecondStage, secondStage } from "./vtd-second-stage.ts";

export type {
  ReferenceMachine,
  ReferenceRequest,
  ReferenceResult,
} from "./vtd-machine.ts";

/** The codes that answer a translation request with no permission (VTD-REQ-04). */
export const RECOVERABLE: readonly number[] = [
  0x05, 0x06, 0x51, 0x59, 0x70, 0x71, 0x72, 0x73, 0x79, 0x80, 0x81, 0x82, 0x85, 0x86,
];

/** VTD-FAULT-02: always reported. */
const isUnqualified = (code: number): boolean =>
  [0x01, 0x08, 0x09, 0x0a, 0x40, 0x50, 0x58].includes(code) || (code >= 0x30 && code <= 0x3a);

const silence = (walk: Walk, code: number): Silence | undefined => {
  if (code === 0) return "abort-dma";
  if (walk.request.type === "translation-request" && RECOVERABLE.includes(code))
    return "recoverable";
  return walk.fpd && !isUnqualified(code) ? "fpd" : undefined;
};

/** What a request's address passes as when nothing translates it; it is granted what it asked (VTD-REQ-03). */
const untranslated = (walk: Walk): ReferenceResult => ({
  ok: true,
  address: walk.request.address,
  pageLg2: 64,
  granted: { ...walk.asked },
  reads: walk.reads,
  updateReads: walk.updateReads,
});

/** Whether any bit of `value` at or above the host address width is set. */
const aboveHost = (machine: ReferenceMachine, value: bigint): boolean =>
  value >> BigInt(machine.hostAddressWidth) !== 0n;

const pointer = (value: bigint): bigint => value & 0xffff_ffff_ffff_f000n;

/** Translates `request`, accessed and dirty flags in memory included. */
export const referenceTranslate = (
  machine: ReferenceMachine,
  request: ReferenceRequest,
): ReferenceResult => {
  const { read, write, execute } = request.access;
  const mode = bits(machine.rtaddr, 11, 10);
  const walk: Walk = {
    machine,
    request,
    scalable: mode === 1n,
    reads: 0,
    updateReads: 0,
    fpd: false,
    asked: {
      read: read || request.type === "translation-request",
      write,
      execute: execute && request.pasid !== undefined && bit(machine.ecap, 30),
    },
  };
  try {
    return translate(walk, mode);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    const { code, stage, level } = refusal;
    return {
      ok: false,
      code,
      silenced: silence(walk, code),
      stage,
      level,
      reads: walk.reads,
      updateReads: walk.updateReads,
    };
  }
};

const translate = (walk: Walk, mode: bigint): ReferenceResult => {
  const { machine } = walk;
  if (!machine.enabled) return untranslated(walk);
  // VTD-ROOT-02 and 03
  if (mode === 2n) throw new Refusal(0x30);
  if (mode === 1n && !bit(machine.ecap, 43)) throw new Refusal(0x30);
  if (mode === 3n && !bit(machine.ecap, 52)) throw new Refusal(0x30);
  if (mode === 3n) throw new Refusal(0x00);
  return walk.scalable ? translateScalable(walk) : translateLegacy(walk);
};

/** VTD-REQ-01, once the structures that may silence it have been consulted. */
const refuseInterrupt = (walk: Walk): void => {
  const { pasid, address } = walk.request;
  if (pasid === undefined && inInterruptRange(address))
    throw new Refusal(walk.scalable ? 0x87 : 0x0e);
};

const translateLegacy = (walk: Walk): ReferenceResult => {
  const { machine, request } = walk;
  if (request.pasid !== undefined) throw new Refusal(0x31);
  const bus = BigInt(request.source >> 8);
  const deviceFunction = BigInt(request.source & 0xff);
  // VTD-ROOT-04
  const root = readStructure(walk, pointer(machine.rtaddr) + bus * 16n, 2, { structure: "root" });
  if (root === undefined) throw new Refusal(0x08);
  if (!bit(root[0]!, 0)) throw new Refusal(0x01);
  if (bits(root[0]!, 11, 1) !== 0n || root[1] !== 0n || aboveHost(machine, root[0]!))
    throw new Refusal(0x0a);
  // VTD-CTX-01
  const context = readStructure(walk, pointer(root[0]!) + deviceFunction * 16n, 2, {
    structure: "context",
  });
  if (context === undefined) throw new Refusal(0x09);
  const [low, high] = context as [bigint, bigint];
  walk.fpd ||= bit(low, 1);
  if (!bit(low, 0)) throw new Refusal(0x02);
  if (
    bits(low, 11, 4) !== 0n ||
    aboveHost(machine, low) ||
    bit(high, 7) ||
    bits(high, 63, 24) !== 0n
  ) {
    throw new Refusal(0x0b);
  }
  // VTD-CTX-02
  const type = bits(low, 3, 2);
  const width = bits(high, 2, 0);
  if (type === 3n) throw new Refusal(0x03);
  if (type === 1n && !bit(machine.ecap, 2)) throw new Refusal(0x03);
  if (type === 2n && !bit(machine.ecap, 6)) throw new Refusal(0x03);
  if (!supportsWidth(machine, width)) throw new Refusal(0x03);
  // VTD-CTX-03
  if (type !== 1n && request.type !== "untranslated") throw new Refusal(0x0d);
  refuseInterrupt(walk);
  if (request.type === "translated") return untranslated(walk);
  if (type === 2n) {
    if (aboveHost(machine, request.address)) throw new Refusal(0x04);
    return untranslated(walk);
  }
  return bySecondStage(walk, {
    root: pointer(low),
    levels: Number(width) + 2,
    flags: false,
    snooped: false,
    domain: Number(bits(high, 23, 8)),
  });
};

/** Whether CAP.SAGAW has the bit of an AW field. */
const supportsWidth = (machine: ReferenceMachine, width: bigint): boolean =>
  width <= 4n && bit(machine.cap, 8 + Number(width));

const bySecondStage = (walk: Walk, stage: SecondStage): ReferenceResult => {
  const page = secondStage(walk, stage, walk.request.address, { what: "page" });
  return {
    ok: true,
    address: page.address,
    pageLg2: page.pageLg2,
    granted: { ...walk.asked },
    reads: walk.reads,
    updateReads: walk.updateReads,
  };
};

interface ScalableContext {
  readonly directory: bigint;
  readonly pasid: number;
  readonly privileged: boolean;
}

/** The context entry of a scalable-mode request; `undefined` when the request has been translated already. */
const scalableContext = (walk: Walk): ScalableContext | undefined => {
  const { machine, request } = walk;
  const { ecap } = machine;
  const bus = BigInt(request.source >> 8);
  const deviceFunction = request.source & 0xff;
  // VTD-ROOT-05
  const half = pointer(machine.rtaddr) + bus * 16n + (deviceFunction >= 0x80 ? 8n : 0n);
  const root = readStructure(walk, half, 1, { structure: "root" });
  if (root === undefined) throw new Refusal(0x38);
  if (!bit(root[0]!, 0)) throw new Refusal(0x39);
  if (bits(root[0]!, 11, 1) !== 0n || aboveHost(machine, root[0]!)) throw new Refusal(0x3a);
  // VTD-CTX-04
  const base = pointer(root[0]!) + BigInt(deviceFunction & 0x7f) * 32n;
  const context = readStructure(walk, base, 4, { structure: "context" });
  if (context === undefined) throw new Refusal(0x40);
  const [first, second, third, fourth] = context as [bigint, bigint, bigint, bigint];
  walk.fpd ||= bit(first, 1);
  if (!bit(first, 0)) throw new Refusal(0x41);
  if (bit(first, 2) && !bit(ecap, 2)) throw new Refusal(0x42);
  if (bit(first, 3) && !bit(ecap, 40)) throw new Refusal(0x42);
  if (bit(first, 4) && !bit(ecap, 29)) throw new Refusal(0x42);
  if (bits(first, 8, 5) !== 0n || aboveHost(machine, first)) throw new Refusal(0x42);
  if (bits(second, 19, 0) !== 0n && !bit(ecap, 49)) throw new Refusal(0x42);
  if (bit(second, 20) && !bit(ecap, 53)) throw new Refusal(0x42);
  if (bits(second, 63, 21) !== 0n || third !== 0n || fourth !== 0n) throw new Refusal(0x42);
  // VTD-CTX-07
  if (request.type !== "untranslated" && !bit(first, 2)) throw new Refusal(0x44);
  // VTD-CTX-05
  const limit = 2 ** (Number(bits(first, 11, 9)) + 7) * 64;
  const ridPasid = Number(bits(second, 19, 0));
  if (request.pasid !== undefined) {
    if (!bit(first, 3)) throw new Refusal(0x45);
    const width = Number(bits(ecap, 39, 35)) + 1;
    if (request.pasid >= limit || request.pasid >= 2 ** width) throw new Refusal(0x46);
  } else if (ridPasid >= limit) {
    throw new Refusal(0x48);
  }
  if (request.type === "translated") return undefined;
  return {
    directory: pointer(first),
    pasid: request.pasid ?? ridPasid,
    // VTD-CTX-08
    privileged: request.pasid === undefined ? bit(second, 20) : request.access.privileged,
  };
};

/** The PASID entry's eight quadwords, present and without reserved bits. */
const pasidEntry = (walk: Walk, directory: bigint, pasid: number): bigint[] => {
  const { machine } = walk;
  // VTD-PASID-01
  const slot = readStructure(walk, directory + BigInt(pasid >> 6) * 8n, 1, {
    structure: "directory",
    pasid,
  });
  if (slot === undefined) throw new Refusal(0x50);
  walk.fpd ||= bit(slot[0]!, 1);
  if (!bit(slot[0]!, 0)) throw new Refusal(0x51);
  if (bits(slot[0]!, 11, 2) !== 0n || aboveHost(machine, slot[0]!)) throw new Refusal(0x52);
  // VTD-PASID-02
  const base = pointer(slot[0]!) + BigInt(pasid & 0x3f) * 64n;
  const entry = readStructure(walk, base, 8, { structure: "pasid", pasid });
  if (entry === undefined) throw new Refusal(0x58);
  walk.fpd ||= bit(entry[0]!, 1);
  if (!bit(entry[0]!, 0)) throw new Refusal(0x59);
  if (hasReservedBits(machine, entry)) throw new Refusal(0x5a);
  return entry;
};

/** VTD-PASID-03 */
const hasReservedBits = (machine: ReferenceMachine, entry: readonly bigint[]): boolean => {
  const { ecap } = machine;
  const [first, second, third] = entry as [bigint, bigint, bigint];
  if (bit(first, 5) || bits(first, 11, 10) !== 0n || aboveHost(machine, first)) return true;
  if (bit(first, 9) && !bit(ecap, 45)) return true;
  if (pointer(first) !== 0n && !bit(ecap, 46)) return true;
  if (bits(second, 22, 16) !== 0n || bits(second, 31, 27) !== 0n) return true;
  if (bit(second, 23) && !bit(ecap, 48)) return true;
  if (bit(second, 24) && !bit(ecap, 7)) return true;
  if ((bits(second, 26, 25) !== 0n || bits(second, 63, 32) !== 0n) && !bit(ecap, 25)) return true;
  if (bit(third, 1) || bits(third, 11, 8) !== 0n || aboveHost(machine, third)) return true;
  if (bit(third, 0) && !bit(ecap, 31)) return true;
  if (bit(third, 7) && !bit(ecap, 34)) return true;
  // FSPM with them: it has no meaning without a first stage either.
  if ((pointer(third) !== 0n || bit(third, 4) || bits(third, 3, 2) !== 0n) && !bit(ecap, 47))
    return true;
  return entry.slice(3).some((quadword) => quadword !== 0n);
};

const translateScalable = (walk: Walk): ReferenceResult => {
  const { machine, request } = walk;
  const { ecap, cap } = machine;
  const context = scalableContext(walk);
  if (context === undefined) {
    refuseInterrupt(walk);
    return untranslated(walk);
  }
  const { pasid, privileged } = context;
  const [first, second, third] = pasidEntry(walk, context.directory, pasid) as [
    bigint,
    bigint,
    bigint,
  ];
  // VTD-PASID-04
  const type = bits(first, 8, 6);
  const needs = new Map([
    [1n, 47],
    [2n, 46],
    [3n, 26],
    [4n, 6],
  ]).get(type);
  if (needs === undefined || !bit(ecap, needs)) throw new Refusal(0x5b);
  const hasFirst = type === 1n || type === 3n;
  const hasSecond = type === 2n || type === 3n;
  // VTD-PASID-05
  const width = bits(first, 4, 2);
  if (hasSecond && !supportsWidth(machine, width)) throw new Refusal(0x5b);
  const mode = bits(third, 3, 2);
  if (hasFirst && (mode >= 2n || (mode === 1n && !bit(cap, 60)))) throw new Refusal(0x5b);
  refuseInterrupt(walk);
  // VTD-PASID-06
  if (hasFirst && privileged && !bit(third, 0)) throw new Refusal(0x5d);
  // VTD-PASID-07; what passes through may not end among the interrupts either
  if (type === 4n) {
    if (inInterruptRange(request.address)) throw new Refusal(0x87);
    if (aboveHost(machine, request.address)) throw new Refusal(0x83);
    return untranslated(walk);
  }
  const domain = Number(bits(second, 15, 0));
  const snooped = bit(second, 23);
  const lower: SecondStage = {
    root: pointer(first),
    levels: Number(width) + 2,
    flags: bit(first, 9),
    snooped,
    domain,
  };
  if (type === 2n) return bySecondStage(walk, lower);
  const upper = firstStage(walk, {
    root: pointer(third),
    levels: mode === 1n ? 5 : 4,
    extendedAccessed: bit(third, 7),
    snooped,
    privileged,
    protectsSupervisor: bit(third, 4),
    domain,
    pasid,
    under: type === 3n ? lower : undefined,
  });
  if (type === 1n) {
    const { address, pageLg2 } = upper;
    return {
      ok: true,
      address,
      pageLg2,
      granted: { ...walk.asked },
      reads: walk.reads,
      updateReads: walk.updateReads,
    };
  }
  // VTD-NEST-01 and 04
  const page = secondStage(walk, lower, upper.address, { what: "page" });
  const pageLg2 = Math.min(upper.pageLg2, page.pageLg2);
  return {
    ok: true,
    address: page.address,
    pageLg2,
    granted: { ...walk.asked },
    reads: walk.reads,
    updateReads: walk.updateReads,
  };
};
