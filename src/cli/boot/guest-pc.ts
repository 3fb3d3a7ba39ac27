import { addDmaEngine } from "../../hardware/devices/index.ts";
import { inCachingMode, PC_UNITS, Pc, type PcUnitName } from "../../pc/index.ts";
import type { TraceChannel } from "../../trace/index.ts";
import { type Guest, initrdForKexec } from "./guest-files.ts";
import type { LoadedV86 } from "./v86-files.ts";

/** What units there are, the one that can do everything last. */
export const UNIT_NAMES = Object.keys(PC_UNITS) as PcUnitName[];

/** What Linux does with its own domains, and the kernel arguments for it. */
export const DOMAIN_MODES = {
  strict: "iommu.strict=1",
  lazy: "iommu.strict=0",
  "pass-through": "iommu=pt iommu.strict=1",
  off: "intel_iommu=off",
} as const;

/** A name in `DOMAIN_MODES`. */
export type DomainMode = keyof typeof DOMAIN_MODES;

/** What a guest's PC is made of. */
export interface GuestSetup {
  readonly unit: PcUnitName;
  readonly domains: DomainMode;
  readonly cachingMode: boolean;
  /** Kernel version. */
  readonly kernel: string;
  readonly memoryBytes: number;
  /** Bytes of the disk; 0 for none. */
  readonly diskBytes: number;
}

/** What is used where nobody says otherwise. */
export const DEFAULT_SETUP: Omit<GuestSetup, "kernel"> = {
  unit: "nested",
  domains: "strict",
  cachingMode: false,
  memoryBytes: 64 << 20,
  diskBytes: 0,
};

/** Kernels that use CLFLUSH where v86 has none. */
const FLUSHES = /^[0-5]\.|^6\.[01]$/;

const ARGUMENTS = [
  "console=ttyS0,115200",
  "quiet",
  "tsc=reliable",
  "random.trust_cpu=on",
  "vfio_iommu_type1.allow_unsafe_interrupts=1",
  "iommufd.allow_unsafe_interrupts=1",
];

/** The kernel arguments of a setup. */
export const commandLineOf = ({ unit, domains }: GuestSetup, more = ""): string => {
  const on = unit === "legacy" ? "intel_iommu=on" : "intel_iommu=on,sm_on";
  const chosen = DOMAIN_MODES[domains];
  return [...ARGUMENTS, ...(domains === "off" ? [] : [on]), chosen, more].join(" ").trim();
};

/** What a guest's PC is made with besides its setup. */
export interface GuestPcOptions {
  readonly loaded: LoadedV86;
  readonly setup: GuestSetup;
  /** Absent when a snapshot is to be restored. */
  readonly guest?: Guest;
  /** Further kernel arguments. */
  readonly append?: string;
  /** The contents of the disk, `setup.diskBytes` of them; zeros when absent. */
  readonly disk?: Uint8Array;
  /** Whether the guest finds its own kernel in /boot. */
  readonly kexec?: boolean;
  readonly trace?: TraceChannel;
}

/** Makes the PC of a guest, with a DMA engine at 00:04.0, that stands still. */
export const createGuestPc = (options: GuestPcOptions): Promise<Pc> => {
  const { loaded, setup, guest, append, trace } = options;
  const { unit, cachingMode, memoryBytes, diskBytes } = setup;
  const capabilities = PC_UNITS[unit];
  const disk = diskBytes === 0 ? undefined : (options.disk ?? new Uint8Array(diskBytes));
  return Pc.create({
    ...loaded,
    memoryBytes,
    units: [{ capabilities: cachingMode ? inCachingMode(capabilities) : capabilities }],
    devices: (fabric, bus) => [
      addDmaEngine(fabric, bus, { kind: "integrated-endpoint", device: 4 }),
    ],
    removeCacheFlushes: FLUSHES.test(setup.kernel),
    ...(guest === undefined
      ? {}
      : {
          boot: {
            kernel: guest.kernel,
            initrd: options.kexec === true ? initrdForKexec(guest) : guest.initrd,
            commandLine: commandLineOf(setup, append),
          },
        }),
    ...(disk === undefined ? {} : { disk }),
    ...(trace === undefined ? {} : { trace }),
  });
};
