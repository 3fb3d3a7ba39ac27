import fc from "fast-check";
import { expect, test } from "vitest";
import { frameHigh, frameLow, frameOf } from "../../bits/halves.ts";
import { createSparseMemory } from "../../memory/create.ts";
import { type DmaRequest, READ, type Translator, WRITE } from "./dma-request.ts";
import { Fabric } from "./fabric.ts";
import { Topology } from "./topology.ts";

const PAGES = 8;
const REFUSED = { code: 1, message: "refused" };

/** Eight pages in another order, some of them missing. */
const permuted = (frames: readonly (number | undefined)[]): Translator => ({
  translate(request: DmaRequest): boolean {
    const to = frames[frameOf(request.hi, request.lo)];
    if (to === undefined) {
      request.fault = REFUSED;
      return false;
    }
    request.outHi = frameHigh(to);
    request.outLo = frameLow(to) | (request.lo & 0xfff);
    return true;
  },
});

const operation = fc.record({
  write: fc.boolean(),
  hold: fc.boolean(),
  at: fc.oneof(
    fc.nat(PAGES * 4096 - 1),
    fc.nat(PAGES - 1).map((page) => page * 4096 + 4090),
  ),
  length: fc.oneof(fc.nat(16), fc.nat(3 * 4096)),
});

test("PCI-DMA-03, PCI-DMA-04: transfers equal a byte-by-byte model, whole, partial, held and not", () => {
  const outcomes = { ok: 0, partial: 0, nothing: 0 };
  fc.assert(
    fc.property(
      fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: PAGES }),
      fc.array(fc.boolean(), { minLength: PAGES, maxLength: PAGES }),
      fc.array(operation, { minLength: 1, maxLength: 12 }),
      (order, present, operations) => {
        const topology = new Topology();
        const fn = topology.addRootBus().add({ kind: "integrated-endpoint", device: 1 });
        fn.config.write(4, 2, 4);
        const memory = createSparseMemory([{ base: 0n, length: BigInt(PAGES * 4096) }]);
        const fabric = new Fabric(topology, memory);
        const frames = order.map((frame, page) => (present[page] ? frame : undefined));
        fabric.attach(permuted(frames), { kind: "segment", segment: 0 });
        const port = fabric.port(fn);
        const model = new Uint8Array(PAGES * 4096);
        operations.forEach(({ write, hold, at, length }, salt) => {
          const bytes = Uint8Array.from({ length }, (_, i) => (write ? i * 31 + salt + 1 : 0));
          const expected = bytes.slice();
          let reached = 0;
          for (; reached < length; reached++) {
            const to = frames[(at + reached) >>> 12];
            if (to === undefined) break;
            const place = to * 4096 + ((at + reached) & 0xfff);
            if (write) model[place] = bytes[reached]!;
            else expected[reached] = model[place]!;
          }
          const access = write ? WRITE : READ;
          const address = BigInt(at);
          const result = hold
            ? port.begin(address, length, access).finish(bytes)
            : port.transfer(address, bytes, access);
          if (reached === length) expect(result).toEqual({ ok: true });
          else expect(result).toEqual({ ok: false, fault: REFUSED, transferred: reached });
          expect(Buffer.compare(bytes, expected)).toBe(0);
          outcomes[reached === length ? "ok" : reached > 0 ? "partial" : "nothing"]++;
        });
        const all = new Uint8Array(PAGES * 4096);
        memory.read(0n, all);
        expect(Buffer.compare(all, model)).toBe(0);
        expect(fabric.inFlight.count).toBe(0);
      },
    ),
    { seed: 6, numRuns: 40 },
  );
  for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(25);
});
