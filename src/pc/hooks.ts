import { V86_VERSION, type V86Emulator, type V86Module } from "./v86.ts";

/** The v86 that was given cannot be used. */
export class V86Error extends Error {
  /** What it lacks, as paths. */
  readonly missing: readonly string[];

  constructor(missing: readonly string[]) {
    const what = missing.length === 0 ? "does not start" : `has no ${missing.join(", ")}`;
    super(
      `the v86 that was given ${what}: version ${V86_VERSION} is wanted (npm install v86@${V86_VERSION})`,
    );
    this.name = "V86Error";
    this.missing = missing;
  }
}

type Kind = "function" | "object" | "number";

/** Everything of a loaded emulator that this room reaches for, and what it must be. */
const HOOKS: readonly (readonly [path: string, kind: Kind])[] = [
  ...[
    "add_listener",
    "serial_send_bytes",
    "run",
    "stop",
    "destroy",
    "is_running",
    "save_state",
    "restore_state",
    "get_instruction_counter",
    "v86.next_tick",
    "v86.do_tick",
    "v86.stop",
    "v86.cpu.read8",
    "v86.cpu.read16",
    "v86.cpu.read32s",
    "v86.cpu.write8",
    "v86.cpu.write16",
    "v86.cpu.write32",
    "v86.cpu.read_blob",
    "v86.cpu.write_blob",
    "v86.cpu.jit_dirty_cache",
    "v86.cpu.get_apic_addr",
    "v86.cpu.handle_irqs",
    "v86.cpu.update_state_flags",
    "v86.cpu.reboot_internal",
    "v86.cpu.io.mmap_register",
    "v86.cpu.devices.pci.pci_query",
    "v86.cpu.devices.pci.pci_write8",
    "v86.cpu.devices.pci.pci_write16",
    "v86.cpu.devices.pci.pci_write32",
  ].map((path) => [path, "function"] as const),
  ...[
    "v86.cpu.wasm_memory.buffer",
    "v86.cpu.memory_size",
    "v86.cpu.mem8",
    "v86.cpu.reg32",
    "v86.cpu.cr",
    "v86.cpu.sreg",
    "v86.cpu.segment_is_null",
    "v86.cpu.segment_offsets",
    "v86.cpu.segment_limits",
    "v86.cpu.protected_mode",
    "v86.cpu.flags",
    "v86.cpu.is_32",
    "v86.cpu.stack_size_32",
    "v86.cpu.instruction_pointer",
    "v86.cpu.in_hlt",
    "v86.cpu.io.ports",
    "v86.cpu.devices.pci.pci_addr",
    "v86.cpu.devices.pci.pci_response32",
    "v86.cpu.devices.pci.pci_status32",
    "v86.cpu.devices.pci.devices",
    "v86.cpu.devices.pci.device_spaces",
    "v86.cpu.devices.pci.isa_bridge_space8",
    "v86.cpu.devices.ide.secondary.master",
  ].map((path) => [path, "object"] as const),
  ["v86.cpu.devices.ide.secondary.dma_status", "number"],
];

const at = (from: unknown, path: string): unknown =>
  path
    .split(".")
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], from);

/**
 * Checks that an emulator is the one this room is written for.
 *
 * @throws V86Error naming everything that it lacks
 */
export const requireHooks = (emulator: V86Emulator): void => {
  const missing = HOOKS.filter(([path, kind]) => {
    const found = at(emulator, path);
    return found === null || typeof found !== kind;
  });
  if (missing.length > 0) throw new V86Error(missing.map(([path]) => path));
};

/** @throws V86Error when `module` is not what `import("v86")` gives */
export const requireModule = (module: V86Module): void => {
  if (typeof module?.V86 !== "function") throw new V86Error(["V86"]);
};
