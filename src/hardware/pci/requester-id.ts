/**
 * Requester IDs: 16 bits that name a function inside its segment, bus in 15:8,
 * device in 7:3, function in 2:0 (PCIe 6.3 §2.2.6.2). Text is `ssss:bb:dd.f`,
 * hexadecimal, as lspci prints it.
 */

/** A function's address in the whole machine. */
export interface PciAddress {
  /** Segment, the group of buses also called domain; 0 to 0xffff. */
  readonly segment: number;
  /** Requester ID inside the segment. */
  readonly requesterId: number;
}

/** Text that names no function. */
export class PciAddressError extends Error {
  /** What was given. */
  readonly text: string;

  constructor(text: string, expected: string) {
    super(`${JSON.stringify(text)} is not a PCI address: ${expected}`);
    this.name = "PciAddressError";
    this.text = text;
  }
}

/**
 * @param bus 0 to 255
 * @param device 0 to 31
 * @param fn 0 to 7
 */
export const requesterId = (bus: number, device: number, fn: number): number =>
  ((bus & 0xff) << 8) | ((device & 0x1f) << 3) | (fn & 7);

/** The bus of a requester ID. */
export const busOf = (id: number): number => (id >>> 8) & 0xff;

/** The device of a requester ID. */
export const deviceOf = (id: number): number => (id >>> 3) & 0x1f;

/** The function of a requester ID. */
export const functionOf = (id: number): number => id & 7;

const digits = (value: number, width: number): string => value.toString(16).padStart(width, "0");

/** A requester ID as `bb:dd.f`. */
export const formatRequesterId = (id: number): string =>
  `${digits(busOf(id), 2)}:${digits(deviceOf(id), 2)}.${functionOf(id)}`;

/** An address as `ssss:bb:dd.f`. */
export const formatPciAddress = ({ segment, requesterId: id }: PciAddress): string =>
  `${digits(segment, 4)}:${formatRequesterId(id)}`;

const ADDRESS = /^(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-9a-f])$/i;

/**
 * Reads `ssss:bb:dd.f`, or `bb:dd.f` in segment 0. Leading zeros may be left out.
 *
 * @throws PciAddressError when the text is something else, or a device or function is out of range
 */
export const parsePciAddress = (text: string): PciAddress => {
  const [, segment = "0", bus, device, fn] = ADDRESS.exec(text) ?? [];
  if (bus === undefined || device === undefined || fn === undefined) {
    throw new PciAddressError(
      text,
      "expected segment:bus:device.function in hexadecimal, such as 0000:00:1f.3",
    );
  }
  if (Number.parseInt(device, 16) > 0x1f) throw new PciAddressError(text, "a device is 00 to 1f");
  if (Number.parseInt(fn, 16) > 7) throw new PciAddressError(text, "a function is 0 to 7");
  return {
    segment: Number.parseInt(segment, 16),
    requesterId: requesterId(
      Number.parseInt(bus, 16),
      Number.parseInt(device, 16),
      Number.parseInt(fn, 16),
    ),
  };
};
