import type { DmaPort } from "../hardware/pci/index.ts";
import { type DmaProcessor, processorThrough } from "./dma-processor.ts";
import type { V86Cpu, V86IdeChannel, V86Port } from "./v86.ts";

/** Bus master registers of both channels; 8 ports each. */
const BUS_MASTER = 0xb400;
const CHANNEL_PORTS = 8;

/** Bus master status (Programming Interface for Bus Master IDE, 1.3). */
const ACTIVE = 1;
const ERROR = 2;

/** ATA status: device ready, error; error register: aborted. */
const READY_WITH_ERROR = 0x51;
const ABORTED = 4;

/** A descriptor table that asks for more bytes than the command: v86 would run out of its buffer. */
const overrun = (channel: V86IdeChannel): void => {
  const disk = channel.current_interface;
  disk.status_reg = READY_WITH_ERROR;
  disk.error_reg = ABORTED;
  channel.dma_status = (channel.dma_status & ~ACTIVE) | ERROR;
  channel.push_irq();
};

/** Has what is refused while a command is written show in the channel's status. */
const reportFaults = (
  port: V86Port,
  name: "write8" | "write32",
  channel: V86IdeChannel,
  processor: DmaProcessor,
): void => {
  const write = port[name];
  port[name] = (value: number): void => {
    processor.takeFault();
    try {
      write.call(channel, value);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      overrun(channel);
    }
    if (processor.takeFault() !== undefined) channel.dma_status |= ERROR;
  };
};

/** Sends the bus master DMA of v86's disk controller through `port`. */
export const rerouteDisks = (cpu: V86Cpu, port: DmaPort): void => {
  const { ide } = cpu.devices;
  [ide.primary, ide.secondary].forEach((channel, i) => {
    if (channel === undefined) return;
    const processor = processorThrough(port, cpu);
    channel.cpu = processor.cpu;
    channel.master.cpu = processor.cpu;
    channel.slave.cpu = processor.cpu;
    const command = cpu.io.ports[BUS_MASTER + CHANNEL_PORTS * i]!;
    reportFaults(command, "write8", channel, processor);
    reportFaults(command, "write32", channel, processor);
  });
};
