import type { Layout, ReservedBy } from "../../struct/layout.ts";
import type { PageGroupResponse } from "../pci/ats.ts";
import { decodeAtsRange } from "../pci/ats.ts";
import { NO_PASID } from "../pci/dma-request.ts";
import type { Capabilities } from "./capabilities.ts";
import { reservedBits } from "./deviations.ts";
import type { Invalidation } from "./invalidation.ts";
import {
  CONTEXT_CACHE_DESCRIPTOR,
  DEVICE_TLB_DESCRIPTOR,
  INTERRUPT_ENTRY_DESCRIPTOR,
  IOTLB_DESCRIPTOR,
  PAGE_GROUP_RESPONSE_DESCRIPTOR,
  PASID_CACHE_DESCRIPTOR,
  PASID_DEVICE_TLB_DESCRIPTOR,
  PASID_IOTLB_DESCRIPTOR,
  QUEUE_ERRORS,
  WAIT_DESCRIPTOR,
} from "./spec/descriptors.ts";

/** An invalidation wait, decoded. */
export interface Wait {
  /** What is written where, when the status is asked for. */
  readonly status: { readonly address: bigint; readonly data: number } | undefined;
  readonly interrupt: boolean;
  readonly fence: boolean;
}

/** What a descriptor asks for, or the queue error it causes. */
export type Decoded =
  | { readonly kind: "invalidate"; readonly invalidation: Invalidation }
  | { readonly kind: "wait"; readonly wait: Wait }
  | { readonly kind: "response"; readonly response: PageGroupResponse }
  | { readonly kind: "error"; readonly info: number };

type Values = Readonly<Record<string, bigint>>;

interface DescriptorType {
  readonly layout: Layout<string>;
  /** Only in queues of 256-bit descriptors, and only in scalable mode. */
  readonly scalable: boolean;
  /** `undefined` when a granularity or combination is not allowed. */
  readonly decode: (values: Values, capabilities: Capabilities) => Decoded | undefined;
}

const invalidate = (invalidation: Invalidation): Decoded => ({ kind: "invalidate", invalidation });
const number = (values: Values, name: string): number => Number(values[name]!);

/** The page range of a descriptor; `undefined` when its mask is beyond CAP.MAMV. */
const pageRange = (values: Values, capabilities: Capabilities) => {
  const mask = number(values, "AM");
  if (mask > capabilities.largestAddressMask) return undefined;
  return { address: values["ADDR"]!, mask, hint: values["IH"] === 1n };
};

const decodeContext = (values: Values, { deviations }: Capabilities): Decoded | undefined => {
  const domain = number(values, "DID");
  switch (number(values, "G")) {
    case 1:
      return invalidate({ kind: "context", what: { granularity: "global" } });
    case 2:
      if (deviations.contextDomainAsGlobal)
        return invalidate({ kind: "context", what: { granularity: "global" } });
      return invalidate({ kind: "context", what: { granularity: "domain", domain } });
    case 3: {
      const source = number(values, "SID");
      const functionMask = number(values, "FM");
      return invalidate({ kind: "context", what: { granularity: "device", source, functionMask } });
    }
    default:
      return undefined;
  }
};

const decodeIotlb = (values: Values, capabilities: Capabilities): Decoded | undefined => {
  const domain = number(values, "DID");
  const drain = values["DR"] === 1n || values["DW"] === 1n;
  switch (number(values, "G")) {
    case 1:
      return invalidate({ kind: "iotlb", what: { granularity: "global" }, drain });
    case 2:
      return invalidate({ kind: "iotlb", what: { granularity: "domain", domain }, drain });
    case 3: {
      const range = pageRange(values, capabilities);
      if (range === undefined) return undefined;
      return invalidate({ kind: "iotlb", what: { granularity: "page", domain, ...range }, drain });
    }
    default:
      return undefined;
  }
};

const decodePasidIotlb = (values: Values, capabilities: Capabilities): Decoded | undefined => {
  const domain = number(values, "DID");
  const pasid = number(values, "PASID");
  switch (number(values, "G")) {
    case 2:
      return invalidate({ kind: "pasid-iotlb", what: { granularity: "pasid", domain, pasid } });
    case 3: {
      const range = pageRange(values, capabilities);
      if (range === undefined) return undefined;
      return invalidate({
        kind: "pasid-iotlb",
        what: { granularity: "page", domain, pasid, ...range },
      });
    }
    default:
      return undefined;
  }
};

const decodePasidCache = (values: Values): Decoded | undefined => {
  const domain = number(values, "DID");
  const pasid = number(values, "PASID");
  switch (number(values, "G")) {
    case 0:
      return invalidate({ kind: "pasid", what: { granularity: "domain", domain } });
    case 1:
      return invalidate({ kind: "pasid", what: { granularity: "pasid", domain, pasid } });
    case 3:
      return invalidate({ kind: "pasid", what: { granularity: "global" } });
    default:
      return undefined;
  }
};

const takesDeviceTlbs = ({ has, deviations }: Capabilities): boolean =>
  has("DT") || deviations.deviceTlbDescriptorsAnywhere;

const decodeDeviceTlb = (values: Values, pasid: number, global: boolean): Decoded => {
  const range = decodeAtsRange({ address: values["ADDR"]!, s: values["S"] === 1n });
  const source = number(values, "SID");
  return invalidate({ kind: "device-tlb", source, what: { ...range, pasid, global } });
};

