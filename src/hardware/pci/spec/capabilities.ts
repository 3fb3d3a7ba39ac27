import { defineLayout, type FieldDeclaration, type Layout } from "../../../struct/layout.ts";

/**
 * Capability structures. A field that `needs` another one of the same
 * structure is reserved while that one is 0: an enable bit can only be set
 * where the capability beside it is advertised.
 */
export interface PciCapability<Name extends string> {
  /** Capability ID, or extended capability ID. */
  readonly id: number;
  /** Whether it belongs into extended configuration space, from offset 0x100 on. */
  readonly extended: boolean;
  readonly version: number;
  readonly layout: Layout<Name>;
}

const HEADER = {
  capabilityId: { at: 0, width: 8, access: "ro", doc: "which capability" },
  nextCapability: { at: 8, width: 8, access: "ro", doc: "offset of the next one; 0 at the end" },
} as const satisfies Record<string, FieldDeclaration>;

const EXTENDED_HEADER = {
  capabilityId: { at: 0, width: 16, access: "ro", doc: "which extended capability" },
  capabilityVersion: { at: 16, width: 4, access: "ro", doc: "version of the structure" },
  nextCapability: { at: 20, width: 12, access: "ro", doc: "offset of the next one; 0 at the end" },
} as const satisfies Record<string, FieldDeclaration>;

/** Message Signaled Interrupts with a 64-bit address and without masks (PCIe 6.3 §7.7.1). */
export const MSI_CAPABILITY = {
  id: 0x05,
  extended: false,
  version: 0,
  layout: defineLayout({
    name: "MSI capability",
    bytes: 16,
    section: "§7.7.1",
    fields: {
      ...HEADER,
      msiEnable: { at: 16, access: "rw", doc: "interrupts are messages" },
      multipleMessageCapable: { at: 17, width: 3, access: "ro", doc: "log2 of the vectors wanted" },
      multipleMessageEnable: { at: 20, width: 3, access: "rw", doc: "log2 of the vectors granted" },
      address64: { at: 23, access: "ro", doc: "1: the address has 64 bits" },
      messageAddress: { at: 34, width: 30, access: "rw", doc: "bits 31:2 of the address" },
      messageUpperAddress: { at: 64, width: 32, access: "rw", doc: "bits 63:32 of the address" },
      messageData: { at: 96, width: 16, access: "rw", doc: "data of vector 0" },
    },
  }),
} as const;

/** PCI Express capability (PCIe 6.3 §7.5.3). Slot and root registers are not implemented. */
export const PCI_EXPRESS_CAPABILITY = {
  id: 0x10,
  extended: false,
  version: 2,
  layout: defineLayout({
    name: "PCI Express capability",
    bytes: 60,
    section: "§7.5.3",
    fields: {
      ...HEADER,
      structureVersion: { at: 16, width: 4, access: "ro", doc: "2" },
      portType: { at: 20, width: 4, access: "ro", doc: "device or port type" },
      maxPayloadSupported: { at: 32, width: 3, access: "ro", doc: "128 << value bytes" },
      roleBasedErrors: { at: 47, access: "ro", doc: "1" },
      functionLevelReset: { at: 60, access: "ro", doc: "initiateReset resets the function" },
      correctableReporting: { at: 64, access: "rw", doc: "reports correctable errors" },
      nonFatalReporting: { at: 65, access: "rw", doc: "reports non-fatal errors" },
      fatalReporting: { at: 66, access: "rw", doc: "reports fatal errors" },
      unsupportedReporting: { at: 67, access: "rw", doc: "reports Unsupported Requests" },
      relaxedOrdering: { at: 68, access: "rw", doc: "may relax ordering" },
      maxPayload: { at: 69, width: 3, access: "rw", doc: "128 << value bytes" },
      noSnoop: { at: 75, access: "rw", doc: "may bypass caches" },
      maxReadRequest: { at: 76, width: 3, access: "rw", doc: "128 << value bytes" },
      initiateReset: {
        at: 79,
        needs: "functionLevelReset",
        access: "wo",
        doc: "1 resets the function",
      },
      correctableDetected: { at: 80, access: "w1c", doc: "saw a correctable error" },
      nonFatalDetected: { at: 81, access: "w1c", doc: "saw a non-fatal error" },
      fatalDetected: { at: 82, access: "w1c", doc: "saw a fatal error" },
      unsupportedDetected: { at: 83, access: "w1c", doc: "received an Unsupported Request" },
      transactionsPending: { at: 85, access: "ro", doc: "has requests in flight" },
      maxLinkSpeed: { at: 96, width: 4, access: "ro", doc: "1 is 2.5 GT/s" },
      maxLinkWidth: { at: 100, width: 6, access: "ro", doc: "lanes" },
      portNumber: { at: 120, width: 8, access: "ro", doc: "number of the port" },
      linkSpeed: { at: 144, width: 4, access: "ro", doc: "as maxLinkSpeed" },
      linkWidth: { at: 148, width: 6, access: "ro", doc: "as maxLinkWidth" },
      extendedFmt: { at: 308, access: "ro", doc: "headers have a 3-bit Fmt field" },
      endEndPrefix: {
        at: 309,
        access: "ro",
        doc: "takes requests with end-end TLP prefixes, such as a PASID",
      },
      maxEndEndPrefixes: { at: 310, width: 2, access: "ro", doc: "how many; 0 means 4" },
      endEndPrefixBlocking: {
        at: 335,
        needs: "endEndPrefix",
        access: "rw",
        doc: "passes on no request with such a prefix",
      },
    },
  }),
} as const;

