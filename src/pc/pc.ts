import { hex } from "../bits/hex.ts";
import {
  assignMemory,
  type Bus,
  Fabric,
  formatRequesterId,
  requesterId,
  Topology,
} from "../hardware/pci/index.ts";
import {
  attachUnit,
  type RemappingUnit,
  remappedInterrupts,
  type TranslationUnit,
} from "../hardware/vtd/index.ts";
import type { PhysicalMemory } from "../memory/index.ts";
import { RestoreError, SaveRefusedError } from "../struct/saved-state.ts";
import { TraceChannel } from "../trace/channel.ts";
import { type FirmwareTables, firmwareTables, type UnitDescription } from "./acpi/tables.ts";
import { ChipsetFunctions } from "./chipset-functions.ts";
import { removeCacheFlushes } from "./clflush-fix.ts";
import { ConfigMechanism } from "./config-mechanism.ts";
import { watchCrashes } from "./crash.ts";
import { enterKernel, enterProtectedMode, loadKernel } from "./direct-boot.ts";
import { rerouteDisks } from "./disk-controller.ts";
import { PC_CRASHED, PC_FLUSHES_REMOVED, PC_OFF, PC_RESET } from "./events.ts";
import { loadEmulator } from "./load-emulator.ts";
import { LocalApic } from "./local-apic.ts";
import {
  BAR_WINDOW,
  ECAM_BASE,
  ECAM_BUS_LENGTH,
  FIRMWARE_BASE,
  FIRMWARE_END,
  PCI_LINE_IRQS,
  POWER_MANAGEMENT,
  UNIT_BASE,
} from "./memory-map.ts";
import { type MmioWindow, mapWindows } from "./mmio-windows.ts";
import type { PcDevice, PcEnd, PcOptions, PcUnit } from "./options.ts";
import { ramOf } from "./ram.ts";
import { SerialPort } from "./serial-port.ts";
import { type PcState, packSnapshot, unpackSnapshot } from "./snapshot.ts";
import type { V86Emulator } from "./v86.ts";

const DEFAULT_MEMORY = 64 << 20;

/** PM1 control: a state is entered (ACPI 6.5 §4.8.3.2.1). S5 is the only one there is. */
const SLEEP_ENABLE = 0x2000;

/** PIIX registers that firmware sets: PIRQ routes of the ISA bridge, decode enables of the disk controller. */
const PIRQ_ROUTES = 0x60;
const IDE_TIMING = 0x40;
const IDE_DECODE = 0x8000_8000 | 0;

/**
 * A PC whose processor and chipset are v86 and whose remapping units, PCI
 * fabric and devices are ours. Time in it is the host's: nothing about it is
 * repeatable to the instruction.
 */
export class Pc {
  readonly trace: TraceChannel;
  readonly memory: PhysicalMemory;
  /** Where RAM is. */
  readonly ram: readonly { readonly base: bigint; readonly length: bigint }[];
  readonly topology: Topology;
  readonly fabric: Fabric;
  /** Its remapping units, in the order of the options. */
  readonly units: readonly RemappingUnit[];
  /** Its devices, in the order in which they were put there. */
  readonly devices: readonly PcDevice[];
  /** COM1, where the guest has its console. */
  readonly console: SerialPort;
  /** COM2, for programs. */
  readonly channel: SerialPort;
  /** Settles when the guest has switched the machine off, or v86 has given up. */
  readonly ended: Promise<PcEnd>;
  readonly #emulator: V86Emulator;
  readonly #apic: LocalApic;
  readonly #chipset: ChipsetFunctions;
  readonly #root: Bus;
  readonly #tables: FirmwareTables;
  readonly #options: PcOptions;
  readonly #lastWords: () => string;
  #end: (end: PcEnd) => void = () => {};
  #crashed = false;

