import { defineLayout } from "../../struct/layout.ts";

/** The header that every table but RSDP and FACS begins with (ACPI 6.5 §5.2.6). */
export const TABLE_HEADER = defineLayout({
  name: "system description table header",
  bytes: 36,
  section: "ACPI 6.5 §5.2.6",
  fields: {
    signature: { at: 0, width: 32, doc: "four letters" },
    length: { at: 32, width: 32, doc: "bytes, header included" },
    revision: { at: 64, width: 8, doc: "of the table's structure" },
    checksum: { at: 72, width: 8, doc: "makes all bytes add up to 0" },
    oemId: { at: 80, width: 48, doc: "who made the machine" },
    oemTableId: { at: 128, width: 64, doc: "the machine" },
    oemRevision: { at: 192, width: 32, doc: "of the machine" },
    creatorId: { at: 224, width: 32, doc: "who made the table" },
    creatorRevision: { at: 256, width: 32, doc: "of its maker" },
  },
});

/** Root system description pointer, revision 0 (§5.2.5.3). */
export const ROOT_POINTER = defineLayout({
  name: "RSDP",
  bytes: 20,
  section: "ACPI 6.5 §5.2.5.3",
  fields: {
    signature: { at: 0, width: 64, doc: "RSD PTR and a space" },
    checksum: { at: 64, width: 8, doc: "makes all bytes add up to 0" },
    oemId: { at: 72, width: 48, doc: "who made the machine" },
    revision: { at: 120, width: 8, doc: "0" },
    rsdt: { at: 128, width: 32, doc: "address of the RSDT" },
  },
});

/** Firmware control structure of ACPI 1.0 (§5.2.10). */
export const FIRMWARE_CONTROL = defineLayout({
  name: "FACS",
  bytes: 64,
  section: "ACPI 6.5 §5.2.10",
  fields: {
    signature: { at: 0, width: 32, doc: "FACS" },
    length: { at: 32, width: 32, doc: "64" },
  },
});

/** What follows the header in a FADT of revision 1 (§5.2.9; offsets from the end of the header). */
export const FIXED_DESCRIPTION = defineLayout({
  name: "FADT",
  bytes: 80,
  section: "ACPI 6.5 §5.2.9",
  fields: {
    firmwareControl: { at: 0, width: 32, doc: "address of the FACS" },
    dsdt: { at: 32, width: 32, doc: "address of the DSDT" },
    interrupt: { at: 80, width: 16, doc: "SCI" },
    event: { at: 160, width: 32, doc: "PM1a event block" },
    control: { at: 224, width: 32, doc: "PM1a control block" },
    timer: { at: 320, width: 32, doc: "power management timer" },
    generalPurpose: { at: 352, width: 32, doc: "GPE0 block" },
    eventLength: { at: 416, width: 8, doc: "bytes" },
    controlLength: { at: 424, width: 8, doc: "bytes" },
    timerLength: { at: 440, width: 8, doc: "bytes" },
    generalPurposeLength: { at: 448, width: 8, doc: "bytes" },
    c2Latency: { at: 480, width: 16, doc: "above 100: no C2" },
    c3Latency: { at: 496, width: 16, doc: "above 1000: no C3" },
    writeBack: { at: 608, doc: "WBINVD works" },
    processorC1: { at: 610, doc: "C1 on every processor" },
    noPowerButton: { at: 612, doc: "no fixed power button" },
    noSleepButton: { at: 613, doc: "no fixed sleep button" },
    noClockWake: { at: 614, doc: "the clock's wake status is in no fixed register" },
  },
});

/** What follows the header in a MADT (§5.2.12). */
export const INTERRUPT_CONTROLLERS = defineLayout({
  name: "MADT",
  bytes: 8,
  section: "ACPI 6.5 §5.2.12",
  fields: {
    localApic: { at: 0, width: 32, doc: "address of the local APICs" },
    pcCompatible: { at: 32, doc: "there are 8259s too" },
  },
});

const entry = {
  type: { at: 0, width: 8, doc: "which structure" },
  length: { at: 8, width: 8, doc: "bytes" },
} as const;

