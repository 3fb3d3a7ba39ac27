import { fail, type Outcome, ok } from "../errno.ts";
import type { FaultInjector } from "../fault-injector.ts";
import type { Group, IommuCore } from "../iommu/index.ts";
import { File } from "../mm/file.ts";
import type { Frames } from "../mm/frames.ts";
import type { Process } from "../mm/process.ts";
import type { IommufdGroup } from "./device.ts";
import type { Ioas } from "./ioas.ts";
import { dispatch } from "./main.ts";
import { ObjectTable } from "./object.ts";
import type { AccountingMode, PinAccount } from "./page-source.ts";
import type { TestCommands } from "./test-command.ts";
import { Viommu } from "./viommu.ts";

/** What iommufd needs of the kernel around it. */
export interface IommufdParts {
  readonly frames: Frames;
  readonly faults: FaultInjector;
  readonly core: IommuCore;
  /** `IOMMU_TEST_CMD`, in a kernel that is built with it. */
  readonly testCommands?: TestCommands;
  /** Devices whose interrupts nothing remaps may be bound all the same. */
  readonly allowUnsafeInterrupts?: boolean;
}

/** One opened `/dev/iommu`: the objects of its client and what it has chosen. */
export class IommufdContext {
  readonly parts: IommufdParts;
  readonly frames: Frames;
  readonly core: IommuCore;
  readonly objects: ObjectTable;
  /** What this client has bound, by the core's group. */
  readonly groups: Map<Group, IommufdGroup> = new Map();
  /** Who pays for pages pinned by callers without CAP_IPC_LOCK. */
  accountMode: AccountingMode = "user";
  /** The account of the last mapping. */
  account: PinAccount | undefined = undefined;
  /** The address space that VFIO's own ioctls work on. */
  vfioIoas: Ioas | undefined = undefined;
  /** The next offset that `mmap` can be given for a part of a vIOMMU. */
  nextMmapOffset = 4096n;
  /** The file; those who must keep the context alive hold a reference to it. */
  readonly file: IommufdFile;

  constructor(parts: IommufdParts) {
    this.parts = parts;
    this.frames = parts.frames;
    this.core = parts.core;
    this.objects = new ObjectTable(parts.faults);
    this.file = new IommufdFile(this);
  }
}

/** `/dev/iommu` as an open file. Whatever is bound to it lives as long as it, and longer than any descriptor. */
export class IommufdFile extends File {
  readonly context: IommufdContext;

  constructor(context: IommufdContext) {
    super();
    this.context = context;
  }

  override ioctl(process: Process, command: number, argument: bigint): Outcome<number> {
    return dispatch(this.context, process, command, argument);
  }

  /** @returns EINVAL: the file has nothing to read */
  override read(): Outcome<number> {
    return fail("EINVAL");
  }

  /**
   * Maps a window of a vIOMMU.
   *
   * @returns what the end of the mapping calls: until then the vIOMMU is in use;
   *   EINVAL for a private mapping, EPERM for an executable one, ENXIO where
   *   there is no window of just that offset and length
   */
  mmap(
    offset: bigint,
    length: bigint,
    { shared, executable = false }: { readonly shared: boolean; readonly executable?: boolean },
  ): Outcome<() => void> {
    if (!shared) return fail("EINVAL");
    if (executable) return fail("EPERM");
    for (const object of this.context.objects) {
      if (!(object instanceof Viommu) || object.window === undefined) continue;
      if (object.window.offset !== offset || object.window.length !== length) continue;
      object.get();
      return ok(() => object.put());
    }
    return fail("ENXIO");
  }

  protected override release(): void {
    this.context.objects.destroyAll();
    if (this.context.groups.size > 0) throw new Error("groups are left in a released iommufd");
  }
}

/** Opens `/dev/iommu`. The reference belongs to the caller, who installs it or puts it. */
export const openIommufd = (parts: IommufdParts): IommufdFile => new IommufdContext(parts).file;
