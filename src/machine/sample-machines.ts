import {
  CONTEXT_ENTRY,
  createCapabilities,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  ROOT_ENTRY,
  RTADDR,
  SCALABLE_CONTEXT_ENTRY,
  SCALABLE_ROOT_HALF,
  SERVER,
} from "../hardware/vtd/index.ts";
import { Machine } from "./machine.ts";

// Machines small enough to be written down whole, for tests.

const RAM = [{ base: 0n, length: 4n << 20n }] as const;
/** Requester ID of 00:03.0, the only device. */
export const DEVICE = 0x18;
/** The only address that it can reach. */
export const IOVA = 0x1234_5678n;

const store = (machine: Machine, address: bigint, words: readonly bigint[]): void => {
  words.forEach((word, i) => {
    machine.memory.write64(address + BigInt(i * 8), word);
  });
};

/** A chain of four tables from `top` for `input`: `tables` are at the addresses, the leaf is `leaf`. */
const chain = (
  machine: Machine,
  input: bigint,
  tables: readonly bigint[],
  attributes: bigint,
  leaf: bigint,
): void => {
  tables.forEach((table, i) => {
    const level = tables.length - 1 - i;
    const index = (input >> BigInt(12 + 9 * level)) & 511n;
    const next = tables[i + 1];
    machine.memory.write64(table + index * 8n, next === undefined ? leaf : next | attributes);
  });
};

/** A legacy machine; `leaf` is what translates `IOVA`. */
export const legacyMachine = (leaf = 0x5000n | 3n): Machine => {
  const capabilities = createCapabilities({
    cap: SERVER.cap,
    ecap: SERVER.ecap,
    hostAddressWidth: 52,
  });
  const machine = new Machine({ capabilities, ram: RAM, caches: "off" });
  store(machine, 0x1000n, ROOT_ENTRY.encode({ P: 1, CTP: 0x2000n }));
  store(
    machine,
    0x2000n + BigInt(DEVICE * 16),
    CONTEXT_ENTRY.encode({ P: 1, SSPTPTR: 0x10000n, AW: 2, DID: 7 }),
  );
  chain(machine, IOVA, [0x10000n, 0x11000n, 0x12000n, 0x13000n], 3n, leaf);
  machine.unit.setRootTable(0x1000n);
  machine.unit.setTranslation(true);
  return machine;
};

/** Stage 1 over stage 2, where guest page n is host page n + 0x100. */
export const nestedMachine = (): Machine => {
  const machine = new Machine({ capabilities: SERVER, ram: RAM, caches: "off" });
  store(machine, 0x1000n, SCALABLE_ROOT_HALF.encode({ P: 1, CTP: 0x2000n }));
  const context = SCALABLE_CONTEXT_ENTRY.encode({ P: 1, PASIDDIRPTR: 0x3000n });
  store(machine, 0x2000n + BigInt(DEVICE * 32), context);
  store(machine, 0x3000n, PASID_DIRECTORY_ENTRY.encode({ P: 1, SMPTBLPTR: 0x4000n }));
  const entry = {
    P: 1,
    AW: 2,
    PGTT: 3,
    DID: 9,
    PWSNP: 1,
    SSPTPTR: 0x10000n,
    FSPTPTR: 0x20000n,
  } as const;
  store(machine, 0x4000n, PASID_ENTRY.encode(entry));
  for (let page = 0x20n; page < 0x30n; page++) {
    const host = (page + 0x100n) << 12n;
    chain(machine, page << 12n, [0x10000n, 0x11000n, 0x12000n, 0x13000n], 3n, host | 3n);
  }
  chain(machine, IOVA, [0x120000n, 0x121000n, 0x122000n, 0x123000n], 7n, 0x28000n | 7n);
  // Guest tables hold guest addresses.
  for (const [i, table] of [0x120000n, 0x121000n, 0x122000n].entries()) {
    const index = (IOVA >> BigInt(12 + 9 * (3 - i))) & 511n;
    machine.memory.write64(table + index * 8n, (0x21000n + BigInt(i) * 0x1000n) | 7n);
  }
  machine.unit.setRootTable(RTADDR.encode({ TTM: 1, RTA: 0x1000n })[0]!);
  machine.unit.setTranslation(true);
  return machine;
};
