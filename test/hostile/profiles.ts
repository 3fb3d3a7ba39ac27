import {
  type Capabilities,
  createCapabilities,
  QEMU_7_2,
  QEMU_11_1_FIRST_STAGE,
  SERVER,
} from "../../src/hardware/vtd/index.ts";
import { CAP, ECAP } from "../../src/hardware/vtd/spec/index.ts";

const changed = (
  { cap, ecap, hostAddressWidth }: Capabilities,
  capChanges: Parameters<typeof CAP.encode>[0],
  ecapChanges: Parameters<typeof ECAP.encode>[0],
): Capabilities =>
  createCapabilities({
    cap: CAP.encode({ ...CAP.decode([cap]), ...capChanges })[0]!,
    ecap: ECAP.encode({ ...ECAP.decode([ecap]), ...ecapChanges })[0]!,
    hostAddressWidth,
  });

/** The units that a hostile guest is let loose on. */
export const HOSTILE_PROFILES: Readonly<Record<string, Capabilities>> = {
  /** All there is, protected memory, execute requests and stop markers too. */
  server: changed(SERVER, { PLMR: 1, PHMR: 1, NFR: 3 }, { ERS: 1, SMS: 1 }),
  /** Fields at their ends: registers beyond the first page, as many records and as large masks as can be. */
  edges: changed(
    SERVER,
    { FRO: 0x3ff, NFR: 255, MAMV: 63, MGAW: 63, ND: 7, ESRTPS: 0, ESIRTPS: 0 },
    { IRO: 0x200, MHMV: 0, RPS: 0, RPRIVS: 0 },
  ),
  legacy: QEMU_7_2,
  "first stage": QEMU_11_1_FIRST_STAGE,
};
