import { defineEvent, type EventType } from "../trace/channel.ts";

/** The guest has reset the machine. */
export const PC_RESET: EventType<Record<string, never>> = defineEvent("pc.reset");

/** The guest has switched the machine off. */
export const PC_OFF: EventType<Record<string, never>> = defineEvent("pc.off");

/** The processor has met what v86 has not implemented, and runs no more. */
export const PC_CRASHED: EventType<{ readonly why: string }> = defineEvent("pc.crashed");

/** CLFLUSH instructions have been taken out of the kernel in memory. */
export const PC_FLUSHES_REMOVED: EventType<{ readonly count: number }> =
  defineEvent("pc.flushes-removed");
