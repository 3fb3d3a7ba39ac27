import { EXECUTE, PRIVILEGED, READ, WRITE } from "../pci/dma-request.ts";

/**
 * Rights as the IOTLB holds them: what a user request may do in bits 2:0
 * (`READ`, `WRITE`, `EXECUTE`), what a privileged one may do in bits 6:4.
 */
const PRIVILEGED_SHIFT = 4;

/**
 * Joined to an access that reads and writes: writing is wished for, not needed.
 * A translation request that may only read is granted the read (§4.1).
 */
export const OPTIONAL_WRITE: number = 1 << 8;

/** Joined to a write: the second stage's write permission is not looked at (erratum 772415). */
export const UNCHECKED_WRITE: number = 1 << 9;

/**
 * What of `access` remains once `missing` rights are known, or 0 when the
 * request must be refused.
 *
 * @param missing the bits of `access` that are not permitted
 */
export const withoutOptionalWrite = (access: number, missing: number): number =>
  missing === WRITE && (access & OPTIONAL_WRITE) !== 0 ? access & ~(WRITE | OPTIONAL_WRITE) : 0;

/** What a request with `access` needs, in the bits of its privilege. */
export const neededRights = (access: number): number =>
  (access & (READ | WRITE | EXECUTE)) << ((access & PRIVILEGED) === 0 ? 0 : PRIVILEGED_SHIFT);

/** Rights of a second stage: the same for both privileges, execute as read. */
export const secondStageRights = (readWrite: number): number => {
  const user = readWrite | ((readWrite & READ) === 0 ? 0 : EXECUTE);
  return user | (user << PRIVILEGED_SHIFT);
};

/** Rights of a first-stage page. */
export const firstStageRights = (user: number, privileged: number): number =>
  user | (privileged << PRIVILEGED_SHIFT);
