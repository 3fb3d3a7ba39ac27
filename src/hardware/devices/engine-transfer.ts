import { type DmaPort, type InFlight, TRANSLATED, UNTRANSLATED } from "../pci/index.ts";

/** A run of bytes that one kind of request moves. */
export interface Span {
  readonly address: bigint;
  /** Bytes. */
  readonly length: number;
  /** `READ`, `WRITE`, `EXECUTE` and `PRIVILEGED`, or-ed. */
  readonly access: number;
  /** The PASID, or `NO_PASID`. */
  readonly pasid: number;
  /** Whether the address is one that ATS returned. */
  readonly isTranslated: boolean;
}

const typeOf = ({ isTranslated }: Span): number => (isTranslated ? TRANSLATED : UNTRANSLATED);

/** A transfer of the engine: carried out at once, or held between translation and memory. */
export class EngineTransfer {
  readonly #port: DmaPort;
  readonly #spans: readonly Span[];
  readonly #bytes: Uint8Array;
  #held: readonly InFlight[] = [];

  /** @param bytes what is moved: as long as all spans together */
  constructor(port: DmaPort, spans: readonly Span[], bytes: Uint8Array) {
    this.#port = port;
    this.#spans = spans;
    this.#bytes = bytes;
  }

  /** Carries it out; returns 0, or the code of what was refused. */
  run(): number {
    let at = 0;
    for (const span of this.#spans) {
      const bytes = this.#bytes.subarray(at, at + span.length);
      const { address, access, pasid } = span;
      const result = this.#port.transfer(address, bytes, access, pasid, typeOf(span));
      if (!result.ok) return result.fault.code;
      at += span.length;
    }
    return 0;
  }

  /** Has it translated, and holds it; returns 0, or the code of what was refused at once. */
  begin(): number {
    const held = this.#spans.map((span) =>
      this.#port.begin(span.address, span.length, span.access, span.pasid, typeOf(span)),
    );
    const refused = held[0]?.translated === 0 ? held[0].fault : undefined;
    if (refused === undefined) {
      this.#held = held;
      return 0;
    }
    for (const each of held) each.abort(refused);
    return refused.code;
  }

  /** Lets it go on to memory; returns 0, or the code of what was refused. */
  finish(): number {
    let at = 0;
    let code = 0;
    for (const each of this.#held) {
      const result = each.finish(this.#bytes.subarray(at, at + each.length));
      if (!result.ok && code === 0) code = result.fault.code;
      at += each.length;
    }
    return code;
  }
}
