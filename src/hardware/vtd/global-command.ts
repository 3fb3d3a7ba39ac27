import type { Capabilities } from "./capabilities.ts";
import type { RegisterFile } from "./register-file.ts";
import { GCMD, GSTS, IRTA } from "./spec/registers.ts";
import { RTADDR } from "./spec/root-table-address.ts";

/** What GCMD commands. */
export interface CommandTargets {
  setRootTable(rtaddr: bigint): void;
  /** Whether requests are translated, whatever GSTS says yet. */
  isTranslating(): boolean;
  setTranslation(enabled: boolean): void;
  /** Calls `callback` once every request that has been let through by now has touched memory. */
  whenDrained(callback: () => void): void;
  enableQueue(): void;
  disableQueue(): void;
  setInterruptTable(address: bigint, entries: number, extended: boolean): void;
  setInterruptRemapping(enabled: boolean): void;
  setCompatibleInterrupts(enabled: boolean): void;
}

/**
 * The global command register (§11.4.4.1). Level bits mean what they say at
 * every write, so that a command that leaves one out switches it off; one-shot
 * bits act when written 1. Several in one write act in this order: root table,
 * interrupt table, queue, interrupt remapping, compatibility format,
 * translation.
 */
export class GlobalCommand {
  readonly #registers: RegisterFile;
  readonly #capabilities: Capabilities;
  readonly #targets: CommandTargets;
  #draining = false;
  /** Translation was switched again while requests from before were waited for. */
  #drainsAgain = false;

  constructor(registers: RegisterFile, capabilities: Capabilities, targets: CommandTargets) {
    this.#registers = registers;
    this.#capabilities = capabilities;
    this.#targets = targets;
    registers.onWrite(GCMD, (written) => this.#command(written));
  }

  #command(written: bigint): void {
    const registers = this.#registers;
    const { SRTP, SIRTP, QIE, IRE, CFI, TE } = GCMD.decode([written]);
    const remaps = this.#capabilities.has("IR");
    if (SRTP === 1n) this.#setRootTable();
    if (SIRTP === 1n && remaps) this.#setInterruptTable();
    if (this.#capabilities.has("QI")) this.#switchQueue(QIE === 1n);
    if (remaps) {
      registers.set(GSTS, "IRES", IRE);
      this.#targets.setInterruptRemapping(IRE === 1n);
      const passes = this.#capabilities.deviations.compatibleInterruptsPass;
      registers.set(GSTS, "CFIS", passes ? 0n : CFI);
      this.#targets.setCompatibleInterrupts(passes || CFI === 1n);
    }
    if (this.#targets.isTranslating() === (TE === 1n)) return;
    this.#targets.setTranslation(TE === 1n);
    if (this.#draining) this.#drainsAgain = true;
    else this.#followTranslation();
  }

  /** TES follows once the requests are over that went through before (§11.4.4.1). At most one wait for them is under way. */
  #followTranslation(): void {
    this.#draining = true;
    this.#targets.whenDrained(() => {
      this.#draining = false;
      if (!this.#drainsAgain) {
        this.#registers.set(GSTS, "TES", this.#targets.isTranslating());
        return;
      }
      this.#drainsAgain = false;
      this.#followTranslation();
    });
  }

  #setRootTable(): void {
    const registers = this.#registers;
    registers.set(GSTS, "RTPS", 0);
    this.#targets.setRootTable(
      registers.get(RTADDR, "RTA") | (registers.get(RTADDR, "TTM") << 10n),
    );
    registers.set(GSTS, "RTPS", 1);
  }

  #setInterruptTable(): void {
    const registers = this.#registers;
    const { has, deviations } = this.#capabilities;
    registers.set(GSTS, "IRTPS", 0);
    this.#targets.setInterruptTable(
      registers.get(IRTA, "IRTA"),
      2 << Number(registers.get(IRTA, "S")),
      registers.has(IRTA, "EIME") && (has("EIM") || deviations.extendedInterruptsAnywhere),
    );
    registers.set(GSTS, "IRTPS", 1);
  }

  #switchQueue(on: boolean): void {
    if (this.#registers.has(GSTS, "QIES") === on) return;
    if (on) this.#targets.enableQueue();
    else this.#targets.disableQueue();
  }
}
