/** One row of the fault table (§7.1.3). */
export interface FaultReason {
  /** What hardware records in FRCD.FR. */
  readonly code: number;
  /** What was wrong, without address or device. */
  readonly text: string;
  /** What would have to change for the request to pass. */
  readonly remedy: string;
  /** FPD in an entry consulted silences it. */
  readonly qualified: boolean;
  /** A translation request that meets it is answered with no permission, and nothing is recorded. */
  readonly recoverable: boolean;
}

const row = (
  code: number,
  text: string,
  remedy: string,
  kind: "" | "q" | "r" | "qr",
): FaultReason =>
  Object.freeze({
    code,
    text,
    remedy,
    qualified: kind.includes("q"),
    recoverable: kind.includes("r"),
  });

/**
 * Every reason a request can be recorded with. `q`: qualified, silenced by FPD; `r`: recoverable for
 * translation requests.
 */
const ROWS: readonly FaultReason[] = [
  row(0x01, "the root entry is not present", "set P in the bus's root entry", ""),
  row(0x02, "the context entry is not present", "set P in the device's context entry", "q"),
  row(
    0x03,
    "the context entry is not valid for this unit",
    "use a translation type and width the unit has, and a table in memory",
    "q",
  ),
  row(0x04, "the address is beyond the width", "use an address below 2^AW, or a wider table", "q"),
  row(0x05, "no write permission", "set W in every entry on the way", "qr"),
  row(0x06, "no read permission", "set R in every entry on the way", "qr"),
  row(
    0x07,
    "a second-stage entry cannot be read",
    "point the entry above to a table in memory",
    "q",
  ),
  row(
    0x08,
    "the root table cannot be read",
    "put a table in memory into the root table address register",
    "",
  ),
  row(0x09, "the context table cannot be read", "point the root entry to a table in memory", ""),
  row(0x0a, "a reserved bit is set in the root entry", "clear it", ""),
  row(0x0b, "a reserved bit is set in the context entry", "clear it", "q"),
  row(0x0c, "a reserved bit is set in a second-stage entry", "clear it", "q"),
  row(0x0d, "the translation type does not serve device TLBs", "set TT to 01", "q"),
  row(
    0x0e,
    "the output is in the interrupt range",
    "map to an address outside FEE0_0000 to FEEF_FFFF",
    "q",
  ),
  row(
    0x20,
    "a reserved bit is set in the interrupt request",
    "clear the upper half of its data",
    "",
  ),
  row(0x21, "the interrupt index is beyond the table", "use a smaller index or a larger table", ""),
  row(0x22, "the interrupt remapping entry is not present", "set P in it", "q"),
  row(0x23, "the interrupt remapping entry cannot be read", "put the table into memory", ""),
  row(0x24, "a reserved bit is set in the interrupt remapping entry", "clear it", "q"),
  row(
    0x25,
    "an interrupt in compatibility format",
    "use remappable format, or switch compatibility format on",
    "",
  ),
  row(0x26, "the interrupt's source is not that of the entry", "correct SID, SQ and SVT", "q"),
  row(0x30, "the root table address register is not valid", "use a mode the unit has", ""),
  row(0x31, "a request with a PASID in legacy mode", "use scalable mode", ""),
  row(0x32, "a page request in legacy mode", "use scalable mode", ""),
  row(
    0x38,
    "the scalable root entry cannot be read",
    "put a table in memory into the root table address register",
    "",
  ),
  row(0x39, "the scalable root entry is not present", "set P in the half for the device", ""),
  row(0x3a, "a reserved bit is set in the scalable root entry", "clear it", ""),
  row(
    0x40,
    "the scalable context entry cannot be read",
    "point the root entry to a table in memory",
    "",
  ),
  row(
    0x41,
    "the scalable context entry is not present",
    "set P in the device's context entry",
    "q",
  ),
  row(0x42, "a reserved bit is set in the scalable context entry", "clear it", "q"),
  row(0x43, "the scalable context entry is not valid", "correct it", "q"),
  row(0x44, "device TLBs are off for the device", "set DTE in the context entry", "q"),
  row(0x45, "PASIDs are off for the device", "set PASIDE in the context entry", "q"),
  row(0x46, "the PASID is beyond the directory", "use a smaller PASID or a larger PDTS", "q"),
  row(0x47, "page requests are off for the device", "set PRE in the context entry", "q"),
  row(0x48, "RID_PASID is beyond the directory", "use a smaller RID_PASID or a larger PDTS", "q"),
  row(
    0x50,
    "the PASID directory entry cannot be read",
    "point the context entry to a directory in memory",
    "",
  ),
  row(0x51, "the PASID directory entry is not present", "set P in it", "qr"),
  row(0x52, "a reserved bit is set in the PASID directory entry", "clear it", "q"),
  row(0x58, "the PASID entry cannot be read", "point the directory entry to a table in memory", ""),
  row(0x59, "the PASID entry is not present", "set P in it", "qr"),
  row(0x5a, "a reserved bit is set in the PASID entry", "clear it", "q"),
  row(
    0x5b,
    "the PASID entry is not valid for this unit",
    "use a translation type and width the unit has",
    "q",
  ),
  row(0x5c, "execute requests are off", "do not execute", "q"),
  row(0x5d, "supervisor requests are off", "set SRE in the PASID entry", "q"),
  row(
    0x70,
    "a first-stage entry cannot be read",
    "point the entry above to a table in memory",
    "qr",
  ),
  row(0x71, "a first-stage entry is not present", "map the page", "qr"),
  row(0x72, "a reserved bit is set in a first-stage entry", "clear it", "qr"),
  row(0x73, "the first-stage top table cannot be read", "point FSPTPTR to a table in memory", "qr"),
  row(0x74, "a first-stage table is beyond the second stage", "put the table below 2^AW", "q"),
  row(
    0x75,
    "the second stage does not let the first-stage top table be read",
    "map the table's guest page with R",
    "q",
  ),
  row(
    0x76,
    "the second stage does not let a first-stage table be read",
    "map the table's guest page with R",
    "q",
  ),
  row(
    0x77,
    "the second stage does not let a first-stage table be written for A and D",
    "map the table's guest page with W",
    "q",
  ),
  row(
    0x78,
    "a second-stage entry cannot be read",
    "point the entry above to a table in memory",
    "q",
  ),
  row(0x79, "a second-stage entry is not present", "map the page", "qr"),
  row(0x7a, "a reserved bit is set in a second-stage entry", "clear it", "q"),
  row(0x7b, "the second-stage top table cannot be read", "point SSPTPTR to a table in memory", "q"),
  row(
    0x7c,
    "a second-stage A or D update is needed while page walks are not snooped",
    "set PWSNP, or A and D beforehand",
    "q",
  ),
  row(0x80, "the address is not canonical", "use a sign-extended address", "qr"),
  row(0x81, "a user request to a supervisor page", "set U/S in every entry on the way", "qr"),
  row(0x82, "no execute permission", "clear XD in every entry on the way", "qr"),
  row(0x83, "the address is beyond the host width", "use an address that memory can have", "q"),
  row(
    0x84,
    "the address is beyond the second stage",
    "use an address below 2^AW, or a wider table",
    "q",
  ),
  row(0x85, "no write permission", "set W in every entry on the way", "qr"),
  row(0x86, "no read permission", "set R in every entry on the way", "qr"),
  row(
    0x87,
    "the output is in the interrupt range",
    "map to an address outside FEE0_0000 to FEEF_FFFF",
    "q",
  ),
  row(
    0x90,
    "a first-stage A or D update is needed while page walks are not snooped",
    "set PWSNP, or A and D beforehand",
    "q",
  ),
  row(
    0x91,
    "memory refused a first-stage A or D update",
    "put the table into memory that can be written",
    "q",
  ),
];

/** The fault table by code. */
export const FAULT_REASONS: ReadonlyMap<number, FaultReason> = new Map(
  ROWS.map((r) => [r.code, r]),
);
