import type { Outcome } from "../errno.ts";
import type { Process } from "../mm/process.ts";
import type { IommufdContext } from "./context.ts";

/** `IOMMU_TEST_CMD`, where the kernel has it. */
export interface TestCommands {
  /**
   * @param pointer where the command lies in the caller's memory
   * @param userSize bytes that the caller gives
   */
  run(
    context: IommufdContext,
    process: Process,
    pointer: bigint,
    userSize: number,
  ): Outcome<number>;
}