  private constructor(options: PcOptions, emulator: V86Emulator, lastWords: () => string) {
    const { cpu } = emulator.v86;
    this.#options = options;
    this.#emulator = emulator;
    this.trace = options.trace ?? new TraceChannel();
    this.#lastWords = lastWords;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    watchCrashes(emulator, (error) => this.#crash(error));
    this.memory = ramOf(cpu);
    this.ram = [{ base: 0n, length: BigInt(cpu.memory_size[0]!) }];
    this.topology = new Topology(this.trace);
    this.fabric = new Fabric(this.topology, this.memory);
    this.#root = this.topology.addRootBus();
    this.#chipset = new ChipsetFunctions(cpu.devices.pci, this.#root);
    this.devices = options.devices?.(this.fabric, this.#root) ?? [];
    this.topology.assignBusNumbers();
    this.#apic = new LocalApic(cpu, this.trace, () => emulator.is_running());
    this.units = (options.units ?? []).map((unit) => this.#attach(unit));
    this.fabric.attachInterrupts(remappedInterrupts(this.#apic));
    this.#mapRegisters();
    rerouteDisks(cpu, this.fabric.port(this.#chipset.get(cpu.devices.ide.pci_id)!));
    this.#watchPower();
    this.console = new SerialPort(emulator, 0);
    this.channel = new SerialPort(emulator, 1);
    this.#tables = firmwareTables(
      { units: this.#describeUnits(), lastBus: this.#lastBus() },
      FIRMWARE_BASE,
    );
    this.#boot();
  }

  /**
   * Makes a PC that stands still.
   *
   * @throws V86Error when v86 is not the version that is wanted, KernelError when the kernel cannot be placed
   */
  static async create(options: PcOptions): Promise<Pc> {
    const { v86, program, memoryBytes = DEFAULT_MEMORY, disk } = options;
    const words: string[] = [];
    const onMessage = (text: string): void => void words.push(text);
    const emulator = await loadEmulator({ v86, program, memoryBytes, disk, onMessage });
    try {
      return new Pc(options, emulator, () => words.join(" "));
    } catch (error) {
      await emulator.destroy();
      throw error;
    }
  }

  #attach({ capabilities, serves }: PcUnit): RemappingUnit {
    const { clock } = this.#options;
    const functions = serves?.(this.topology);
    return attachUnit(
      this.fabric,
      0,
      {
        capabilities,
        interrupts: this.#apic,
        trace: this.trace,
        ...(clock === undefined ? {} : { clock }),
      },
      functions === undefined ? undefined : { kind: "functions", functions },
    );
  }

  /** Where each unit's registers are: one window after the other, each at a multiple of its size. */
  #describeUnits(): readonly UnitDescription[] {
    let next = UNIT_BASE;
    return this.units.map((unit, i) => {
      const length = unit.registerWindow;
      const base = Math.ceil(next / length) * length;
      next = base + length;
      const served = this.#options.units?.[i]?.serves?.(this.topology);
      return {
        base: BigInt(base),
        length,
        hostAddressWidth: unit.capabilities.hostAddressWidth,
        remapsInterrupts: unit.capabilities.has("IR"),
        serves:
          served?.map(({ requesterId, secondary }) => ({
            requesterId: requesterId ?? 0,
            isBridge: secondary !== undefined,
          })) ?? "all",
      };
    });
  }

  #lastBus(): number {
    const numbers = this.topology.functions().map((fn) => fn.bus.number ?? 0);
    return Math.max(0, ...numbers);
  }

  #mapRegisters(): void {
    const { cpu } = this.#emulator.v86;
    const config = new ConfigMechanism(cpu.devices.pci, this.topology, this.#chipset);
    const described = this.#describeUnits();
    mapWindows(cpu.io, [
      config.window(this.#lastBus()),
      this.#barWindow(),
      ...this.units.map((unit, i) => this.#unitWindow(unit, Number(described[i]!.base))),
    ]);
  }

  #barWindow(): MmioWindow {
    const { base, end } = BAR_WINDOW;
    return {
      base,
      length: end - base,
      read: (offset, width) => Number(this.fabric.readMmio(0, BigInt(base + offset), width)),
      write: (offset, width, value) => {
        this.fabric.writeMmio(0, BigInt(base + offset), width, BigInt(value));
      },
    };
  }

  #unitWindow(unit: RemappingUnit, base: number): MmioWindow {
    let fixed = this.#options.removeCacheFlushes !== true;
    return {
      base,
      length: unit.registerWindow,
      read: (offset, width) => {
        if (!fixed) queueMicrotask(() => this.#removeCacheFlushes());
        fixed = true;
        return Number(unit.readRegister(offset, width));
      },
      write: (offset, width, value) => unit.writeRegister(offset, width, BigInt(value)),
    };
  }

  #removeCacheFlushes(): void {
    const count = removeCacheFlushes(this.#emulator.v86.cpu);
    if (this.trace.enabled) this.trace.emit(PC_FLUSHES_REMOVED, { count });
  }

  /** What a BIOS would do, and what a boot loader would. */
  #boot(): void {
    const { cpu } = this.#emulator.v86;
    const { pci, ide } = cpu.devices;
    pci.isa_bridge_space8.set(PCI_LINE_IRQS, PIRQ_ROUTES);
    const disks = pci.device_spaces[ide.pci_id];
    if (disks !== undefined) disks[IDE_TIMING >>> 2] = IDE_DECODE;
    assignMemory(this.#root, BigInt(BAR_WINDOW.base));
    this.#chipset.follow();
    const { boot } = this.#options;
    if (boot === undefined) return;
    const ram = new Uint8Array(
      cpu.wasm_memory.buffer,
      cpu.mem8.byteOffset,
      Number(this.ram[0]!.length),
    );
    this.#placeTables(ram);
    if ("kernel" in boot) {
      loadKernel(ram, boot, this.#tables.rsdp, [
        [ECAM_BASE, (this.#lastBus() + 1) * ECAM_BUS_LENGTH],
      ]);
      enterKernel(cpu);
    } else {
      ram.set(boot.code, Number(boot.address));
      enterProtectedMode(cpu, Number(boot.address));
    }
    cpu.jit_dirty_cache(0, ram.length);
  }

  #placeTables(ram: Uint8Array): void {
    const { rsdp, bytes } = this.#tables;
    if (rsdp + bytes.length > FIRMWARE_END) {
      throw new RangeError(`${bytes.length} bytes of firmware tables are too many`);
    }
    ram.set(bytes, rsdp);
  }

  #watchPower(): void {
    const { cpu } = this.#emulator.v86;
    const control = cpu.io.ports[POWER_MANAGEMENT.control]!;
    const { write16, device } = control;
    control.write16 = (value) => {
      if ((value & SLEEP_ENABLE) !== 0) this.#switchOff();
      else write16.call(device, value);
    };
    cpu.reboot_internal = () => queueMicrotask(() => this.#reset());
  }

  #switchOff(): void {
    if (this.trace.enabled) this.trace.emit(PC_OFF, {});
    void this.stop().then(() => this.#end({ how: "off" }));
  }

  #crash(error: Error): void {
    const why = this.#lastWords() || error.message;
    this.#crashed = true;
    if (this.trace.enabled) this.trace.emit(PC_CRASHED, { why });
    this.#end({ how: "crashed", why });
  }

  #reset(): void {
    const { cpu } = this.#emulator.v86;
    Object.getPrototypeOf(cpu).reboot_internal.call(cpu);
    for (const unit of this.units) unit.reset();
    for (const fn of this.topology.functions()) fn.reset();
    this.#chipset.follow();
    this.#boot();
    if (this.trace.enabled) this.trace.emit(PC_RESET, {});
  }

  /**
   * Lets it run.
   *
   * @throws Error when it has crashed: what is left of it cannot run
   */
  start(): void {
    if (this.#crashed) throw new Error("a PC that has crashed cannot be started");
    void this.#emulator.run();
    this.#apic.wake();
  }

  /** Has it stand still; it does when the promise is settled. */
  async stop(): Promise<void> {
    const stopped = this.#emulator.stop();
    // A processor that halts looks again only when its timer rings.
    if (this.#emulator.is_running()) this.#emulator.v86.next_tick(0);
    await stopped;
  }

  /** Whether it runs. */
  get running(): boolean {
    return this.#emulator.is_running();
  }

  /** Instructions executed so far, modulo 2^32. */
  get instructions(): number {
    return this.#emulator.get_instruction_counter();
  }

  /**
   * Everything there is, processor, memory, chipset, units and devices, in one
   * block of bytes. A PC that runs goes on afterwards.
   *
   * @throws SaveRefusedError while something is under way that cannot be saved, naming it
   */
  async save(): Promise<Uint8Array> {
    const wasRunning = this.running;
    await this.stop();
    try {
      return packSnapshot(this.#state(), await this.#emulator.save_state());
    } finally {
      if (wasRunning) this.start();
    }
  }

  #state(): PcState {
    const busy = this.fabric.inspect().ports.filter((port) => port.inFlight > 0);
    if (busy.length > 0) {
      throw new SaveRefusedError(
        `${busy.map((port) => port.function).join(", ")} has DMA in flight`,
      );
    }
    return {
      schema: "softiommu/pc-state@1",
      machine: this.#describe(),
      functions: this.topology.functions().map((fn) => fn.save()),
      units: this.units.map((unit) => unit.save()),
      devices: this.devices.map((device) => device.save()),
    };
  }

  /**
   * Puts everything back to what `save` saw, on a PC made with the same
   * options; `boot` may differ. It stands still afterwards.
   *
   * @throws RestoreError when the snapshot is none, or that of another machine
   */
  async restore(snapshot: Uint8Array): Promise<void> {
    const { state, processor } = unpackSnapshot(snapshot);
    const functions = this.topology.functions();
    this.#requireSameMachine(state.machine);
    await this.stop();
    await this.#emulator.restore_state(processor);
    for (const [i, fn] of functions.entries()) fn.restore(state.functions[i]!);
    for (const [i, unit] of this.units.entries()) unit.restore(state.units[i]!);
    for (const [i, device] of this.devices.entries()) device.restore(state.devices[i] as never);
  }

  /** What a snapshot must have in common with this PC, a line each. */
  #describe(): readonly string[] {
    const { disk } = this.#options;
    return [
      `${this.ram[0]!.length} bytes of memory`,
      ...(disk === undefined ? [] : [`a disk of ${disk.length} bytes`]),
      ...this.topology.functions().map((fn) => {
        const place = formatRequesterId(requesterId(0, fn.device, fn.function));
        return `${fn.kind} ${hex(fn.config.read(0, 4))} at device ${place.slice(3)}`;
      }),
      ...this.units.map(({ capabilities: { cap, ecap } }) => `a unit ${hex(cap)} ${hex(ecap)}`),
    ];
  }

  #requireSameMachine(saved: readonly string[]): void {
    const own = this.#describe();
    const length = Math.max(own.length, saved.length);
    for (let i = 0; i < length; i++) {
      if (own[i] === saved[i]) continue;
      const [theirs, ours] = [saved[i] ?? "nothing more", own[i] ?? "nothing more"];
      throw new RestoreError(`the PC that was saved has ${theirs}, this one ${ours}`);
    }
  }

  /** Ends it for good: nothing of it runs or waits any more. */
  async destroy(): Promise<void> {
    await this.stop();
    await this.#emulator.destroy();
  }

  /** The PC's state as plain data. */
  inspect(): PcInspection {
    return {
      schema: "softiommu/pc@1",
      running: this.running,
      instructions: this.instructions,
      memoryBytes: Number(this.ram[0]!.length),
      units: this.units.map((unit) => unit.translation.inspect()),
      topology: this.topology.inspect(),
      fabric: this.fabric.inspect(),
    };
  }
}

/** What `Pc.inspect` gives. */
export interface PcInspection {
  readonly schema: "softiommu/pc@1";
  readonly running: boolean;
  readonly instructions: number;
  readonly memoryBytes: number;
  readonly units: readonly ReturnType<TranslationUnit["inspect"]>[];
  readonly topology: ReturnType<Topology["inspect"]>;
  readonly fabric: ReturnType<Fabric["inspect"]>;
}
