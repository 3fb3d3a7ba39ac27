import { type Capabilities, createCapabilities } from "../../src/hardware/vtd/capabilities.ts";
import { qemuProfile } from "../../src/hardware/vtd/qemu-profiles.ts";
import type { QemuProgram } from "./provision.ts";
import type { Mode } from "./qemu-process.ts";
import type { Topic } from "./step.ts";

/** Whether it is known what a QEMU of that version does otherwise than the specification. */
export const isKnownVersion = ({ versionText }: QemuProgram): boolean =>
  qemuProfile(versionText) !== undefined;

/** The one topic that a version is compared in: of 7.2 not enough is known for the others. */
export const onlyTopic = ({ version }: QemuProgram): Topic | undefined =>
  version < 1000 ? "tables" : undefined;

/**
 * What our unit must be like to be the one of that QEMU, whose CAP and ECAP are given.
 *
 * @throws RangeError for a version that nothing is known about
 */
export const capabilitiesOf = (
  { versionText }: QemuProgram,
  mode: Mode,
  registers: { readonly cap: bigint; readonly ecap: bigint },
): Capabilities => {
  const profile = qemuProfile(versionText);
  if (profile === undefined) throw new RangeError(`nothing is known about QEMU ${versionText}`);
  return createCapabilities({
    ...registers,
    unsnoopedUpdates: true,
    deviations: mode === "legacy" ? profile.legacy : profile.scalable,
  });
};
