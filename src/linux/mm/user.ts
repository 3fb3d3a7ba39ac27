/** What a process may do besides what everybody may. */
export type Capability = "CAP_IPC_LOCK" | "CAP_SYS_RESOURCE" | "CAP_SYS_ADMIN" | "CAP_SYS_RAWIO";

export const ALL_CAPABILITIES: readonly Capability[] = [
  "CAP_IPC_LOCK",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_ADMIN",
  "CAP_SYS_RAWIO",
];

/** A user: the pages that all of its processes have locked are counted together. */
export class User {
  readonly uid: number;
  /** In pages. */
  lockedVm = 0;

  constructor(uid: number) {
    this.uid = uid;
  }
}