/** Access Control Services (PCIe 6.3 §7.7.11). */
export const ACS_CAPABILITY = {
  id: 0x0d,
  extended: true,
  version: 1,
  layout: defineLayout({
    name: "ACS extended capability",
    bytes: 8,
    section: "§7.7.11",
    fields: {
      ...EXTENDED_HEADER,
      sourceValidation: { at: 32, access: "ro", doc: "can check the bus of requesters" },
      translationBlocking: { at: 33, access: "ro", doc: "can refuse what claims to be translated" },
      requestRedirect: { at: 34, access: "ro", doc: "can send peer-to-peer requests upstream" },
      completionRedirect: {
        at: 35,
        access: "ro",
        doc: "can send peer-to-peer completions upstream",
      },
      upstreamForwarding: {
        at: 36,
        access: "ro",
        doc: "can send upstream what was meant for its own side",
      },
      egressControl: { at: 37, access: "ro", doc: "can choose who may reach whom" },
      directTranslated: { at: 38, access: "ro", doc: "can let translated requests go directly" },
      egressVectorSize: {
        at: 40,
        width: 8,
        access: "ro",
        doc: "bits of the egress control vector",
      },
      sourceValidationEnable: { at: 48, needs: "sourceValidation", access: "rw", doc: "checks" },
      translationBlockingEnable: {
        at: 49,
        needs: "translationBlocking",
        access: "rw",
        doc: "refuses",
      },
      requestRedirectEnable: {
        at: 50,
        needs: "requestRedirect",
        access: "rw",
        doc: "redirects requests",
      },
      completionRedirectEnable: {
        at: 51,
        needs: "completionRedirect",
        access: "rw",
        doc: "redirects completions",
      },
      upstreamForwardingEnable: {
        at: 52,
        needs: "upstreamForwarding",
        access: "rw",
        doc: "forwards",
      },
      egressControlEnable: { at: 53, needs: "egressControl", access: "rw", doc: "chooses" },
      directTranslatedEnable: { at: 54, needs: "directTranslated", access: "rw", doc: "lets go" },
    },
  }),
} as const;

/** Address Translation Services (PCIe 6.3 §10.5.1). */
export const ATS_CAPABILITY = {
  id: 0x0f,
  extended: true,
  version: 1,
  layout: defineLayout({
    name: "ATS extended capability",
    bytes: 8,
    section: "§10.5.1",
    fields: {
      ...EXTENDED_HEADER,
      invalidateQueueDepth: {
        at: 32,
        width: 5,
        access: "ro",
        doc: "invalidations it takes at once; 0 means 32",
      },
      pageAlignedRequest: { at: 37, access: "ro", doc: "asks for whole pages only" },
      globalInvalidate: { at: 38, access: "ro", doc: "understands Global Invalidate" },
      smallestTranslationUnit: {
        at: 48,
        width: 5,
        access: "rw",
        doc: "smallest range, 4096 << value bytes",
      },
      atsEnable: { at: 63, access: "rw", doc: "may cache translations" },
    },
  }),
} as const;

/** Page Request Interface (PCIe 6.3 §10.5.2). */
export const PAGE_REQUEST_CAPABILITY = {
  id: 0x13,
  extended: true,
  version: 1,
  layout: defineLayout({
    name: "page request extended capability",
    bytes: 16,
    section: "§10.5.2",
    fields: {
      ...EXTENDED_HEADER,
      pageRequestEnable: { at: 32, access: "rw", doc: "may ask for pages" },
      pageRequestReset: {
        at: 33,
        access: "wo",
        doc: "1 while not enabled forgets outstanding requests",
      },
      responseFailure: { at: 48, access: "w1c", doc: "a response said Response Failure" },
      unexpectedGroupIndex: { at: 49, access: "w1c", doc: "a response named no outstanding group" },
      stopped: { at: 56, access: "ro", doc: "not enabled, and no request outstanding" },
      responsePasidRequired: { at: 63, access: "ro", doc: "responses carry the request's PASID" },
      capacity: { at: 64, width: 32, access: "ro", doc: "requests it can have outstanding" },
      allocation: { at: 96, width: 32, access: "rw", doc: "requests it may have outstanding" },
    },
  }),
} as const;

/** Process Address Space ID (PCIe 6.3 §7.8.9). */
export const PASID_CAPABILITY = {
  id: 0x1b,
  extended: true,
  version: 1,
  layout: defineLayout({
    name: "PASID extended capability",
    bytes: 8,
    section: "§7.8.9",
    fields: {
      ...EXTENDED_HEADER,
      executePermission: { at: 33, access: "ro", doc: "can ask to execute" },
      privilegedMode: { at: 34, access: "ro", doc: "can ask with privilege" },
      maxPasidWidth: { at: 40, width: 5, access: "ro", doc: "bits of the largest PASID; up to 20" },
      pasidEnable: { at: 48, access: "rw", doc: "may send a PASID" },
      executePermissionEnable: {
        at: 49,
        needs: "executePermission",
        access: "rw",
        doc: "may ask to execute",
      },
      privilegedModeEnable: {
        at: 50,
        needs: "privilegedMode",
        access: "rw",
        doc: "may ask with privilege",
      },
    },
  }),
} as const;