const decodeInterruptEntry = (values: Values, capabilities: Capabilities): Decoded | undefined => {
  // A global invalidation looks at neither index nor mask.
  if (values["G"] === 0n) return invalidate({ kind: "interrupt-entry", index: undefined, mask: 0 });
  const mask = number(values, "IM");
  const checked = !capabilities.deviations.interruptMaskUnchecked;
  if (checked && mask > capabilities.largestHandleMask) return undefined;
  return invalidate({ kind: "interrupt-entry", index: number(values, "IIDX"), mask });
};

const decodeWait = (values: Values): Decoded | undefined => {
  const [interrupt, status, fence, drain] = ["IF", "SW", "FN", "PD"].map(
    (name) => values[name] === 1n,
  );
  if (!interrupt && !status && !fence && !drain) return undefined;
  return {
    kind: "wait",
    wait: {
      interrupt: interrupt!,
      fence: fence!,
      status: status!
        ? { address: values["STADDR"]! << 2n, data: number(values, "STDATA") }
        : undefined,
    },
  };
};

const takesResponse = (values: Values, { has, deviations }: Capabilities): boolean =>
  has("PRS") || (deviations.pageResponsesAnywhere && values["PP"] === 1n);

const decodeResponse = (values: Values): Decoded => ({
  kind: "response",
  response: {
    destination: number(values, "RID"),
    pasid: values["PP"] === 1n ? number(values, "PASID") : NO_PASID,
    group: number(values, "PRGI"),
    code: number(values, "RC"),
  },
});

/** Every descriptor type by its number (§6.5.2). */
const TYPES: ReadonlyMap<number, DescriptorType> = new Map<number, DescriptorType>([
  [1, { layout: CONTEXT_CACHE_DESCRIPTOR, scalable: false, decode: decodeContext }],
  [2, { layout: IOTLB_DESCRIPTOR, scalable: false, decode: decodeIotlb }],
  [
    3,
    {
      layout: DEVICE_TLB_DESCRIPTOR,
      scalable: false,
      decode: (values, c) =>
        takesDeviceTlbs(c) ? decodeDeviceTlb(values, NO_PASID, false) : undefined,
    },
  ],
  [
    4,
    {
      layout: INTERRUPT_ENTRY_DESCRIPTOR,
      scalable: false,
      decode: decodeInterruptEntry,
    },
  ],
  [5, { layout: WAIT_DESCRIPTOR, scalable: false, decode: decodeWait }],
  [6, { layout: PASID_IOTLB_DESCRIPTOR, scalable: true, decode: decodePasidIotlb }],
  [7, { layout: PASID_CACHE_DESCRIPTOR, scalable: true, decode: decodePasidCache }],
  [
    8,
    {
      layout: PASID_DEVICE_TLB_DESCRIPTOR,
      scalable: true,
      decode: (values, c) =>
        takesDeviceTlbs(c)
          ? decodeDeviceTlb(values, number(values, "PASID"), values["G"] === 1n)
          : undefined,
    },
  ],
  [
    9,
    {
      layout: PAGE_GROUP_RESPONSE_DESCRIPTOR,
      scalable: true,
      decode: (values, c) => (takesResponse(values, c) ? decodeResponse(values) : undefined),
    },
  ],
]);

const error = (info: number): Decoded => ({ kind: "error", info });

/** Turns descriptors into what they ask for, or into the queue error that they cause. */
export class DescriptorDecoder {
  readonly #capabilities: Capabilities;
  readonly #reserved: ReadonlyMap<number, readonly bigint[]>;

  constructor(capabilities: Capabilities) {
    this.#capabilities = capabilities;
    // Addresses in descriptors are I/O virtual: none of their bits is above the host's width.
    const by: ReservedBy = { has: (name) => capabilities.has(name), hostAddressWidth: 64 };
    this.#reserved = new Map(
      [...TYPES].map(([type, { layout }]) => [
        type,
        reservedBits(layout, by, capabilities.deviations),
      ]),
    );
  }

  /**
   * @param words two quadwords of a 128-bit descriptor, four of a 256-bit one
   * @param scalable whether the root table is in scalable mode
   */
  decode(words: readonly bigint[], scalable: boolean): Decoded {
    const low = words[0]!;
    const type = Number(low & 0xfn) | (Number((low >> 9n) & 7n) << 4);
    const descriptor = TYPES.get(type);
    if (descriptor === undefined) return error(QUEUE_ERRORS.type);
    const { deviations } = this.#capabilities;
    const narrow = type === 9 && deviations.pageResponsesAnywhere;
    if (descriptor.scalable && !narrow && words.length < 4) return error(QUEUE_ERRORS.width);
    const anywhere = deviations.scalableDescriptorsAnywhere;
    if (descriptor.scalable && !scalable && !anywhere) return error(QUEUE_ERRORS.mode);
    const reserved = this.#reserved.get(type)!;
    if (words.some((word, i) => (word & reserved[i]!) !== 0n)) return error(QUEUE_ERRORS.reserved);
    const decoded = descriptor.decode(descriptor.layout.decode(words), this.#capabilities);
    return decoded ?? error(QUEUE_ERRORS.reserved);
  }
}
