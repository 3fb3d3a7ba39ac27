import type { WasmExports, WasmImports, WasmMemory } from "./web-assembly.ts";

/** The version of the npm package `v86` that this room is written for. What it uses is no documented API: another version is another machine. */
export const V86_VERSION = "0.5.462";

/** What `import("v86")` gives. */
export interface V86Module {
  readonly V86: new (options: V86Options) => V86Emulator;
}

/** Of v86's options, those that are used here. */
export interface V86Options {
  readonly wasm_fn: (imports: WasmImports) => Promise<WasmExports>;
  readonly memory_size: number;
  readonly vga_memory_size: number;
  readonly acpi: boolean;
  readonly autostart: boolean;
  readonly uart1: boolean;
  readonly hda?: { readonly buffer: ArrayBuffer };
  readonly net_device: { readonly type: "none" };
  readonly disable_keyboard: boolean;
  readonly disable_mouse: boolean;
  readonly disable_speaker: boolean;
}

/** Memory-mapped registers as v86 calls them: addresses arrive as int32. */
export type MmioRead = (address: number) => number;
export type MmioWrite = (address: number, value: number) => void;

/** One I/O port. */
export interface V86Port {
  read32: () => number;
  write8: (value: number) => void;
  write16: (value: number) => void;
  write32: (value: number) => void;
  device: unknown;
}

/** v86's I/O ports and memory map. */
export interface V86Io {
  readonly ports: V86Port[];
  /** `address` and `length` are multiples of 128 KiB. */
  mmap_register(
    address: number,
    length: number,
    read8: MmioRead,
    write8: MmioWrite,
    read32: MmioRead,
    write32: MmioWrite,
  ): void;
}

/** v86's PCI bus: configuration mechanism 1. */
export interface V86Pci {
  /** The bytes of CONFIG_ADDRESS. */
  readonly pci_addr: Uint8Array;
  readonly pci_response32: Int32Array;
  readonly pci_status32: Int32Array;
  /** By requester ID, as is the next. */
  readonly devices: ({ readonly pci_bars: readonly unknown[] } | undefined)[];
  readonly device_spaces: (Int32Array | undefined)[];
  readonly isa_bridge_space8: Uint8Array;
  /** Called when CONFIG_ADDRESS has been written: puts what is there into `pci_response32`. */
  pci_query(): void;
  pci_write8(address: number, value: number): void;
  pci_write16(address: number, value: number): void;
  pci_write32(address: number, value: number): void;
}

/** A disk of v86, its registers seen as the device sees them. */
export interface V86IdeInterface {
  cpu: V86Cpu;
  status_reg: number;
  error_reg: number;
}

/** One of the two channels of v86's disk controller. */
export interface V86IdeChannel {
  cpu: V86Cpu;
  readonly master: V86IdeInterface;
  readonly slave: V86IdeInterface;
  readonly current_interface: V86IdeInterface;
  /** Bus master status: bit 0 active, 1 error, 2 interrupt. */
  dma_status: number;
  push_irq(): void;
}

/** v86's disk controller. */
export interface V86Ide {
  readonly pci_id: number;
  readonly primary: V86IdeChannel | undefined;
  readonly secondary: V86IdeChannel | undefined;
}

/** What is in v86's processor object: processor, memory and chipset. */
export interface V86Cpu {
  readonly wasm_memory: WasmMemory;
  /** A stand-in for a view; every access of it makes a view of its own. */
  readonly mem8: Uint8Array;
  readonly memory_size: Int32Array;
  readonly reg32: Int32Array;
  readonly cr: Int32Array;
  readonly sreg: Uint16Array;
  readonly segment_is_null: Uint8Array;
  readonly segment_offsets: Int32Array;
  readonly segment_limits: Uint32Array;
  readonly protected_mode: Int32Array;
  readonly flags: Int32Array;
  readonly is_32: Int32Array;
  readonly stack_size_32: Int32Array;
  readonly instruction_pointer: Int32Array;
  readonly in_hlt: Uint8Array;
  readonly io: V86Io;
  readonly devices: { readonly pci: V86Pci; readonly ide: V86Ide };
  read8(address: number): number;
  read16(address: number): number;
  read32s(address: number): number;
  write8(address: number, value: number): void;
  write16(address: number, value: number): void;
  write32(address: number, value: number): void;
  read_blob(address: number, length: number): Uint8Array;
  write_blob(bytes: Uint8Array, address: number): void;
  /** Forgets translated code of these addresses; `end` is exclusive. */
  jit_dirty_cache(start: number, end: number): void;
  get_apic_addr(): number;
  handle_irqs(): void;
  update_state_flags(): void;
  reboot_internal(): void;
}

/** v86's outer object. */
export interface V86Emulator {
  readonly v86: {
    readonly cpu: V86Cpu;
    next_tick(milliseconds: number): void;
    /** Runs the processor for about a millisecond. */
    do_tick(): void;
    stop(): void;
  };
  add_listener(event: string, listener: (value: number) => void): void;
  serial_send_bytes(port: number, bytes: Uint8Array): void;
  run(): Promise<void>;
  stop(): Promise<void>;
  destroy(): Promise<void>;
  is_running(): boolean;
  save_state(): Promise<ArrayBuffer>;
  restore_state(state: ArrayBuffer): Promise<void>;
  get_instruction_counter(): number;
}
