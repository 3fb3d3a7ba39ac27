/** Units that the random machines are built for. */
export interface UnitProfile {
  readonly name: string;
  readonly cap: bigint;
  readonly ecap: bigint;
  readonly hostAddressWidth: number;
  readonly erratum772415: boolean;
  readonly unsnoopedUpdates: boolean;
}

const unit = (
  name: string,
  cap: bigint,
  ecap: bigint,
  rest: Partial<UnitProfile> = {},
): UnitProfile => ({
  name,
  cap,
  ecap,
  hostAddressWidth: Number((cap >> 16n) & 0x3fn) + 1,
  erratum772415: false,
  unsnoopedUpdates: false,
  ...rest,
});

const ones = (...positions: readonly number[]): bigint =>
  positions.reduce((value, position) => value | (1n << BigInt(position)), 0n);

/** CAP: 3 to 5 second-stage levels, 57 guest bits, 2M and 1G, FS1GP, FS5LP, ESIRTPS, ESRTPS. */
const SERVER_CAP = ones(1, 2, 9, 10, 11, 34, 35, 39, 56, 60, 62, 63) | (56n << 16n) | (18n << 48n);
/** ECAP: everything that translation depends on, and 20 bits of PASID. */
const SERVER_ECAP =
  ones(0, 1, 2, 3, 6, 7, 26, 29, 30, 31, 34, 40, 42, 43, 45, 46, 47, 48, 49, 52, 53) |
  (19n << 35n) |
  (0xfn << 8n);

const SERVER = unit("server", SERVER_CAP, SERVER_ECAP, { hostAddressWidth: 52 });

/** A server without one bit of ECAP. */
const without = (name: string, position: number): UnitProfile => ({
  ...SERVER,
  name: `server without ${name}`,
  ecap: SERVER_ECAP & ~ones(position),
});

const withoutCap = (name: string, ...positions: readonly number[]): UnitProfile => ({
  ...SERVER,
  name: `server without ${name}`,
  cap: SERVER_CAP & ~ones(...positions),
});

export const SERVER_PROFILE: UnitProfile = SERVER;

/** With what weight each unit is drawn. */
export const PROFILES: readonly (readonly [weight: number, profile: UnitProfile])[] = [
  [10, unit("QEMU 7.2 legacy", 0x00d2_008c_2226_0206n, 0x0f0_0f4an, { unsnoopedUpdates: true })],
  [
    10,
    unit("QEMU 11.1 first stage", 0x81d2_008c_222f_0606n, 0x8800_00f0_0f4an, {
      unsnoopedUpdates: true,
    }),
  ],
  [
    10,
    unit("QEMU second stage", 0x80d2_008c_222f_0606n, 0x4800_80f0_0f4an, {
      unsnoopedUpdates: true,
    }),
  ],
  [40, SERVER],
  [6, { ...SERVER, name: "server of 46 bits", hostAddressWidth: 46 }],
  [10, { ...SERVER, name: "server with erratum 772415", erratum772415: true }],
  [4, { ...SERVER, name: "server that updates unsnooped", unsnoopedUpdates: true }],
  [1, without("DT", 2)],
  [1, without("PT", 6)],
  [1, without("SC", 7)],
  [1, { ...without("MTS and with it", 25), name: "server with MTS", ecap: SERVER_ECAP | ones(25) }],
  [1, without("NEST", 26)],
  [1, without("PRS", 29)],
  [2, without("ERS", 30)],
  [1, without("SRS", 31)],
  [1, without("EAFS", 34)],
  [1, without("PASID", 40)],
  [1, without("SMTS", 43)],
  [1, without("SSADS", 45)],
  [1, without("SSTS", 46)],
  [1, without("FSTS", 47)],
  [1, without("SMPWCS", 48)],
  [1, without("RPS", 49)],
  [1, without("ADMS", 52)],
  [1, without("RPRIVS", 53)],
  [
    1,
    {
      ...SERVER,
      name: "server of 8 PASID bits",
      ecap: (SERVER_ECAP & ~(0x1fn << 35n)) | (7n << 35n),
    },
  ],
  [1, withoutCap("FS1GP", 56)],
  [1, withoutCap("FS5LP", 60)],
  [1, withoutCap("large second-stage pages", 34, 35)],
  [1, withoutCap("1G second-stage pages", 35)],
  [1, withoutCap("5 levels", 11)],
];
