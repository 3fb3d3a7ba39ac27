import { ECAP } from "../../hardware/vtd/spec/capability-registers.ts";
import type { VtdRegisters } from "../registers.ts";
import { PhysicalRanges } from "./physical-ranges.ts";

/** GSTS.QIES, GSTS.IRES and GSTS.IRTPS (VT-d 11.4.4.2). */
const QUEUE_ENABLED = 1n << 26n;
const INTERRUPT_TABLE_IN_USE = (1n << 25n) | (1n << 24n);

const PAGE = 0xfffn;

/** A range of whole pages, because what shares a page with a table is mapped with it. */
const rangeAt = (register: bigint, lengthLg2: bigint): { start: number; end: number } => {
  const start = Number(register & ~PAGE);
  return { start, end: start + 2 ** Math.max(12, Number(lengthLg2)) };
};

/** Where the unit's registers say that its queues and its interrupt remapping table are. */
const registerRanges = (registers: VtdRegisters): { start: number; end: number }[] => {
  const { gsts, iqa, irta, pqa, ecap } = registers;
  const ranges: { start: number; end: number }[] = [];
  // 2^QS pages, of descriptors of either width.
  if ((gsts & QUEUE_ENABLED) !== 0n) ranges.push(rangeAt(iqa, 12n + (iqa & 7n)));
  // 2^(S+1) entries of 16 bytes.
  if ((gsts & INTERRUPT_TABLE_IN_USE) !== 0n) ranges.push(rangeAt(irta, 5n + (irta & 0xfn)));
  // 2^PQS pages. Nothing says whether the queue is in use, but at 0 it never was.
  if (ECAP.decode([ecap]).PRS === 1n && (pqa & ~PAGE) !== 0n) {
    ranges.push(rangeAt(pqa, 12n + (pqa & 7n)));
  }
  return ranges.filter(({ end }) => end <= 2 ** 52);
};

/** Every address that the unit reads what it is told from. */
export const iommuRanges = (
  tablePfns: ReadonlySet<number>,
  registers: VtdRegisters,
): PhysicalRanges => {
  const tables = Array.from(tablePfns, (pfn) => ({ start: pfn * 4096, end: (pfn + 1) * 4096 }));
  return new PhysicalRanges([...tables, ...registerRanges(registers)]);
};
