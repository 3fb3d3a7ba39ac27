import type { LinuxGuest } from "./linux-guest.ts";

/** A line of the kernel's log. */
export interface KernelMessage {
  /** As in syslog: 4 is a warning, lower is worse. */
  readonly level: number;
  readonly text: string;
}

const WARNING = 4;

const LINE = /^<(\d+)>\[ *\d+\.\d+\] (.*)$/;

/** What the kernel has said since this was last asked. */
export const readMessages = async (guest: LinuxGuest): Promise<KernelMessage[]> => {
  const text = await guest.run("dmesg -r -c");
  return text.split("\n").flatMap((line) => {
    const [, facility, message] = LINE.exec(line) ?? [];
    if (facility === undefined || message === undefined) return [];
    return [{ level: Number(facility) & 7, text: message }];
  });
};

/**
 * Warnings that a real PC of this kind would print too, and why.
 *
 * Whatever else is a warning or worse is a problem, unless a case says that it
 * has provoked it.
 */
const EXPECTED: readonly { readonly text: RegExp; readonly why: string }[] = [
  {
    text: /^(\*\*.*\*\*|\*{61})?$/,
    why: "the notice that this kernel shows its tables in debugfs",
  },
  { text: /^ACPI: Failed to create genetlink family/, why: "this kernel has no network" },
  { text: /^CPU topo: Enumerated BSP APIC 0 is not marked/, why: "v86 lacks IA32_APIC_BASE.BSP" },
  { text: /^CPU topo: Assuming crash kernel/, why: "the same" },
  { text: /^CPU topo: \[Firmware Bug\]: APIC enumeration order/, why: "the same" },
  { text: /^vfio-pci \S+: reset(ting| done)$/, why: "said of every reset through VFIO" },
  {
    text: /: MSI interrupts are not secure, they cannot be isolated by the platform/,
    why: "there is no interrupt remapping in a 32-bit kernel, and it is told to go on without",
  },
];

/** Messages that nobody expects. */
export const unexpected = (
  messages: readonly KernelMessage[],
  provoked: readonly RegExp[] = [],
): string[] =>
  messages
    .filter(({ level }) => level <= WARNING)
    .filter(({ text }) => !EXPECTED.some((each) => each.text.test(text)))
    .filter(({ text }) => !provoked.some((each) => each.test(text)))
    .map(({ level, text }) => `the kernel says, at level ${level}: ${text}`);

/** What is wrong with what a kernel said while it booted. */
export const bootProblems = (messages: readonly KernelMessage[]): string[] => unexpected(messages);