/** Processor local APIC (§5.2.12.2). */
export const PROCESSOR_APIC = defineLayout({
  name: "processor local APIC",
  bytes: 8,
  section: "ACPI 6.5 §5.2.12.2",
  fields: {
    ...entry,
    processor: { at: 16, width: 8, doc: "ACPI processor UID" },
    apic: { at: 24, width: 8, doc: "APIC ID" },
    enabled: { at: 32, doc: "can be used" },
  },
});

/** I/O APIC (§5.2.12.3). */
export const IO_APIC = defineLayout({
  name: "I/O APIC",
  bytes: 12,
  section: "ACPI 6.5 §5.2.12.3",
  fields: {
    ...entry,
    id: { at: 16, width: 8, doc: "APIC ID" },
    address: { at: 32, width: 32, doc: "registers" },
    firstInterrupt: { at: 64, width: 32, doc: "global number of pin 0" },
  },
});

/** Interrupt source override: what an ISA interrupt is here (§5.2.12.5). Its 10 bytes are followed by those of the next. */
export const OVERRIDE_BYTES = 10;
export const INTERRUPT_OVERRIDE = defineLayout({
  name: "interrupt source override",
  bytes: 12,
  section: "ACPI 6.5 §5.2.12.5",
  fields: {
    ...entry,
    bus: { at: 16, width: 8, doc: "0: ISA" },
    source: { at: 24, width: 8, doc: "ISA interrupt" },
    interrupt: { at: 32, width: 32, doc: "global number" },
    polarity: { at: 64, width: 2, doc: "1 active high, 3 active low" },
    trigger: { at: 66, width: 2, doc: "1 edge, 3 level" },
  },
});

/** MCFG's one entry, after 8 reserved bytes (PCI Firmware 3.3 §4.1.2). */
export const ENHANCED_CONFIGURATION = defineLayout({
  name: "MCFG",
  bytes: 24,
  section: "PCI Firmware 3.3 §4.1.2",
  fields: {
    base: { at: 64, width: 64, doc: "address of bus 0" },
    segment: { at: 128, width: 16, doc: "segment" },
    firstBus: { at: 144, width: 8, doc: "first bus" },
    lastBus: { at: 152, width: 8, doc: "last bus" },
  },
});

/** What follows the header in a DMAR (VT-d 4.1 §8.1). */
export const DMA_REMAPPING = defineLayout({
  name: "DMAR",
  bytes: 12,
  section: "VT-d 4.1 §8.1",
  fields: {
    hostAddressWidth: { at: 0, width: 8, doc: "bits, less one" },
    interruptRemapping: { at: 8, doc: "interrupts can be remapped" },
    x2apicOptOut: { at: 9, doc: "extended interrupt mode is not wanted" },
  },
});

/** Remapping hardware unit definition (VT-d 4.1 §8.3). */
export const REMAPPING_UNIT = defineLayout({
  name: "DRHD",
  bytes: 16,
  section: "VT-d 4.1 §8.3",
  fields: {
    type: { at: 0, width: 16, doc: "0" },
    length: { at: 16, width: 16, doc: "bytes, scopes included" },
    includeAll: { at: 32, doc: "serves what no other unit does" },
    sizeLg2: { at: 40, width: 4, doc: "log2 of the register window in pages" },
    segment: { at: 48, width: 16, doc: "segment" },
    base: { at: 64, width: 64, doc: "register window" },
  },
});

/** Device scope with a path of one step (VT-d 4.1 §8.3.1). */
export const DEVICE_SCOPE = defineLayout({
  name: "device scope",
  bytes: 8,
  section: "VT-d 4.1 §8.3.1",
  fields: {
    type: { at: 0, width: 8, doc: "1 endpoint, 2 bridge and what is behind it" },
    length: { at: 8, width: 8, doc: "bytes" },
    enumeration: { at: 32, width: 8, doc: "0" },
    startBus: { at: 40, width: 8, doc: "bus that the path begins on" },
    device: { at: 48, width: 8, doc: "device" },
    function: { at: 56, width: 8, doc: "function" },
  },
});
