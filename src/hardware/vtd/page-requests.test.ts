import { describe, expect, test } from "vitest";
import { type Command, EngineRig } from "../../../test/engine-rig.ts";
import { NOWHERE } from "../../../test/vtd-tables.ts";
import { PAGE_REQUEST_CAPABILITY } from "../pci/index.ts";
import { createCapabilities } from "./capabilities.ts";

import { SERVER } from "./profiles.ts";
import { PAGE_GROUP_RESPONSE_DESCRIPTOR } from "./spec/descriptors.ts";
import { PAGE_REQUEST_DESCRIPTOR } from "./spec/page-request.ts";
import { FRCD, PEADDR, PECTL, PEDATA, PEUADDR, PQA, PQH, PQT, PRS } from "./spec/registers.ts";

const PAGE = 0x7000n;
const TARGET = 0x20_0000n;
const LAST = { last: 1, group: 9 } as const;

/** A machine with a page request queue; PASID 5 uses a first stage (domain 2) that maps page 7 for reading. */
class PageRig extends EngineRig {
  readonly requests: bigint;
  readonly leaf: bigint;
  #head = 0;

  constructor(options: ConstructorParameters<typeof EngineRig>[0] = {}) {
    super(options);
    this.requests = this.page();
    const first = this.page();
    const [leaf] = this.mapFirst(first, PAGE, TARGET | 0x65n);
    this.leaf = leaf!;
    if (!this.legacy) {
      this.context({ PASIDE: 1, DTE: 1, PRE: 1 });
      this.pasidEntry({ PGTT: 2, SSPTPTR: this.page() }, 0);
      this.pasidEntry({ PGTT: 1, FSPTPTR: first, DID: 2, PWSNP: 1 }, 5);
    }
    this.write(PQA, this.requests);
    this.write(PQH, 0n);
    this.write(PQT, 0n);
  }

