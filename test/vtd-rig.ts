import {
  type DmaPort,
  Fabric,
  NO_PASID,
  requesterId,
  Topology,
} from "../src/hardware/pci/index.ts";
import { ATS_CAPABILITY, PASID_CAPABILITY } from "../src/hardware/pci/spec/capabilities.ts";
import type { CacheSizes } from "../src/hardware/vtd/cache-sizes.ts";
import { type Capabilities, TranslationUnit, type VtdFault } from "../src/hardware/vtd/index.ts";
import { TraceChannel } from "../src/trace/channel.ts";
import { VtdTables } from "./vtd-tables.ts";

export { NOWHERE, RAM_SIZE } from "./vtd-tables.ts";

/** What a rig is made of. */
export interface RigOptions {
  readonly capabilities: Capabilities;
  readonly mode: "legacy" | "scalable";
  readonly caches?: CacheSizes | "off";
}

/**
 * A machine for tests of the unit: memory, a unit, two devices (00:02.0 and
 * 01:1f.7 by requester ID), and hands that write tables into memory entry by
 * entry. What a test sees of it is DMA and bytes.
 */
export class VtdRig extends VtdTables {
  readonly trace = new TraceChannel();
  readonly unit: TranslationUnit;
  readonly port: DmaPort;
  readonly otherPort: DmaPort;
  readonly otherSource: number;

  constructor({ capabilities, mode, caches }: RigOptions) {
    super(mode, requesterId(0, 2, 0));
    this.unit = new TranslationUnit({
      capabilities,
      memory: this.memory,
      trace: this.trace,
      ...(caches === undefined ? {} : { caches }),
    });
    const topology = new Topology(this.trace);
    const root = topology.addRootBus();
    const declaration = { ats: {}, pasid: { width: 20, execute: true, privileged: true } } as const;
    const device = root.add({ kind: "integrated-endpoint", device: 2, ...declaration });
    const other = root.add({
      kind: "integrated-endpoint",
      device: 31,
      function: 7,
      ...declaration,
    });
    topology.assignBusNumbers();
    for (const fn of [device, other]) {
      fn.config.write(4, 2, 6);
      fn.config.write(fn.config.offsetOf(PASID_CAPABILITY.layout)! + 6, 2, 7);
      fn.config.writeField(ATS_CAPABILITY.layout, "atsEnable", 1);
    }
    const fabric = new Fabric(topology, this.memory);
    fabric.attach(this.unit, { kind: "segment", segment: 0 });
    this.port = fabric.port(device);
    this.otherPort = fabric.port(other);
    this.otherSource = other.requesterId!;
    this.unit.setRootTable(this.rootTable | (this.legacy ? 0n : 0x400n));
    this.unit.setTranslation(true);
  }

  /** Invalidates every cache of the unit. */
  flush(): void {
    this.unit.invalidateContext({ granularity: "global" });
    this.unit.invalidatePasid({ granularity: "global" });
    this.unit.invalidateIotlb({ granularity: "global" });
  }

  /** One byte read by DMA: its value, or the fault. */
  read(address: bigint, pasid = NO_PASID, flags = 0, port = this.port): number | VtdFault {
    const result = port.read(address, 1, pasid, flags);
    return result.ok ? result.bytes[0]! : vtdFault(result.fault);
  }

  /** One byte written by DMA: `undefined`, or the fault. */
  write(
    address: bigint,
    value = 0x5a,
    pasid = NO_PASID,
    flags = 0,
    port = this.port,
  ): VtdFault | undefined {
    const result = port.write(address, Uint8Array.of(value), pasid, flags);
    return result.ok ? undefined : vtdFault(result.fault);
  }
}

const vtdFault = (fault: { readonly message: string }): VtdFault => fault as VtdFault;

/** What tests compare of a fault. */
export const brief = (
  outcome: number | VtdFault | undefined,
): number | undefined | { code: string; stage: number; level: number | undefined } =>
  typeof outcome === "object"
    ? {
        code: outcome.code.toString(16).padStart(2, "0"),
        stage: outcome.stage,
        level: outcome.level,
      }
    : outcome;

/** The code of a fault, or what came instead of one. */
export const codeOf = (outcome: number | VtdFault | undefined): string | number | undefined =>
  typeof outcome === "object" ? outcome.code.toString(16).padStart(2, "0") : outcome;
