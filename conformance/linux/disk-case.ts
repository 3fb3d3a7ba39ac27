import { diskContents, sha256 } from "./disk.ts";
import type { LinuxGuest } from "./linux-guest.ts";
import { DISK_BYTES } from "./machines.ts";
import type { UnitWork } from "./run-case.ts";

/** Descriptors that a mode must lead to, and must not. */
interface Wanted {
  readonly some?: readonly string[];
  readonly none?: readonly string[];
}

/** Sectors of 4 KiB: what is read, and where a copy of it goes. */
const COUNT = 32;
const COPY_AT = 64;

const read = (skip: number): string =>
  `dd if=/dev/sda bs=4k skip=${skip} count=${COUNT} iflag=direct 2>/dev/null`;

const sumOf = async (guest: LinuxGuest, command: string): Promise<string> =>
  (await guest.run(`${command} | sha256sum`)).split(" ")[0]!;

/** Reads v86's own disk, copies a part of it to another place, reads that back, and looks at what the driver did. */
export const readDisk =
  ({ some = [], none = [] }: Wanted) =>
  async (guest: LinuxGuest, work: UnitWork): Promise<readonly string[]> => {
    const wanted = sha256(diskContents(DISK_BYTES).subarray(0, COUNT * 4096));
    const first = await sumOf(guest, read(0));
    await guest.run(`${read(0)} | dd of=/dev/sda bs=4k seek=${COPY_AT} conv=fsync 2>/dev/null`);
    await guest.run("echo 3 > /proc/sys/vm/drop_caches");
    const second = await sumOf(guest, read(COPY_AT));
    const missing = some.filter((kind) => (work.descriptors.get(kind) ?? 0) === 0);
    const extra = none.filter((kind) => (work.descriptors.get(kind) ?? 0) > 0);
    return [
      ...(first === wanted ? [] : ["what was read is not what is on the disk"]),
      ...(second === wanted ? [] : ["what was written does not read back"]),
      ...missing.map((kind) => `no descriptor was ${kind}`),
      ...extra.map((kind) => `${work.descriptors.get(kind)} descriptors were ${kind}`),
    ];
  };