  /** Requests in the queue that have not been taken, as software reads them. */
  take(): { readonly [N in keyof typeof PAGE_REQUEST_DESCRIPTOR.fields]: bigint }[] {
    const tail = Number(this.read(PQT).PQT);
    const taken = [];
    for (; this.#head !== tail; this.#head = (this.#head + 1) % 128) {
      const at = this.requests + BigInt(32 * this.#head);
      taken.push(PAGE_REQUEST_DESCRIPTOR.decode([0n, 8n, 16n, 24n].map((i) => this.peek(at + i))));
    }
    this.write(PQH, BigInt(32 * tail));
    return taken;
  }

  /** Has the engine ask for a page; PASID 5 unless `pasid` says otherwise, `null` for none. */
  ask(flags: Command["flags"] & object, pasid: number | null = 5, address = PAGE): string {
    return this.run("requestPage", { address, flags, ...(pasid === null ? {} : { pasid }) });
  }

  /** Sends a request that does not come from the engine, so that none is outstanding. */
  raw(last = true): string {
    return this.unit.requestPage({
      source: this.source,
      pasid: 5,
      address: PAGE,
      read: true,
      write: false,
      execute: false,
      privileged: false,
      group: 1,
      last,
    });
  }
}

describe("page request queue", () => {
  test("VTD-PRQ-01: the descriptor, field by field", () => {
    const rig = new PageRig();
    expect(rig.ask({ group: 0x1fe, wantsWrite: 1 }, 5, 0x7fff_ffff_f123n)).toBe("ok");
    expect(rig.ask({ group: 3, execute: 1, privileged: 1 }, 5)).toBe("ok");
    expect(rig.ask(LAST, null)).toBe("busy");
    const base = { TYPE: 1n, RID: BigInt(rig.source), R: 1n };
    expect(rig.take()).toEqual([
      {
        ...base,
        PP: 1n,
        PASID: 5n,
        EXR: 0n,
        PMR: 0n,
        W: 1n,
        LPIG: 0n,
        PRGI: 0x1fen,
        ADDR: 0x7fff_ffff_f000n,
      },
      { ...base, PP: 1n, PASID: 5n, EXR: 1n, PMR: 1n, W: 0n, LPIG: 0n, PRGI: 3n, ADDR: PAGE },
      { ...base, PP: 0n, PASID: 0n, EXR: 0n, PMR: 0n, W: 0n, LPIG: 1n, PRGI: 9n, ADDR: PAGE },
    ]);
    expect([0, 16, 24].map((i) => rig.peek(rig.requests + BigInt(i)))).toEqual([
      0x0000_0005_0010_0101n,
      0n,
      0n,
    ]);
  });

  test("VTD-PRQ-01: around the end of the queue", () => {
    const rig = new PageRig();
    for (let i = 0; i < 300; i++) {
      expect([rig.raw(), rig.take().length]).toEqual(["queued", 1]);
    }
    expect(rig.read(PQT).PQT).toBe(300n % 128n);
    rig.write(PQA, rig.requests | 1n);
    rig.write(PQH, 0n);
    rig.write(PQT, 255n * 32n);
    expect(rig.raw()).toBe("overflow");
    rig.write(PRS, 2n);
    rig.write(PQH, 32n);
    expect([rig.raw(), rig.read(PQT).PQT]).toEqual(["queued", 0n]);
  });

  test("VTD-PRQ-02, VTD-PRQ-03: the event, once, masked and not", () => {
    const rig = new PageRig();
    rig.raw();
    rig.raw();
    expect(rig.read(PRS)).toEqual({ PPR: 1n, PRO: 0n });
    expect([rig.read(PECTL), rig.interrupts.length]).toEqual([{ IP: 1n, IM: 1n }, 0]);
    rig.unmask(PECTL, PEDATA, PEADDR, 0x66);
    expect(rig.read(PECTL)).toEqual({ IP: 0n, IM: 0n });
    expect(rig.interrupts.map(({ vector }) => vector)).toEqual([0x66]);
    rig.raw();
    expect(rig.interrupts).toHaveLength(1);
    rig.write(PRS, 1n);
    expect(rig.read(PRS)).toEqual({ PPR: 0n, PRO: 0n });
    rig.write(PEUADDR, 0x100n);
    rig.raw();
    expect(rig.interrupts[1]).toMatchObject({ vector: 0x66, destination: 0x100 });
    rig.write(PRS, 1n);
    rig.write(PECTL, 0x8000_0000n);
    rig.raw();
    expect(rig.read(PECTL).IP).toBe(1n);
    rig.write(PRS, 1n);
    expect(rig.read(PECTL).IP).toBe(0n);
    rig.write(PECTL, 0n);
    expect(rig.interrupts).toHaveLength(2);
  });

  test("VTD-PRQ-04, VTD-PRQ-05: a full queue, and what the device is told", () => {
    const rig = new PageRig();
    rig.unmask(PECTL, PEDATA, PEADDR, 0x66);
    for (let i = 0; i < 127; i++) expect(rig.raw()).toBe("queued");
    expect(rig.interrupts).toHaveLength(1);
    expect(rig.ask({ group: 9 })).toBe("ok");
    expect(rig.response().valid).toBe(0n);
    expect(rig.read(PRS)).toEqual({ PPR: 1n, PRO: 1n });
    expect(rig.interrupts).toHaveLength(2);
    expect(rig.ask(LAST)).toBe("ok");
    expect(rig.response()).toEqual({ valid: 1n, code: 0n, group: 9n });
    expect(rig.interrupts).toHaveLength(2);
    expect(rig.take()).toHaveLength(127);
    // Room alone is not enough.
    expect(rig.raw()).toBe("overflow");
    rig.write(PRS, 2n);
    expect(rig.raw()).toBe("queued");
    expect(rig.faults()).toEqual([]);
  });

  test("VTD-PRQ-04: a queue in no memory", () => {
    const rig = new PageRig();
    rig.write(PQA, NOWHERE);
    expect([rig.ask(LAST), rig.read(PRS).PRO, rig.read(PQT).PQT]).toEqual(["ok", 1n, 0n]);
  });
});

describe("refusals", () => {
  test("VTD-PRQ-06, VTD-PRQ-07: translation off, and abort-DMA mode", () => {
    const rig = new PageRig();
    rig.command(31, false);
    expect([rig.ask(LAST), rig.response().code, rig.faults()]).toEqual(["01", 1n, []]);
    rig.unit.writeRegister(0x20, 8, 0xc00n);
    rig.command(30);
    rig.command(31);
    expect([rig.ask(LAST), rig.faults(), rig.take()]).toEqual(["01", [], []]);
  });

  test("VTD-PRQ-06: legacy mode", () => {
    const rig = new PageRig({ mode: "legacy" });
    rig.legacyContext({ TT: 1, SSPTPTR: rig.page() });
    expect(rig.ask(LAST, null)).toBe("01");
    expect(rig.faults()).toMatchObject([{ code: "32", source: rig.source, info: PAGE }]);
  });

  test("VTD-PRQ-06, VTD-PRQ-07: what the context entry refuses", () => {
    const outcome = (
      context: Parameters<PageRig["context"]>[0],
      pasid: number | null = 5,
    ): string => {
      const rig = new PageRig();
      rig.context(context);
      rig.flush();
      const status = rig.ask(LAST, pasid);
      return `${status} ${rig.faults().map(({ code }) => code)}`;
    };
    expect(outcome({ PASIDE: 1, DTE: 1, PRE: 1 })).toBe("busy ");
    expect(outcome({ PASIDE: 1, DTE: 1 })).toBe("01 47");
    expect(outcome({ PASIDE: 1, DTE: 1 }, null)).toBe("01 47");
    expect(outcome({ DTE: 1, PRE: 1 })).toBe("01 45");
    expect(outcome({ PASIDE: 1, DTE: 1, PRE: 1 }, 0x2000)).toBe("01 46");
    expect(outcome({ P: 0, PRE: 1 })).toBe("01 41");
    expect(outcome({ PASIDE: 1, DTE: 1, FPD: 1 })).toBe("01 ");
  });

  test("VTD-PRQ-07: a request that is not the last of its group has no answer", () => {
    const rig = new PageRig();
    rig.context({ PASIDE: 1, DTE: 1 });
    rig.flush();
    expect([rig.ask({ group: 9 }), rig.response().valid]).toEqual(["ok", 0n]);
    expect([rig.ask(LAST), rig.response().valid]).toEqual(["01", 1n]);
  });

  test("VTD-PRQ-08: what is recorded", () => {
    const rig = new PageRig();
    rig.context({ PASIDE: 1, DTE: 1 });
    rig.flush();
    rig.ask({ execute: 1, privileged: 1, ...LAST });
    expect(rig.read(FRCD)).toMatchObject({
      F: 1n,
      FR: 0x47n,
      T1: 0n,
      T2: 1n,
      PP: 1n,
      PV: 5n,
      EXE: 1n,
      PRIV: 1n,
      SID: BigInt(rig.source),
      FI: PAGE,
    });
  });
});

describe("from request to response", () => {
  test("VTD-PRQ-10: a fault is served: DMA fails, the page is asked for and mapped, DMA succeeds", () => {
    const rig = new PageRig();
    rig.memory.write8(TARGET, 0x42);
    rig.unmask(PECTL, PEDATA, PEADDR, 0x66);
    rig.poke(rig.leaf, 0n);
    const flags = { translated: 1 };
    expect(rig.load(PAGE, { pasid: 5, flags })).toBe("fault 71");
    expect(rig.faults()).toEqual([]);
    expect(rig.ask(LAST)).toBe("busy");
    expect(rig.interrupts).toHaveLength(1);
    const [request] = rig.take();
    rig.write(PRS, 1n);
    rig.poke(rig.leaf, TARGET | 0x67n);
    const { RID, PASID, PRGI } = request!;
    rig.place(9, PAGE_GROUP_RESPONSE_DESCRIPTOR, { PP: 1, PASID, RID, LPIG: 1, PRGI });
    const done = rig.wait();
    expect([rig.status(), done()]).toEqual(["ok", true]);
    expect(rig.response()).toEqual({ valid: 1n, code: 0n, group: 9n });
    expect(rig.load(PAGE, { pasid: 5, flags })).toBe("42");
  });

  test("VTD-PRQ-10: invalid, failure, and answers that nobody waits for", () => {
    const rig = new PageRig();
    const { config } = rig.engine.function;
    const flag = (name: "responseFailure" | "unexpectedGroupIndex") =>
      config.get(PAGE_REQUEST_CAPABILITY.layout, name);
    const answer = (values: Parameters<typeof PAGE_GROUP_RESPONSE_DESCRIPTOR.encode>[0]) =>
      rig.submit(9, PAGE_GROUP_RESPONSE_DESCRIPTOR, {
        PP: 1,
        PASID: 5,
        RID: rig.source,
        LPIG: 1,
        PRGI: 9,
        ...values,
      });
    rig.ask(LAST);
    answer({ PRGI: 8 });
    answer({ PASID: 6 });
    answer({ PP: 0, PASID: 0 });
    answer({ RID: 0x123 });
    expect([rig.status(), flag("unexpectedGroupIndex")]).toEqual(["busy", 1]);
    answer({ RC: 1 });
    expect([rig.status(), rig.response().code]).toEqual(["01", 1n]);
    rig.ask(LAST);
    answer({ RC: 15 });
    expect([rig.status(), flag("responseFailure")]).toEqual(["0f", 1]);
    const done = rig.wait({ PD: 1 });
    expect(done()).toBe(true);
  });

  test("VTD-PRQ-09: what the unit has cached of the page goes", () => {
    const rig = new PageRig();
    rig.memory.write8(TARGET, 0x42);
    rig.memory.write8(TARGET + 0x1000n, 0x43);
    expect(rig.load(PAGE, { pasid: 5 })).toBe("42");
    rig.poke(rig.leaf, (TARGET + 0x1000n) | 0x67n);
    expect(rig.load(PAGE, { pasid: 5 })).toBe("42");
    rig.ask({ group: 9 }, 5, PAGE + 0x1000n);
    expect(rig.load(PAGE, { pasid: 5 })).toBe("42");
    rig.ask(LAST, 5, PAGE);
    rig.engine.respond({ destination: rig.source, pasid: 5, group: 9, code: 0 });
    expect(rig.load(PAGE, { pasid: 5 })).toBe("43");
  });

  test("VTD-PRQ-06: a unit without page requests", () => {
    const PRS_BIT = 1n << 29n;
    const capabilities = createCapabilities({
      cap: SERVER.cap,
      ecap: SERVER.ecap & ~PRS_BIT,
      hostAddressWidth: 52,
    });
    const rig = new PageRig({ capabilities });
    expect(rig.ask(LAST, null)).toBe("01");
    expect(rig.take()).toEqual([]);
  });

  const withMarkers = (): PageRig => {
    const { cap, ecap } = SERVER;
    const SMS = 1n << 58n;
    return new PageRig({
      capabilities: createCapabilities({ cap, ecap: ecap | SMS, hostAddressWidth: 52 }),
    });
  };
  const mark = (rig: PageRig): string => rig.run("stopMarker", { pasid: 5 });

  test("VTD-PRQ-11: a Stop Marker in the queue, and no answer to it", () => {
    const rig = withMarkers();
    rig.memory.write8(TARGET, 0x42);
    expect(rig.load(0x7000n, { pasid: 5 })).toBe("42");
    expect([rig.ask({ group: 3 }), mark(rig)]).toEqual(["ok", "ok"]);
    const fields = { PASID: 5n, PP: 1n, TYPE: 1n, RID: BigInt(rig.source) };
    expect(rig.take()).toMatchObject([
      { ...fields, R: 1n, LPIG: 0n, PRGI: 3n },
      { ...fields, R: 0n, W: 0n, LPIG: 1n, PRGI: 0n, ADDR: 0n },
    ]);
    expect([rig.response().valid, rig.engine.function.pageRequests.outstanding]).toEqual([0n, 1]);
    // No room, and PRE=0: no answer either.
    rig.write(PQH, 32n);
    rig.write(PQT, 0n);
    expect([mark(rig), rig.read(PRS).PRO, rig.response().valid]).toEqual(["ok", 1n, 0n]);
    rig.context({ PASIDE: 1, DTE: 1 });
    rig.flush();
    expect([mark(rig), rig.response().valid]).toEqual(["ok", 0n]);
    expect(rig.faults().map(({ code }) => code)).toEqual(["47"]);
  });

  test("VTD-PRQ-12: a unit without Stop Markers", () => {
    const rig = new PageRig();
    expect([mark(rig), rig.take(), rig.faults(), rig.read(PRS)]).toEqual([
      "ok",
      [],
      [],
      { PPR: 0n, PRO: 0n },
    ]);
    rig.context({ PASIDE: 1, DTE: 1 });
    rig.flush();
    expect([mark(rig), rig.faults()]).toEqual(["ok", []]);
  });
});
