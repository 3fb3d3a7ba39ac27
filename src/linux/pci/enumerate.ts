import { ACS_CAPABILITY } from "../../hardware/pci/spec/capabilities.ts";
import { TYPE_0_HEADER, TYPE_1_HEADER } from "../../hardware/pci/spec/config-header.ts";
import type { Platform } from "../../hardware/platform/index.ts";
import { FunctionConfig } from "./function-config.ts";
import { PciDevice } from "./pci-device.ts";

/**
 * Finds every function by reading configuration space, each bridge before what
 * is behind it, and has those with access control send peer-to-peer requests
 * upstream, where they are translated.
 */
export const enumeratePci = (platform: Platform): readonly PciDevice[] => {
  const found: PciDevice[] = [];
  const seen = new Set<number>();
  for (const { segment, number } of platform.firmware.rootBuses) {
    scanBus(platform, segment, number, undefined, found, seen);
  }
  for (const { config } of found) {
    if (config.offsetOf(ACS_CAPABILITY) === undefined) continue;
    config.set(ACS_CAPABILITY, {
      sourceValidationEnable: config.get(ACS_CAPABILITY, "sourceValidation"),
      requestRedirectEnable: config.get(ACS_CAPABILITY, "requestRedirect"),
      completionRedirectEnable: config.get(ACS_CAPABILITY, "completionRedirect"),
      upstreamForwardingEnable: config.get(ACS_CAPABILITY, "upstreamForwarding"),
    });
  }
  return found;
};

const scanBus = (
  platform: Platform,
  segment: number,
  bus: number,
  parent: PciDevice | undefined,
  found: PciDevice[],
  seen: Set<number>,
): void => {
  const key = segment * 256 + bus;
  // A bridge that names a bus twice must not make this endless.
  if (seen.has(key)) return;
  seen.add(key);
  for (let place = 0; place < 256; place++) {
    const config = new FunctionConfig(platform, segment, (bus << 8) | place);
    const single = (place & 7) === 0 && !isMultiFunction(config);
    if (config.isPresent) {
      const secondary = config.header(TYPE_1_HEADER, "secondaryBus");
      const device = new PciDevice(config, parent, secondary);
      found.push(device);
      if (device.isBridge && secondary > bus) {
        scanBus(platform, segment, secondary, device, found, seen);
      }
    }
    if (single) place += 7;
  }
};

const isMultiFunction = (config: FunctionConfig): boolean =>
  config.isPresent && config.header(TYPE_0_HEADER, "multiFunction") === 1;
