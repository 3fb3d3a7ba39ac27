import type { Capabilities } from "./capabilities.ts";
import { ECAP } from "./spec/capability-registers.ts";
import { FRCD, IOTLB, IVA, type RegisterRow, registerRows } from "./spec/registers.ts";

/** Bits of a PASID (PCIe 6.3 §6.20). */
const PASID_BITS = 20;

/** Capabilities that the invalidation queue is a condition of (§11.4.3). */
const WITH_QUEUE = ["IR", "DT"] as const;

const endOf = ({ offset, layout }: RegisterRow): number => offset + layout.bytes;

/** Size in bytes of the window that holds `rows`: 2^N pages, N being what the DRHD structure says (§8.3). */
export const registerWindow = (rows: readonly RegisterRow[]): number => {
  let size = 4096;
  while (rows.some((row) => endOf(row) > size)) size *= 2;
  return size;
};

/** The fields that say where a register is. */
const placedBy = ({ layout }: RegisterRow): string | undefined => {
  if (layout === FRCD) return "CAP.FRO and CAP.NFR";
  return layout === IVA || layout === IOTLB ? "ECAP.IRO" : undefined;
};

const describe = ({ layout, offset }: RegisterRow): string =>
  `${layout.name} at 0x${offset.toString(16)}`;

/** Two registers in one place. Only CAP and ECAP can put them there. */
const overlap = (rows: readonly RegisterRow[]): string | undefined => {
  const sorted = [...rows].sort((a, b) => a.offset - b.offset);
  for (const [i, row] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next === undefined || endOf(row) <= next.offset) continue;
    const fields = new Set([row, next].flatMap((each) => placedBy(each) ?? []));
    return `${[...fields].join(" and ")} put ${describe(row)} and ${describe(next)} in one place`;
  }
  return undefined;
};

/**
 * Why no unit can have these capabilities, naming the field; `undefined` when one can.
 *
 * What CAP and ECAP announce and this unit does not do is no reason: software
 * that uses it finds that nothing happens.
 */
export const capabilityProblem = (capabilities: Capabilities): string | undefined => {
  const found = overlap(registerRows(capabilities.cap, capabilities.ecap));
  if (found !== undefined) return found;
  if (capabilities.pasidBits > PASID_BITS) {
    const { PSS } = ECAP.decode([capabilities.ecap]);
    return `ECAP.PSS of ${PSS} makes PASIDs of ${capabilities.pasidBits} bits, and they have ${PASID_BITS}`;
  }
  const alone = WITH_QUEUE.find((name) => capabilities.has(name) && !capabilities.has("QI"));
  if (alone !== undefined) return `ECAP.${alone} needs ECAP.QI`;
  return undefined;
};
