import { decodeCompatibleMessage, type InterruptSink } from "../interrupt/message.ts";
import type { Fabric, InterruptPort, TranslatorScope } from "../pci/index.ts";
import type { DeviceTlbs } from "./device-tlbs.ts";
import { RemappingUnit, type RemappingUnitOptions } from "./remapping-unit.ts";

/** The translation caches of the devices of one segment, as a unit reaches them. */
export const deviceTlbsOf = (fabric: Fabric, segment: number): DeviceTlbs => ({
  invalidate: (source, what, answered) =>
    fabric.invalidateDevice(segment, source, what, (right = true) => answered(right)),
});

/** What a unit is made of besides what its fabric gives it. */
export type LinkedUnitOptions = Omit<
  RemappingUnitOptions,
  "memory" | "deviceTlbs" | "inFlight" | "respond"
>;

/**
 * Makes a unit that serves a segment of `fabric`: it translates what `scope`
 * names, or what no other scope does when absent, drains what it has
 * translated, reaches devices' translation caches and answers their page
 * requests. Interrupts are the machine's: see `remappedInterrupts`.
 *
 * @throws RangeError when the scope has a translator: a bug in the caller
 */
export const attachUnit = (
  fabric: Fabric,
  segment: number,
  options: LinkedUnitOptions,
  scope: TranslatorScope = { kind: "segment", segment },
): RemappingUnit => {
  const unit: RemappingUnit = new RemappingUnit({
    ...options,
    memory: fabric.memory,
    deviceTlbs: deviceTlbsOf(fabric, segment),
    inFlight: {
      whenEarlierDone: (callback) => fabric.inFlightThrough(unit).whenEarlierDone(callback),
    },
    respond: (response) => {
      fabric.respondToDevice(segment, response);
    },
  });
  fabric.attach(unit, scope);
  return unit;
};

/** Where the interrupts of a fabric go: through the unit that serves the sender, else straight to `sink`. */
export const remappedInterrupts =
  (sink: InterruptSink): InterruptPort =>
  (request, translator) => {
    if (translator instanceof RemappingUnit) return translator.deliver(request);
    sink.deliver(decodeCompatibleMessage(request));
    return true;
  };
