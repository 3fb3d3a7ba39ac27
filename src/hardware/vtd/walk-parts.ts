import type { Capabilities } from "./capabilities.ts";
import type { CursorParts } from "./entry-cursor.ts";
import type { Iotlb } from "./iotlb.ts";
import type { Spaces } from "./spaces.ts";

/** What both walkers work with. */
export interface WalkParts extends CursorParts {
  readonly capabilities: Capabilities;
  readonly iotlb: Iotlb;
  readonly spaces: Spaces;
  /** log2 of the entries of each paging-structure cache level. */
  readonly structuresLg2: number;
}
