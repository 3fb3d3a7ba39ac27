import type { BarDeclaration } from "./base-address.ts";
import { CONVENTIONAL_CONFIG_SIZE, ConfigSpace, EXTENDED_CONFIG_SIZE } from "./config-space.ts";
import { type FunctionKind, KINDS } from "./function-kind.ts";
import {
  ACS_CAPABILITY,
  ATS_CAPABILITY,
  MSI_CAPABILITY,
  PAGE_REQUEST_CAPABILITY,
  PASID_CAPABILITY,
  PCI_EXPRESS_CAPABILITY,
} from "./spec/capabilities.ts";
import { TYPE_0_HEADER, TYPE_1_HEADER } from "./spec/config-header.ts";

/** Which access control services a function has; all are disabled after reset. */
export interface AcsDeclaration {
  readonly sourceValidation?: boolean;
  readonly translationBlocking?: boolean;
  readonly requestRedirect?: boolean;
  readonly completionRedirect?: boolean;
  readonly upstreamForwarding?: boolean;
  readonly directTranslated?: boolean;
}

/** A function as it is described before it exists. */
export interface FunctionDeclaration {
  readonly kind: FunctionKind;
  /** 0 to 31. */
  readonly device: number;
  /** 0 to 7; 0 when absent. */
  readonly function?: number;
  readonly vendorId?: number;
  readonly deviceId?: number;
  readonly revisionId?: number;
  /** Base class, sub-class and interface, 24 bits; a bridge's when absent and it is one. */
  readonly classCode?: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  /** 1 to 4: INTA to INTD. */
  readonly interruptPin?: number;
  /** Takes and passes on end-end TLP prefixes; `true` when absent. */
  readonly endEndPrefix?: boolean;
  /** Can reset itself; `true` for an endpoint when absent. */
  readonly functionLevelReset?: boolean;
  /** Memory base address registers; bridges have none. */
  readonly bars?: readonly BarDeclaration[];
  /** log2 of the vectors it wants. */
  readonly msi?: { readonly vectorsLg2: number };
  readonly acs?: AcsDeclaration;
  readonly ats?: {
    /** Invalidations taken at once, 1 to 32; 32 when absent. */
    readonly invalidateQueueDepth?: number;
    /** `true` when absent. */
    readonly pageAlignedRequest?: boolean;
    readonly globalInvalidate?: boolean;
  };
  readonly pageRequest?: {
    /** Page requests it can have outstanding. */
    readonly capacity: number;
    readonly responsePasidRequired?: boolean;
  };
  readonly pasid?: {
    /** Bits of the largest PASID, 1 to 20. */
    readonly width: number;
    readonly execute?: boolean;
    readonly privileged?: boolean;
  };
}

const PCI_BRIDGE_CLASS = 0x060400;

const placeHeader = (config: ConfigSpace, of: FunctionDeclaration): void => {
  const { bridge } = KINDS[of.kind];
  const common = {
    vendorId: of.vendorId ?? 0,
    deviceId: of.deviceId ?? 0,
    revisionId: of.revisionId ?? 0,
    classCode: of.classCode ?? (bridge ? PCI_BRIDGE_CLASS : 0),
    interruptPin: of.interruptPin ?? 0,
  };
  if (bridge) {
    config.place(TYPE_1_HEADER, 0, {
      ...common,
      headerType: 1,
      prefetchable64: 1,
      prefetchableLimit64: 1,
    });
  } else {
    const subsystemVendorId = of.subsystemVendorId ?? 0;
    const subsystemId = of.subsystemId ?? 0;
    config.place(TYPE_0_HEADER, 0, { ...common, subsystemVendorId, subsystemId });
  }
};

const appendExpress = (config: ConfigSpace, of: FunctionDeclaration, portType: number): void => {
  const prefix = of.endEndPrefix ?? true;
  config.append(PCI_EXPRESS_CAPABILITY, {
    structureVersion: 2,
    portType,
    maxPayloadSupported: 2,
    roleBasedErrors: 1,
    functionLevelReset: of.functionLevelReset ?? !KINDS[of.kind].bridge,
    relaxedOrdering: 1,
    noSnoop: 1,
    maxReadRequest: 2,
    maxLinkSpeed: 1,
    maxLinkWidth: 1,
    linkSpeed: 1,
    linkWidth: 1,
    extendedFmt: prefix,
    endEndPrefix: prefix,
    maxEndEndPrefixes: prefix ? 1 : 0,
  });
};

const appendExtended = (config: ConfigSpace, of: FunctionDeclaration): void => {
  if (of.acs !== undefined) config.append(ACS_CAPABILITY, of.acs);
  if (of.ats !== undefined) {
    config.append(ATS_CAPABILITY, {
      invalidateQueueDepth: (of.ats.invalidateQueueDepth ?? 32) & 31,
      pageAlignedRequest: of.ats.pageAlignedRequest ?? true,
      globalInvalidate: of.ats.globalInvalidate ?? false,
    });
  }
  if (of.pageRequest !== undefined) {
    const { capacity, responsePasidRequired = of.pasid !== undefined } = of.pageRequest;
    config.append(PAGE_REQUEST_CAPABILITY, { stopped: 1, capacity, responsePasidRequired });
  }
  if (of.pasid !== undefined) {
    const { width, execute = false, privileged = false } = of.pasid;
    config.append(PASID_CAPABILITY, {
      maxPasidWidth: width,
      executePermission: execute,
      privilegedMode: privileged,
    });
  }
};

/**
 * The configuration space that a declaration describes.
 *
 * @throws RangeError when a conventional function declares an extended
 *   capability or a value does not fit its field: a bug in the caller
 */
export const configSpaceOf = (declaration: FunctionDeclaration): ConfigSpace => {
  const { portType } = KINDS[declaration.kind];
  const { acs, ats, pageRequest, pasid, msi } = declaration;
  if (KINDS[declaration.kind].bridge && (declaration.bars ?? []).length > 0) {
    throw new RangeError(`a ${declaration.kind} has no base address registers here`);
  }
  if (portType === undefined && (acs ?? ats ?? pageRequest ?? pasid) !== undefined) {
    throw new RangeError(`a ${declaration.kind} function has no extended capabilities`);
  }
  const config = new ConfigSpace(
    portType === undefined ? CONVENTIONAL_CONFIG_SIZE : EXTENDED_CONFIG_SIZE,
  );
  placeHeader(config, declaration);
  if (msi !== undefined)
    config.append(MSI_CAPABILITY, { multipleMessageCapable: msi.vectorsLg2, address64: 1 });
  if (portType !== undefined) appendExpress(config, declaration, portType);
  if (msi !== undefined || portType !== undefined) {
    config.hardwire(
      KINDS[declaration.kind].bridge ? TYPE_1_HEADER : TYPE_0_HEADER,
      "capabilitiesList",
      1,
    );
  }
  appendExtended(config, declaration);
  return config;
};
