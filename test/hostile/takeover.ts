import * as engineSpec from "../../src/hardware/devices/spec/engine-registers.ts";
import { buildTables } from "./contents.ts";
import { AT, QIE, REGISTER, SRTP, TE } from "./layout.ts";
import type { HostileMachine } from "./machine.ts";
import type { Allowance } from "./write-watch.ts";

/** Does something while all that watch look on; returns what they have to say. */
export type Watched = (allowance: Allowance, work: () => void) => string | undefined;

/** What a driver writes in one go. */
type Writes = readonly (readonly [offset: number, width: 4 | 8, value: bigint])[];

const TICKET = 0x5af_e123;
const STATUS = AT.status + 0x800;
const VALUE = 0x1122_3344_5566_7788n;

/** A driver, and what it finds when it takes over. Each of its parts returns what does not work. */
class Driver {
  readonly #machine: HostileMachine;
  readonly #watched: Watched;
  #tail = 0;

  constructor(machine: HostileMachine, watched: Watched) {
    this.#machine = machine;
    this.#watched = watched;
  }

  #write(writes: Writes): string | undefined {
    for (const [offset, width, value] of writes) {
      const wrong = this.#watched({}, () => this.#machine.write(offset, width, value));
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  /** Everything off, and every condition seen to. */
  quiesce(): string | undefined {
    const { GCMD, GSTS, FSTS, ICS, PRS, IQH } = REGISTER;
    const machine = this.#machine;
    const off = this.#write([[GCMD, 4, 0n]]);
    if (off !== undefined) return off;
    if ((machine.read32(GSTS) & 0x8400_0000) !== 0) return "TES or QIES stays set";
    if (machine.read(IQH, 8) !== 0n) return "IQH stays";
    const { cap, faultRecords } = machine.unit.capabilities;
    const first = Number((cap >> 24n) & 0x3ffn) * 16;
    const wrong =
      this.#write(
        Array.from(
          { length: faultRecords },
          (_, i) => [first + 16 * i + 12, 4, 1n << 31n] as const,
        ),
      ) ?? this.#write([FSTS, ICS, PRS].map((status) => [status, 4, 0x7fn] as const));
    if (wrong !== undefined) return wrong;
    const pending = [FSTS, ICS, PRS].some((status) => (machine.read32(status) & 0x7f) !== 0);
    return pending ? "a condition stays" : undefined;
  }

  /** Tables, queue and translation on, in scalable mode where there is one. */
  enable(): string | undefined {
    const { RTADDR, GCMD, IQT, IQA, PMEN } = REGISTER;
    const { capabilities } = this.#machine.unit;
    buildTables(this.#machine.ram, capabilities);
    const root = BigInt(capabilities.has("SMTS") ? AT.root | 0x400 : AT.legacyRoot);
    return this.#write([
      [PMEN, 4, 0n],
      [IQT, 8, 0n],
      [IQA, 8, BigInt(AT.queue)],
      [RTADDR, 8, root],
      [GCMD, 4, SRTP],
      [GCMD, 4, QIE],
      [GCMD, 4, QIE | TE],
    ]);
  }

  #submit(descriptors: readonly (readonly bigint[])[]): string | undefined {
    for (const words of descriptors) {
      this.#machine.ram.poke(AT.queue + this.#tail, ...words);
      this.#tail += 16;
    }
    return this.#write([[REGISTER.IQT, 8, BigInt(this.#tail)]]);
  }

  /** Invalidates everything, and waits. */
  flush(): string | undefined {
    this.#machine.ram.poke(STATUS, 0n);
    const wait = 0x35n | (BigInt(TICKET) << 32n);
    const wrong = this.#submit([
      [0x11n, 0n],
      [0x12n, 0n],
      [wait, BigInt(STATUS)],
    ]);
    if (wrong !== undefined) return wrong;
    if (this.#machine.ram.read64(BigInt(STATUS)) !== BigInt(TICKET))
      return "a wait does not complete";
    return (this.#machine.read32(REGISTER.ICS) & 1) === 1 ? undefined : "its event does not come";
  }

  /** The first engine reads page 3. */
  transfer(): string | undefined {
    const engine = this.#machine.engines[0]!;
    this.#machine.ram.poke(AT.data + 0x3000, VALUE);
    const wrong = this.#watched({ bytes: 8 }, () => {
      engine.writeRegister(0, 8, 8, 0x3000n);
      engine.writeRegister(0, 0x10, 4, 8n);
      engine.writeRegister(0, 0x14, 4, 0n);
      engine.writeRegister(0, 0x18, 4, BigInt(engineSpec.OPERATIONS.read));
    });
    if (wrong !== undefined) return wrong;
    const found = engine.readRegister(0, engineSpec.ENGINE_BUFFER, 8);
    return found === VALUE ? undefined : "DMA does not get there";
  }
}

/**
 * After all that, a driver that minds the rules takes the unit over, without a
 * reset of it. Everybody who owes something has done it before, and engines
 * have been reset.
 *
 * @returns what does not work
 */
export const takeOver = (machine: HostileMachine, watched: Watched): string | undefined => {
  for (const engine of machine.engines) machine.enable(engine);
  const driver = new Driver(machine, watched);
  return driver.quiesce() ?? driver.enable() ?? driver.flush() ?? driver.transfer();
};
