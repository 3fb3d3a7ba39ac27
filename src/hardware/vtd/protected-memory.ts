import type { RegisterFile } from "./register-file.ts";
import { PHMBASE, PHMLIMIT, PLMBASE, PLMLIMIT, PMEN } from "./spec/registers.ts";

/** The low bits of a limit register, which count as 1 (§11.4.8.3). */
const GRANULE = 0x1f_ffffn;

/** The protected memory regions: ranges that no DMA reaches while they are on (§11.4.8). */
export class ProtectedMemory {
  readonly #registers: RegisterFile;
  /** Tested before anything else, for it is off nearly always. */
  enabled = false;

  constructor(registers: RegisterFile) {
    this.#registers = registers;
    registers.onWrite(PMEN, () => this.follow());
  }

  /** Does what the registers say. */
  follow(): void {
    this.enabled = this.#registers.has(PMEN, "EPM");
    this.#registers.set(PMEN, "PRS", this.enabled);
  }

  /** Whether physical `address` lies in a region. */
  covers(address: bigint): boolean {
    const registers = this.#registers;
    const inside = (base: bigint, limit: bigint): boolean =>
      address >= base << 21n && address <= ((limit << 21n) | GRANULE);
    return (
      inside(registers.get(PLMBASE, "BASE"), registers.get(PLMLIMIT, "LIMIT")) ||
      inside(registers.get(PHMBASE, "BASE"), registers.get(PHMLIMIT, "LIMIT"))
    );
  }

  /** Puts the regions into their reset state. */
  reset(): void {
    this.enabled = false;
  }
}
