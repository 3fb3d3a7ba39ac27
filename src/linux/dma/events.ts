import { defineEvent, type EventType } from "../../trace/channel.ts";

/** Memory can be reached by devices from now on. */
export const DMA_MAPPED: EventType<{
  /** The DMA domain's name. */
  readonly domain: string;
  readonly iova: bigint;
  /** Physical address of the first byte. */
  readonly pa: bigint;
  /** Bytes. */
  readonly length: bigint;
}> = defineEvent("dma.mapped");

/** Nobody may reach it at these addresses any more. In a lazy domain hardware still can. */
export const DMA_UNMAPPED: EventType<{
  readonly domain: string;
  readonly iova: bigint;
  readonly length: bigint;
}> = defineEvent("dma.unmapped");

/** Hardware has forgotten everything that was unmapped before. */
export const DMA_FLUSHED: EventType<{ readonly domain: string }> = defineEvent("dma.flushed");
