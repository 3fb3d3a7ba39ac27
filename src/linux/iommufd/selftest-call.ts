import type { Outcome } from "../errno.ts";
import type { Process } from "../mm/process.ts";
import * as uapi from "../uapi/index.ts";
import type { IommufdContext } from "./context.ts";
import type { Device } from "./device.ts";
import { IommufdObject } from "./object.ts";

/** One test operation's call. */
export interface TestCall<Name extends uapi.TestOperation> {
  readonly context: IommufdContext;
  readonly process: Process;
  readonly id: number;
  /** The operation's part of the union; answers go into the same fields. */
  readonly part: uapi.ValuesOf<(typeof uapi.TEST_PARTS)[Name]>;
  /** @returns EFAULT when the answer cannot be written */
  respond(): Outcome<undefined>;
}

/** A test operation for a table of them. */
export interface TestOperationRow {
  readonly op: number;
  run(call: {
    readonly context: IommufdContext;
    readonly process: Process;
    readonly id: number;
    readonly body: Uint8Array;
    readonly respond: (body: Uint8Array) => Outcome<undefined>;
  }): Outcome<undefined>;
}

/** Declares a test operation. */
export const definePart = <Name extends uapi.TestOperation>(
  name: Name,
  run: (call: TestCall<Name>) => Outcome<undefined>,
): TestOperationRow => ({
  op: uapi.IOMMU_TEST_OP[name],
  run: ({ context, process, id, body, respond }) => {
    const struct = uapi.TEST_PARTS[name];
    const part = struct.decode(body) as TestCall<Name>["part"];
    return run({
      context,
      process,
      id,
      part,
      respond: () => respond(struct.encode(part as never)),
    });
  },
});

/** A mock device as a test knows it; it goes when the test destroys it. */
export class SelftestDevice extends IommufdObject {
  override readonly kind = "selftest";
  device: Device | undefined = undefined;

  override destroy(): void {
    const { device } = this;
    if (device === undefined) return;
    for (const pasid of [...device.group.attachments.keys()]) device.detach(pasid);
    device.unbind();
  }
}
