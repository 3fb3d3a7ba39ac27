import { fromHalves, highHalf, lowHalf } from "../../bits/halves.ts";
import { createSparseMemory } from "../../memory/create.ts";
import { TraceChannel } from "../../trace/channel.ts";
import {
  type DmaFault,
  type DmaRequest,
  NO_PASID,
  READ,
  TRANSLATED,
  type Translator,
  WRITE,
} from "./dma-request.ts";
import { Fabric } from "./fabric.ts";
import type { PciFaultReason } from "./pci-fault.ts";
import { Topology } from "./topology.ts";

/** A table of pages for each requester and PASID; everything else is refused. */
export class PageMap implements Translator {
  readonly #pages = new Map<string, bigint>();
  /** Requester IDs as they arrived. */
  readonly sources: number[] = [];

  map(source: number, page: bigint, to: bigint, pasid = NO_PASID): void {
    this.#pages.set(`${source} ${pasid} ${page}`, to);
  }

  translate(request: DmaRequest): boolean {
    this.sources.push(request.source);
    const address = fromHalves(request.hi, request.lo);
    if (request.addressType === TRANSLATED) return this.#answer(request, address);
    const to = this.#pages.get(`${request.source} ${request.pasid} ${address & ~0xfffn}`);
    if (to === undefined) {
      request.fault = { code: 6, message: `nothing at ${address.toString(16)}` };
      return false;
    }
    return this.#answer(request, to | (address & 0xfffn));
  }

  #answer(request: DmaRequest, to: bigint): boolean {
    request.outHi = highHalf(to);
    request.outLo = lowHalf(to);
    request.pageLg2 = 12;
    request.granted = READ | WRITE;
    return true;
  }
}

export const MEMORY = 0x100_0000n;

/** A root port, a switch, an endpoint with everything; beside it an integrated endpoint and two conventional cards. */
export const machine = (trace = new TraceChannel()) => {
  const topology = new Topology(trace);
  const root = topology.addRootBus();
  const port = root.add({ kind: "root-port", device: 1, acs: { translationBlocking: true } });
  const up = port.secondary!.add({ kind: "upstream-port", device: 0 });
  const down = up.secondary!.add({ kind: "downstream-port", device: 0 });
  const device = down.secondary!.add({
    kind: "endpoint",
    device: 0,
    ats: {},
    pageRequest: { capacity: 32 },
    pasid: { width: 8, execute: true, privileged: true },
  });
  const integrated = root.add({ kind: "integrated-endpoint", device: 2 });
  const other = root.add({ kind: "root-port", device: 3 });
  const bridge = other.secondary!.add({ kind: "pcie-to-pci-bridge", device: 0 });
  const cards = [4, 5].map((at) => bridge.secondary!.add({ kind: "conventional", device: at }));
  topology.assignBusNumbers();
  for (const fn of topology.functions()) fn.config.write(4, 2, 6);
  const memory = createSparseMemory([{ base: 0n, length: MEMORY }]);
  const fabric = new Fabric(topology, memory);
  const translator = new PageMap();
  fabric.attach(translator, { kind: "segment", segment: 0 });
  return {
    topology,
    root,
    port,
    up,
    down,
    device,
    integrated,
    bridge,
    cards,
    memory,
    fabric,
    translator,
    trace,
  };
};

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

export const reasonOf = (
  result: { ok: true } | { ok: false; fault: DmaFault },
): PciFaultReason | "ok" | "translator" => {
  if (result.ok) return "ok";
  return "reason" in result.fault ? (result.fault.reason as PciFaultReason) : "translator";
};

export const memoryAt = (
  m: ReturnType<typeof machine>,
  address: bigint,
  length: number,
): string => {
  const bytes = new Uint8Array(length);
  m.memory.read(address, bytes);
  return new TextDecoder().decode(bytes);
};
