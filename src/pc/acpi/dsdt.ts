import {
  ECAM_BASE,
  ECAM_BUS_LENGTH,
  PCI_LINE_IRQS,
  PCI_WINDOW,
  POWER_MANAGEMENT,
  UNIT_BASE,
} from "../memory-map.ts";
import {
  type Aml,
  busRange,
  device,
  eisaId,
  fixedMemory,
  integer,
  memoryRange,
  named,
  packageOf,
  portRange,
  ports,
  resources,
  scope,
} from "./aml.ts";

const DEVICES = 32;
const LINES = 4;
/** In `_PRT`: every function of the device (ACPI 6.5 §6.2.13). */
const EVERY_FUNCTION = 0xffff;

/** Which interrupt each line of each device is: the PIIX turns the lines by one from device to device. */
const routing = (): Aml => {
  const rows: Aml[] = [];
  for (let slot = 0; slot < DEVICES; slot++) {
    for (let line = 0; line < LINES; line++) {
      const irq = PCI_LINE_IRQS[(slot + line + LINES - 1) % LINES]!;
      const address = slot * 0x1_0000 + EVERY_FUNCTION;
      rows.push(packageOf(integer(address), integer(line), integer(0), integer(irq)));
    }
  }
  return packageOf(...rows);
};

const hostBridge = (lastBus: number): Aml =>
  device(
    "PCI0",
    named("_HID", eisaId("PNP0A03")),
    named("_UID", integer(0)),
    named("_BBN", integer(0)),
    named(
      "_CRS",
      resources(
        busRange(0, lastBus),
        ports(0xcf8, 8),
        portRange(0, 0xcf7),
        portRange(0xd00, 0xffff),
        memoryRange(0xa_0000, 0xb_ffff, true),
        memoryRange(PCI_WINDOW.base, PCI_WINDOW.end - 1),
      ),
    ),
    named("_PRT", routing()),
  );

/** What belongs to no bus, so that nothing else is put there: ECAM, power management, the units' registers. */
const board = (lastBus: number, unitsLength: number): Aml =>
  device(
    "MBRD",
    named("_HID", eisaId("PNP0C02")),
    named("_UID", integer(0)),
    named(
      "_CRS",
      resources(
        fixedMemory(ECAM_BASE, (lastBus + 1) * ECAM_BUS_LENGTH),
        ...(unitsLength === 0 ? [] : [fixedMemory(UNIT_BASE, unitsLength)]),
        ports(POWER_MANAGEMENT.event, 0x10),
        ports(POWER_MANAGEMENT.generalPurpose, 4),
      ),
    ),
  );

/**
 * The body of the DSDT: the host bridge, the board, and the state in which the
 * machine is off.
 *
 * @param lastBus the last bus that ECAM reaches
 * @param unitsLength bytes of registers from `UNIT_BASE` on
 */
export const describeMachine = (lastBus: number, unitsLength: number): Uint8Array =>
  Uint8Array.from([
    ...scope("\\_SB", hostBridge(lastBus), board(lastBus, unitsLength)),
    ...named("\\_S5", packageOf(integer(0), integer(0), integer(0), integer(0))),
  ]);
