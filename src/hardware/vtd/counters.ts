/** What a unit has done so far. */
export class Counters {
  /** Page-table entries read. */
  tableReads = 0;
  /** Root, context and PASID entries read. */
  structureReads = 0;
  /** Translations that needed a walk. */
  walks = 0;
  /** Those of them that met nothing out of the ordinary. */
  quickWalks = 0;
  /** Accessed, dirty and extended-accessed updates made. */
  flagUpdates = 0;
  /** Requests refused. */
  faults = 0;
}
