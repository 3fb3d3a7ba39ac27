import { RestoreError, type SavedWords } from "../../struct/saved-state.ts";
import type { Capabilities } from "./capabilities.ts";
import type { InterruptRemappingState } from "./interrupt-remapping.ts";
import type { QueueState } from "./invalidation-queue.ts";
import type { RegisterInvalidation } from "./register-invalidation.ts";

/** A unit's state as `RemappingUnit.save` gives it: plain data, addresses as hexadecimal. */
export interface UnitState {
  readonly schema: "softiommu/vtd-unit-state@1";
  readonly registers: SavedWords;
  readonly enabled: boolean;
  /** The root table in use: RTADDR may have been written since. */
  readonly rootTableAddress: string;
  readonly nextFaultRecord: number;
  readonly queue: QueueState;
  readonly registerInvalidation: ReturnType<RegisterInvalidation["save"]>;
  readonly interruptRemapping: InterruptRemappingState;
}

const CAP = 0x08;
const ECAP = 0x10;

/** @throws RestoreError when `state` is no unit's, or that of a unit with other capabilities */
export const requireSameUnit = (state: UnitState, capabilities: Capabilities): void => {
  if (state.schema !== "softiommu/vtd-unit-state@1") {
    throw new RestoreError(`${String(state.schema)} is not a state of a VT-d unit`);
  }
  const words = new Map(state.registers);
  const quadword = (at: number): bigint =>
    (BigInt(words.get(at + 4) ?? 0) << 32n) | BigInt(words.get(at) ?? 0);
  if (quadword(CAP) !== capabilities.cap || quadword(ECAP) !== capabilities.ecap) {
    throw new RestoreError("the unit that was saved has other capabilities");
  }
};
