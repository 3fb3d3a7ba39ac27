/** A request is translated by stage 1, stage 2, both, or not at all. */
export const FIRST_STAGE = 1;
export const SECOND_STAGE = 2;
export const NESTED = 3;
export const PASS_THROUGH = 4;

/**
 * How the requests of one device and PASID are translated: what a context entry
 * in legacy mode, or a PASID entry in scalable mode, says, decoded. Numbers are
 * those of PASID_ENTRY.PGTT.
 */
export class Target {
  /** `FIRST_STAGE`, `SECOND_STAGE`, `NESTED` or `PASS_THROUGH`; 0 when nothing is here. */
  type = 0;
  domain = 0;
  /** The PASID whose entry it is, the RID's included; -1 in legacy mode. */
  pasid = -1;
  /** FPD of this entry or one on the way to it. */
  fpd = false;
  /** Frame of the first stage's top table: guest physical when nested. */
  firstStagePfn = 0;
  firstStageLevels = 4;
  /** Frame of the second stage's top table. */
  secondStagePfn = 0;
  secondStageLevels = 4;
  /** Second-stage accessed and dirty flags are kept. */
  secondStageFlags = false;
  /** Page walks are snooped, so that they may update flags. */
  snooped = false;
  supervisorRequests = false;
  /** Supervisor writes obey R/W. */
  writeProtect = false;
  extendedAccessed = false;
  /** Fault codes are those of legacy mode. */
  legacy = false;
}
