import { describe, expect, it } from "vitest";
import { PcRig } from "../../test/pc-rig.ts";
import { lacks } from "../../test/requirement.ts";
import { requesterId } from "../hardware/pci/index.ts";
import { CONTEXT_ENTRY } from "../hardware/vtd/spec/index.ts";
import { PC_UNITS } from "./profiles.ts";

const DISKS = requesterId(0, 30, 0);
const SECTOR = 512;
const COMMAND_BLOCK = 0x1f0;
const BUS_MASTER = 0xb400;
const READ_DMA = 0xc8;
const WRITE_DMA = 0xca;
const TO_MEMORY = 8;
const START = 1;

/** Bus master status: error, interrupt. */
const ERROR = 2;
const INTERRUPT = 4;

const TABLE = 0x20_0000;
const BUFFER = 0x21_0000;

const diskOf = (sectors: number): Uint8Array =>
  Uint8Array.from({ length: sectors * SECTOR }, (_, i) => (i * 7 + (i >>> 9)) & 0xff);

class DiskRig {
  readonly rig: PcRig;
  readonly disk: Uint8Array;

  private constructor(rig: PcRig, disk: Uint8Array) {
    this.rig = rig;
    this.disk = disk;
  }

  static async create(): Promise<DiskRig> {
    const disk = diskOf(2048);
    const rig = await PcRig.create({ disk, units: [{ capabilities: PC_UNITS.legacy }] });
    rig.writeConfig(DISKS, 4, 5);
    return new DiskRig(rig, disk);
  }

  /** Writes a descriptor table: addresses and counts in bytes, the last one marked. */
  describe(at: number, ...rows: readonly (readonly [address: number, count: number])[]): void {
    for (const [i, [address, count]] of rows.entries()) {
      const last = i === rows.length - 1 ? 0x8000_0000 : 0;
      this.rig.pc.memory.write32(BigInt(at + 8 * i), address);
      this.rig.pc.memory.write32(BigInt(at + 8 * i + 4), (count & 0xffff) | last);
    }
  }

  /** Gives a command, as a driver does, and returns the bus master status. */
  transfer(command: number, sector: number, sectors: number, table: number): number {
    const { rig } = this;
    rig.out(COMMAND_BLOCK + 6, 1, 0xe0);
    rig.out(COMMAND_BLOCK + 2, 1, sectors);
    rig.out(COMMAND_BLOCK + 3, 1, sector & 0xff);
    rig.out(COMMAND_BLOCK + 4, 1, sector >>> 8);
    rig.out(COMMAND_BLOCK + 5, 1, 0);
    rig.out(COMMAND_BLOCK + 0x206, 1, 0);
    rig.out(BUS_MASTER + 4, 4, table);
    rig.out(BUS_MASTER, 1, 0);
    rig.out(BUS_MASTER + 2, 1, ERROR | INTERRUPT);
    rig.out(COMMAND_BLOCK + 7, 1, command);
    rig.out(BUS_MASTER, 1, START | (command === READ_DMA ? TO_MEMORY : 0));
    return this.rig.emulator.v86.cpu.devices.ide.primary!.dma_status;
  }

  bytes(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.rig.pc.memory.read(BigInt(address), bytes);
    return bytes;
  }

  /** Has the unit translate the controller's requests: each pair of page addresses, all below 2 MiB. */
  translate(...pages: readonly (readonly [iova: number, physical: number])[]): void {
    const { memory } = this.rig.pc;
    const at = (i: number): bigint => BigInt(0x60_0000 + 0x1000 * i);
    const [root, context, ...levels] = [0, 1, 2, 3, 4, 5].map(at) as [bigint, bigint, ...bigint[]];
    memory.write64(root, context | 1n);
    const entry = CONTEXT_ENTRY.encode({ P: 1, SSPTPTR: levels[0]!, AW: 2, DID: 1 });
    for (const [i, word] of entry.entries())
      memory.write64(context + BigInt(DISKS * 16 + 8 * i), word);
    for (let i = 0; i < 3; i++) memory.write64(levels[i]!, levels[i + 1]! | 3n);
    for (const [iova, physical] of pages) {
      memory.write64(levels[3]! + BigInt(iova >>> 12) * 8n, BigInt(physical) | 3n);
    }
    const [unit] = this.rig.pc.units;
    unit!.writeRegister(0x20, 8, root);
    unit!.writeRegister(0x18, 4, 1n << 30n);
    unit!.writeRegister(0x18, 4, 1n << 31n);
  }
}

