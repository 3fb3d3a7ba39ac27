import type { IommuDevice } from "./driver.ts";

/** A page that a device has asked for. */
export interface IoPageFault {
  /** Address of the page. */
  readonly address: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
}

/** What a device is told: go on, you may not, or ask no more. */
export type PageResponse = "success" | "invalid" | "failure";

/** A page request as a driver hands it over. */
export interface PageRequestReport {
  readonly device: IommuDevice;
  /** `undefined` for requests without one. */
  readonly pasid: number | undefined;
  /** Group that the device has put it into. */
  readonly group: number;
  /** The device waits for an answer to the whole group from now on. */
  readonly last: boolean;
  readonly fault: IoPageFault;
  /** Answers the group. */
  answer(response: PageResponse): void;
}

/** Page requests that a device waits for together. */
export interface IoPageFaultGroup {
  readonly device: IommuDevice;
  readonly pasid: number | undefined;
  readonly groupId: number;
  readonly faults: readonly IoPageFault[];
  /** Lets the device go on; only the first call does anything. */
  respond(response: PageResponse): void;
}

/** Takes the faults of one attachment. */
export type FaultSink = (group: IoPageFaultGroup) => void;

/** Requests of unfinished groups that are kept for one device: as many as groups can be told apart. */
export const PARTIAL_FAULT_LIMIT = 512;

interface Outstanding {
  readonly pasid: number | undefined;
  respond(response: PageResponse): void;
}

/** The faults of one device. */
class DeviceFaults {
  readonly sinks: Map<number | undefined, FaultSink> = new Map();
  readonly outstanding: Set<Outstanding> = new Set();
  /** Requests of groups whose last has not come. */
  partial: PageRequestReport[] = [];
  /** One had to be dropped, so that no group can be known to be whole. */
  overflowed = false;
}

/** Brings devices' page requests, group by group, to whoever has asked for those of an attachment. */
export class IoPageFaults {
  readonly #devices = new Map<IommuDevice, DeviceFaults>();

  #of(device: IommuDevice): DeviceFaults {
    const faults = this.#devices.get(device) ?? new DeviceFaults();
    this.#devices.set(device, faults);
    return faults;
  }

  /** Sends the faults of a device and PASID to `sink` from now on; nowhere when absent. */
  setSink(device: IommuDevice, pasid: number | undefined, sink: FaultSink | undefined): void {
    const { sinks } = this.#of(device);
    if (sink === undefined) sinks.delete(pasid);
    else sinks.set(pasid, sink);
  }

  /** Groups of a device that nobody has answered. */
  outstanding(device: IommuDevice): number {
    return this.#of(device).outstanding.size;
  }

  /** Takes a request. */
  report(request: PageRequestReport): void {
    const { device, pasid, group, last } = request;
    const faults = this.#of(device);
    const isSame = (other: PageRequestReport): boolean =>
      other.group === group && other.pasid === pasid;
    if (!last) {
      if (faults.partial.length < PARTIAL_FAULT_LIMIT) faults.partial.push(request);
      else faults.overflowed = true;
      return;
    }
    const members = [...faults.partial.filter(isSame), request];
    faults.partial = faults.partial.filter((other) => !isSame(other));
    const sink = faults.sinks.get(pasid);
    if (sink === undefined || faults.overflowed) {
      faults.overflowed = faults.partial.length > 0 && faults.overflowed;
      request.answer("invalid");
      return;
    }
    const outstanding: Outstanding = {
      pasid,
      respond: (response) => {
        if (faults.outstanding.delete(outstanding)) request.answer(response);
      },
    };
    faults.outstanding.add(outstanding);
    sink({
      device,
      pasid,
      groupId: group,
      faults: members.map(({ fault }) => fault),
      respond: outstanding.respond,
    });
  }

  /** Forgets requests of unfinished groups: after others were lost on the way. */
  discardPartial(device: IommuDevice): void {
    this.#of(device).partial = [];
  }

  /** Refuses whatever waits for an answer under a PASID, and forgets its unfinished groups. */
  refuseAll(device: IommuDevice, pasid: number | undefined): void {
    const faults = this.#of(device);
    faults.partial = faults.partial.filter((request) => request.pasid !== pasid);
    for (const each of [...faults.outstanding]) if (each.pasid === pasid) each.respond("invalid");
  }
}
