// The rooms of src/ and what each may use. ARCHITECTURE.md says why; test/architecture.test.ts holds src/ to it.

/** The rooms, lowest first: a room imports itself and the rooms before it. */
export const ROOMS = [
  "bits",
  "struct",
  "trace",
  "memory",
  "page-table",
  "hardware/platform",
  "hardware/pci",
  "hardware/interrupt",
  "hardware/hypercall",
  "hardware/vtd",
  "hardware/amd",
  "hardware/devices",
  "capture",
  "linux",
  "hyperv",
  "vmm",
  "pc",
  "machine",
  "devfs",
  "studio",
  "cli",
];

/** Only these run under Node alone; everything else is built for the browser too. */
export const NODE_ROOMS = ["devfs", "studio", "cli"];

/**
 * @param {string} path below src/, with `/`
 * @returns {string | undefined} the room `path` lies in; `undefined` beside the rooms, as the public entry is
 */
export const roomOf = (path) => ROOMS.find((room) => path.startsWith(`${room}/`));

/**
 * What the order alone does not say: `from` never imports `to`. Both are the beginning of a path below src/.
 *
 * @type {readonly { from: string, to: string, why: string }[]}
 */
export const NEVER = [
  { from: "page-table/formats/", to: "memory/", why: "a format knows entries, not where they lie" },
  ...["memory/", "hardware/platform/index.ts", "hardware/platform/physical-memory"].map((to) => ({
    from: "hardware/devices/",
    to,
    why: "a device reaches memory through its translator only",
  })),
];

/**
 * What a room takes from a part of the tree: `from` imports from `to` only what `allowed` matches.
 *
 * @type {readonly { from: string, to: string, allowed: RegExp, why: string }[]}
 */
export const ONLY = [
  {
    from: "linux/",
    to: "hardware/",
    allowed: /^hardware\/(platform\/|[^/]+\/spec\/)/,
    why: "a kernel reaches hardware through the platform port and knows layouts only",
  },
];