describe.skipIf(lacks("v86"))("v86's disk", () => {
  it("PC-DISK-01: with translation off its DMA goes to physical addresses, both ways", async () => {
    const rig = await DiskRig.create();
    rig.describe(TABLE, [BUFFER, 1024], [BUFFER + 0x2000, 512]);
    expect(rig.transfer(READ_DMA, 5, 3, TABLE) & (ERROR | INTERRUPT)).toBe(INTERRUPT);
    expect(rig.bytes(BUFFER, 1024)).toEqual(rig.disk.slice(5 * SECTOR, 7 * SECTOR));
    expect(rig.bytes(BUFFER + 0x2000, 512)).toEqual(rig.disk.slice(7 * SECTOR, 8 * SECTOR));
    expect(rig.transfer(WRITE_DMA, 100, 3, TABLE) & ERROR).toBe(0);
    rig.describe(TABLE, [BUFFER + 0x4000, 1536]);
    rig.transfer(READ_DMA, 100, 3, TABLE);
    expect(rig.bytes(BUFFER + 0x4000, 1536)).toEqual(rig.disk.slice(5 * SECTOR, 8 * SECTOR));
    await rig.rig.pc.destroy();
  });

  it("PC-DISK-01: with translation on, descriptors and data go where its tables say", async () => {
    const rig = await DiskRig.create();
    rig.describe(TABLE, [0x7_0800, 4096]);
    rig.translate([0x5_0000, TABLE], [0x7_0000, BUFFER], [0x7_1000, BUFFER + 0x8000]);
    expect(rig.transfer(READ_DMA, 9, 8, 0x5_0000) & (ERROR | INTERRUPT)).toBe(INTERRUPT);
    expect(rig.bytes(BUFFER + 0x800, 2048)).toEqual(rig.disk.slice(9 * SECTOR, 13 * SECTOR));
    expect(rig.bytes(BUFFER + 0x8000, 2048)).toEqual(rig.disk.slice(13 * SECTOR, 17 * SECTOR));
    await rig.rig.pc.destroy();
  });

  it("PC-DISK-02: what is refused sets the error bit, touches nothing, and is recorded as the disk's", async () => {
    const rig = await DiskRig.create();
    rig.describe(TABLE, [0x7_0000, 512]);
    rig.translate([0x5_0000, TABLE]);
    const [unit] = rig.rig.pc.units;
    for (const command of [READ_DMA, WRITE_DMA]) {
      expect(rig.transfer(command, 9, 1, 0x5_0000) & ERROR).toBe(ERROR);
      const record = 0x220;
      expect(unit!.readRegister(record, 8)).toBe(0x7_0000n);
      expect(Number(unit!.readRegister(record + 8, 8) & 0xffffn)).toBe(DISKS);
      unit!.writeRegister(record + 12, 4, 1n << 31n);
    }
    expect(rig.bytes(0x7_0000, 512)).toEqual(new Uint8Array(512));
    // The disk did not take what the refused write read: all ones.
    rig.describe(TABLE, [0x7_0000, 512]);
    rig.translate([0x5_0000, TABLE], [0x7_0000, BUFFER]);
    expect(rig.transfer(READ_DMA, 10, 1, 0x5_0000) & ERROR).toBe(0);
    expect(rig.bytes(BUFFER, 512)).toEqual(rig.disk.slice(10 * SECTOR, 11 * SECTOR));
    await rig.rig.pc.destroy();
  });

  it("PC-DISK-03: a descriptor table that names more than the command moves ends in an error of the disk", async () => {
    const rig = await DiskRig.create();
    rig.describe(TABLE, [BUFFER, 4096]);
    expect(rig.transfer(WRITE_DMA, 9, 1, TABLE) & ERROR).toBe(ERROR);
    const { primary } = rig.rig.emulator.v86.cpu.devices.ide;
    expect([primary!.master.status_reg, primary!.master.error_reg]).toEqual([0x51, 4]);
    rig.describe(TABLE, [BUFFER, 512]);
    expect(rig.transfer(READ_DMA, 9, 1, TABLE) & ERROR).toBe(0);
    expect(rig.bytes(BUFFER, 512)).toEqual(rig.disk.slice(9 * SECTOR, 10 * SECTOR));
    await rig.rig.pc.destroy();
  });

  it("PC-DISK-04: what was written is in the snapshot, and never in the caller's bytes", async () => {
    const rig = await DiskRig.create();
    const before = rig.disk.slice();
    rig.describe(TABLE, [BUFFER, 512]);
    rig.rig.pc.memory.write(BigInt(BUFFER), new Uint8Array(512).fill(0x99));
    rig.transfer(WRITE_DMA, 7, 1, TABLE);
    const snapshot = await rig.rig.pc.save();
    rig.rig.pc.memory.write(BigInt(BUFFER), new Uint8Array(512).fill(0x11));
    rig.transfer(WRITE_DMA, 7, 1, TABLE);
    await rig.rig.pc.restore(snapshot);
    rig.describe(TABLE, [BUFFER, 512]);
    rig.transfer(READ_DMA, 7, 1, TABLE);
    expect(rig.bytes(BUFFER, 512)).toEqual(new Uint8Array(512).fill(0x99));
    expect(rig.disk).toEqual(before);
    await rig.rig.pc.destroy();
  });
});
