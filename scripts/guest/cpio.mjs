// Archives as a kernel unpacks them into its first file system: the "newc" format of Documentation/driver-api/early-userspace/buffer-format.

/**
 * @typedef {{ path: string, mode: number, data?: Uint8Array, device?: readonly [number, number] }} Entry
 *   `mode` with the type of the file; a symbolic link's `data` is its target, `device` a node's major and minor number
 */

/** Types of files in a mode. */
const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const LINK = 0o120000;
const CHARACTER_DEVICE = 0o020000;

/** @param {string} path @returns {Entry} */
export const directory = (path) => ({ path, mode: DIRECTORY | 0o755 });

/** @param {string} path @param {Uint8Array} data @param {number} [mode] @returns {Entry} */
export const file = (path, data, mode = 0o644) => ({ path, mode: REGULAR | mode, data });

/** @param {string} path @param {string} target @returns {Entry} */
export const link = (path, target) => ({
  path,
  mode: LINK | 0o777,
  data: Buffer.from(target),
});

/** @param {string} path @param {number} major @param {number} minor @returns {Entry} */
export const characterDevice = (path, major, minor) => ({
  path,
  mode: CHARACTER_DEVICE | 0o600,
  device: [major, minor],
});

/** @param {Uint8Array} bytes padded with zeros to a multiple of four */
const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

/** @param {number} value */
const hex8 = (value) => value.toString(16).padStart(8, "0");

/**
 * @param {Entry} entry
 * @param {number} inode
 */
const record = ({ path, mode, data = new Uint8Array(), device = [0, 0] }, inode) => {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, user, group, links, time, size, device of the file system, device, length of the name, no check sum
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, ...device, name.length, 0];
  const head = Buffer.from(`070701${fields.map(hex8).join("")}`);
  return Buffer.concat([padded(Buffer.concat([head, name])), padded(data)]);
};

/**
 * @param {readonly Entry[]} entries a directory before what is in it; every file belongs to user and group 0, from the year 1970
 * @returns {Buffer} the archive, a multiple of 512 bytes, so that another may follow it
 */
export const archive = (entries) => {
  const records = [...entries, { path: "TRAILER!!!", mode: 0 }].map((entry, i) =>
    record(entry, i + 1),
  );
  const bytes = Buffer.concat(records);
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 511)]);
};
