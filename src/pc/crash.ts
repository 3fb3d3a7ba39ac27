import type { V86Emulator } from "./v86.ts";
import { isTrap } from "./web-assembly.ts";

/**
 * Has `crashed` called when v86 gives up. It does at what it has not
 * implemented, such as a fault for which the guest has no handler, by a trap in
 * the callback of a timer, where nobody could catch it.
 */
export const watchCrashes = (emulator: V86Emulator, crashed: (error: Error) => void): void => {
  const { v86 } = emulator;
  const tick = v86.do_tick;
  v86.do_tick = () => {
    try {
      tick.call(v86);
    } catch (error) {
      if (!isTrap(error)) throw error;
      v86.stop();
      // With the stop asked for, this one says that it has happened and runs nothing.
      tick.call(v86);
      crashed(error);
    }
  };
};
