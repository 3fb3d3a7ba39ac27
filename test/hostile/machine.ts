import {
  addDmaEngine,
  type DmaEngine,
  type InvalidationAnswers,
} from "../../src/hardware/devices/index.ts";
import {
  ATS_CAPABILITY,
  assignMemory,
  Fabric,
  PAGE_REQUEST_CAPABILITY,
  PASID_CAPABILITY,
  Topology,
} from "../../src/hardware/pci/index.ts";
import { ManualClock } from "../../src/hardware/platform/index.ts";
import {
  attachUnit,
  type Capabilities,
  type RegisterWidth,
  type RemappingUnit,
  remappedInterrupts,
} from "../../src/hardware/vtd/index.ts";
import { TraceChannel } from "../../src/trace/index.ts";
import { type MemoryWrite, WatchedMemory } from "./watched-memory.ts";

/** One engine for each way to answer invalidations: 00:02.0 to 00:05.0. */
const ANSWERS: readonly InvalidationAnswers[] = ["in-time", "late", "never", "wrong"];

/** What the machine of a campaign is. */
export interface HostileMachineOptions {
  readonly capabilities: Capabilities;
  /** Without caches each answer can be predicted from memory. */
  readonly caches: boolean;
  readonly onWrite: (write: MemoryWrite) => void;
}

/** A whole machine in the hands of a guest that means no good. */
export class HostileMachine {
  readonly trace = new TraceChannel();
  readonly clock = new ManualClock();
  readonly ram: WatchedMemory;
  readonly fabric: Fabric;
  readonly unit: RemappingUnit;
  readonly engines: readonly DmaEngine[];
  readonly cached: boolean;
  /** Hears of each write of a register before the unit does. */
  onRegisterWrite: (offset: number, width: RegisterWidth, value: bigint) => void = () => {};
  /** Interrupts delivered. */
  interrupts = 0;

  constructor({ capabilities, caches, onWrite }: HostileMachineOptions) {
    this.cached = caches;
    this.ram = new WatchedMemory(onWrite);
    const topology = new Topology(this.trace);
    const root = topology.addRootBus();
    this.fabric = new Fabric(topology, this.ram.memory);
    this.engines = ANSWERS.map((answers, i) =>
      addDmaEngine(this.fabric, root, { kind: "integrated-endpoint", device: 2 + i }, { answers }),
    );
    const sink = { deliver: () => void this.interrupts++ };
    this.unit = attachUnit(this.fabric, 0, {
      capabilities,
      interrupts: sink,
      trace: this.trace,
      clock: this.clock,
      caches: caches ? { iotlbLg2: 6, structuresLg2: 4, contextsLg2: 3, pasidsLg2: 3 } : "off",
    });
    this.fabric.attachInterrupts(remappedInterrupts(sink));
    assignMemory(root, 0xf000_0000n);
    for (const engine of this.engines) this.enable(engine);
  }

  /** What a driver writes into an engine's configuration space. */
  enable({ function: { config } }: DmaEngine): void {
    config.write(4, 2, 6);
    config.write(config.offsetOf(PASID_CAPABILITY.layout)! + 6, 2, 7);
    config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    config.writeField(PAGE_REQUEST_CAPABILITY.layout, "allocation", 8);
    config.writeField(PAGE_REQUEST_CAPABILITY.layout, "pageRequestEnable", 1);
  }

  write(offset: number, width: RegisterWidth, value: bigint): void {
    this.onRegisterWrite(offset, width, value);
    this.unit.writeRegister(offset, width, value);
  }

  read(offset: number, width: RegisterWidth): bigint {
    return this.unit.readRegister(offset, width);
  }

  read32(offset: number): number {
    return Number(this.unit.readRegister(offset, 4));
  }
}
