import { CONTEXT_ENTRY, SCALABLE_CONTEXT_ENTRY } from "./spec/context-entry.ts";
import { PASID_DIRECTORY_ENTRY, PASID_ENTRY } from "./spec/pasid-entry.ts";
import { ROOT_ENTRY, SCALABLE_ROOT_HALF } from "./spec/root-entry.ts";
import { type StructureParts, StructureReader } from "./structure-reader.ts";

/** A reader for each structure on the way from the root table to a PASID entry. */
export interface DeviceReaders {
  readonly root: StructureReader<keyof typeof ROOT_ENTRY.fields>;
  readonly half: StructureReader<keyof typeof SCALABLE_ROOT_HALF.fields>;
  readonly legacy: StructureReader<keyof typeof CONTEXT_ENTRY.fields>;
  readonly scalable: StructureReader<keyof typeof SCALABLE_CONTEXT_ENTRY.fields>;
  readonly directory: StructureReader<keyof typeof PASID_DIRECTORY_ENTRY.fields>;
  readonly entry: StructureReader<keyof typeof PASID_ENTRY.fields>;
}

/** Readers of their own for whoever goes through device tables. */
export const createDeviceReaders = (parts: StructureParts): DeviceReaders => ({
  root: new StructureReader(ROOT_ENTRY, parts),
  half: new StructureReader(SCALABLE_ROOT_HALF, parts),
  legacy: new StructureReader(CONTEXT_ENTRY, parts),
  scalable: new StructureReader(SCALABLE_CONTEXT_ENTRY, parts),
  directory: new StructureReader(PASID_DIRECTORY_ENTRY, parts),
  entry: new StructureReader(PASID_ENTRY, parts),
});
