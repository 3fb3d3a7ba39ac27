import { readDisk } from "./disk-case.ts";
import { restartKernel } from "./kexec-case.ts";
import type { LinuxGuest } from "./linux-guest.ts";
import type { MachineName } from "./machines.ts";
import type { UnitWork } from "./run-case.ts";

/** Something that a real kernel is made to do. */
export interface LinuxCase {
  readonly name: string;
  readonly machine: MachineName;
  /** A file in `scripts/`, without its ending. */
  readonly script?: string;
  /** More than a script can say; what is wrong with what came of it. */
  readonly run?: (guest: LinuxGuest, work: UnitWork) => Promise<readonly string[]>;
  /** What Linux has only since then. */
  readonly needs?: "iommufd";
  /** Messages of the kernel that it provokes, besides the script's. */
  readonly messages?: readonly RegExp[];
}

/** Every case that the suite has; each runs by itself, on a machine fresh from its boot. */
export const CASES: readonly LinuxCase[] = [
  {
    name: "ATA DMA, legacy mode, strict",
    machine: "strict",
    run: readDisk({ some: ["iotlb page"], none: ["iotlb domain"] }),
  },
  {
    name: "ATA DMA, legacy mode, lazy",
    machine: "lazy",
    run: readDisk({ none: ["iotlb page"] }),
  },
  {
    name: "ATA DMA, legacy mode, passing through",
    machine: "pass-through",
    run: readDisk({ none: ["iotlb page", "iotlb domain"] }),
  },
  { name: "ATA DMA, unit switched off", machine: "off", run: readDisk({ none: ["wait"] }) },
  {
    name: "ATA DMA, legacy mode, caching mode",
    machine: "caching",
    run: readDisk({ some: ["iotlb page"] }),
  },
  {
    name: "ATA DMA, scalable mode, first stage",
    machine: "first-stage",
    run: readDisk({ some: ["pasid-iotlb page"] }),
  },
  {
    name: "ATA DMA, scalable mode, second stage",
    machine: "second-stage",
    run: readDisk({ some: ["iotlb page"] }),
  },
  { name: "VFIO type 1 with interrupts", machine: "strict", script: "type1" },
  { name: "VFIO type 1, scalable mode", machine: "second-stage", script: "type1" },
  {
    name: "iommufd, second stage",
    machine: "second-stage",
    script: "second-stage",
    needs: "iommufd",
  },
  { name: "iommufd, legacy mode", machine: "strict", script: "second-stage", needs: "iommufd" },
  { name: "iommufd, caching mode", machine: "caching", script: "second-stage", needs: "iommufd" },
  {
    name: "dirty tracking on the second stage",
    machine: "second-stage",
    script: "dirty",
    needs: "iommufd",
  },
  {
    name: "nested, stale and fresh around an invalidation",
    machine: "nested",
    script: "nested",
    needs: "iommufd",
  },
  { name: "PASIDs", machine: "nested", script: "pasid", needs: "iommufd" },
  { name: "page requests", machine: "nested", script: "page-request", needs: "iommufd" },
  { name: "faults of each stage", machine: "nested", script: "faults", needs: "iommufd" },
  { name: "drivers unbound and bound", machine: "first-stage", script: "rebind", needs: "iommufd" },
  { name: "kexec into another mode", machine: "nested", run: restartKernel },
];
