import type { Pc } from "../../pc/index.ts";
import { CommandError } from "../command-error.ts";

/** The guest could not go on. */
export const guestError = (why: string): CommandError => new CommandError("guest", "guest", why);

/**
 * Waits for something that the guest does.
 *
 * @throws CommandError when it ends instead, or takes more than `seconds`
 */
export const orEnd = async <T>(
  pc: Pc,
  awaited: Promise<T>,
  seconds: number,
  doing: string,
): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const why = `it took more than ${seconds} s for ${doing}`;
    timer = setTimeout(() => reject(guestError(why)), seconds * 1000);
  });
  const ended = pc.ended.then((end): never => {
    throw guestError(
      end.how === "crashed" ? `it crashed: ${end.why}` : `it switched off while ${doing}`,
    );
  });
  try {
    return await Promise.race([awaited, ended, late]);
  } finally {
    clearTimeout(timer);
  }
};
