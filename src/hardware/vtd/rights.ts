import { EXECUTE, PRIVILEGED, READ, WRITE } from "../pci/dma-request.ts";

/**
 * Rights as the IOTLB holds them: what a user request may do in bits 2:0
 * (`READ`, `WRITE`, `EXECUTE`), what a privileged one may do in bits 6:4.
 */
const PRIVILEGED_SHIFT = 4;

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
