import type { DmaPort } from "./dma-port.ts";
import { WRITE } from "./dma-request.ts";
import type { TransferResult } from "./in-flight.ts";
import { MSI_CAPABILITY } from "./spec/capabilities.ts";

const { layout } = MSI_CAPABILITY;

/**
 * Sends a function's message-signalled interrupt: a DWORD written where its MSI
 * capability says (PCIe 6.3 §6.1.4). With several vectors granted, `vector`
 * takes the place of the data's low bits; one beyond them is sent as the last.
 *
 * @returns what became of the write; `undefined` when MSI is not enabled
 */
export const sendMsi = (port: DmaPort, vector = 0): TransferResult | undefined => {
  const { config } = port.function;
  if (!config.has(layout, "msiEnable")) return undefined;
  const granted = Math.min(
    config.get(layout, "multipleMessageEnable"),
    config.get(layout, "multipleMessageCapable"),
  );
  const low = (1 << granted) - 1;
  const data = (config.get(layout, "messageData") & ~low) | Math.min(vector, low);
  const address =
    (BigInt(config.get(layout, "messageUpperAddress")) << 32n) |
    (BigInt(config.get(layout, "messageAddress")) << 2n);
  const bytes = Uint8Array.of(data & 0xff, data >>> 8, 0, 0);
  return port.transfer(address, bytes, WRITE);
};
