import { orEnd } from "../../src/cli/boot/guest-end.ts";
import { commandLineOf, DEFAULT_SETUP } from "../../src/cli/boot/guest-pc.ts";
import { readMessages, unexpected } from "./kernel-log.ts";
import type { LinuxGuest } from "./linux-guest.ts";

/** A kernel of 32 bits leaves translation on for the next one: only those of 64 bits call `iommu_shutdown`. */
const LEFT_ON = /^DMAR: Translation was enabled for dmar0 but we are not in kdump mode$/;

/** Seconds that the next kernel may take on a busy host. */
const SECONDS = 240;

/** Has the kernel start itself again, in legacy mode, over the tables that it leaves behind. */
export const restartKernel = async (guest: LinuxGuest): Promise<readonly string[]> => {
  const { pc } = guest;
  const commandLine = commandLineOf({ ...DEFAULT_SETUP, unit: "legacy", kernel: "" });
  pc.console.discard();
  pc.channel.discard();
  pc.console.write(`kexec /boot/bzImage /boot/initrd.gz '${commandLine}'\n`);
  const ready = Promise.all([
    pc.console.waitFor(/guest: ready[^\n]*\n/),
    pc.channel.waitFor(/softiommu\/script@1[^\n]*\n/),
  ]);
  await orEnd(pc, ready, SECONDS, "starting the next kernel");
  const translation = pc.units[0]!.translation;
  const messages = await readMessages(guest);
  return [
    ...(translation.enabled && !translation.isScalable ? [] : ["the unit is not in legacy mode"]),
    ...unexpected(messages, [LEFT_ON]),
  ];
};
