/** A message-signalled interrupt on its way: a write to FEE0_0000 to FEEF_FFFF. */
export interface MsiMessage {
  /** Requester ID of who sends it. */
  readonly source: number;
  /** Where it is written; bits 63:32 are used in the units' own events only. */
  readonly address: bigint;
  /** What is written, 32 bits. */
  readonly data: number;
}

/** An interrupt as a local APIC gets it. */
export interface Interrupt {
  /** 0 to 255. */
  readonly vector: number;
  /** APIC ID, 8 bits, or 32 where extended interrupt mode is on. */
  readonly destination: number;
  readonly destinationMode: "physical" | "logical";
  readonly redirectionHint: boolean;
  /** 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT. */
  readonly deliveryMode: number;
  readonly triggerMode: "edge" | "level";
}

/** Where interrupts end: a local APIC, or a test's list. */
export interface InterruptSink {
  deliver(interrupt: Interrupt): void;
}

/** First address of the range that interrupts are written to. */
export const INTERRUPT_RANGE_START = 0xfee0_0000n;
/** Last address of that range. */
export const INTERRUPT_RANGE_LAST = 0xfeef_ffffn;

/**
 * Reads a message in compatibility format (Intel SDM volume 3, 11.11): what an
 * APIC makes of it when nothing remaps it.
 *
 * @param extendedDestination bits 31:8 of the destination, which only a unit's own events carry
 */
export const decodeCompatibleMessage = (
  { address, data }: MsiMessage,
  extendedDestination = 0,
): Interrupt => {
  const low = Number(address & 0xffff_ffffn);
  return {
    vector: data & 0xff,
    destination: ((extendedDestination & 0xff_ffff) * 0x100 + ((low >>> 12) & 0xff)) >>> 0,
    destinationMode: (low & 4) === 0 ? "physical" : "logical",
    redirectionHint: (low & 8) !== 0,
    deliveryMode: (data >>> 8) & 7,
    triggerMode: (data & 0x8000) === 0 ? "edge" : "level",
  };
};
