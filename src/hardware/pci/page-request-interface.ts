import {
  PAGE_RESPONSE_INVALID_REQUEST,
  PAGE_RESPONSE_SUCCESS,
  type PageGroupResponse,
  type PageRequest,
} from "./ats.ts";
import type { ConfigSpace, ConfigWidth } from "./config-space.ts";
import type { PciFaultReason } from "./pci-fault.ts";
import { PAGE_REQUEST_CAPABILITY } from "./spec/capabilities.ts";

const { layout } = PAGE_REQUEST_CAPABILITY;
/** Byte of the capability that holds `pageRequestReset`, and the bit in it. */
const RESET_BYTE = 4;
const RESET_BIT = 2;

/** A function's page request interface: which requests wait for an answer, and what its registers say of them (PCIe 6.3 §10.4). */
export class PageRequestInterface {
  readonly #config: ConfigSpace;
  /** Requests without an answer, by group. */
  readonly #groups = new Map<string, number>();

  constructor(config: ConfigSpace) {
    this.#config = config;
  }

  /** How many requests wait for an answer. */
  get outstanding(): number {
    return [...this.#groups.values()].reduce((sum, count) => sum + count, 0);
  }

  /**
   * Why no request may be sent now; `undefined` when one may (§10.5.2.2, §10.5.2.5).
   *
   * @param isMarker whether it is a Stop Marker, which is never outstanding (§10.4.1.2)
   */
  refusal(isMarker = false): PciFaultReason | undefined {
    const config = this.#config;
    if (!config.has(layout, "pageRequestEnable")) return "page-requests-disabled";
    if (config.has(layout, "responseFailure")) return "page-requests-failed";
    if (isMarker) return undefined;
    const allowed = Math.min(config.get(layout, "allocation"), config.get(layout, "capacity"));
    return this.outstanding < allowed ? undefined : "page-requests-exhausted";
  }

  /** A request goes out. */
  sent({ group, pasid }: Pick<PageRequest, "group" | "pasid">): void {
    const key = this.#keyOf(group, pasid);
    this.#groups.set(key, (this.#groups.get(key) ?? 0) + 1);
  }

  /**
   * An answer comes in.
   *
   * @returns whether anybody waits for it; if not, Unexpected Page Request Group Index is set (§10.5.2.3)
   */
  answered({ group, pasid, code }: PageGroupResponse): boolean {
    const config = this.#config;
    if (!this.#groups.delete(this.#keyOf(group, pasid))) {
      config.set(layout, "unexpectedGroupIndex", 1);
      return false;
    }
    if (code !== PAGE_RESPONSE_SUCCESS && code !== PAGE_RESPONSE_INVALID_REQUEST) {
      config.set(layout, "responseFailure", 1);
      // After a failure no other answer is expected (§10.5.2.3).
      this.#groups.clear();
    }
    this.#follow();
    return true;
  }

  /** Software has written to configuration space. */
  written(offset: number, width: ConfigWidth, value: number): void {
    const at = this.#config.offsetOf(layout);
    if (at === undefined) return;
    const index = at + RESET_BYTE - offset;
    const resets = index >= 0 && index < width && ((value >>> (index * 8)) & RESET_BIT) !== 0;
    if (resets && !this.#config.has(layout, "pageRequestEnable")) this.#groups.clear();
    this.#follow();
  }

  /** Which requests wait for an answer: groups and how many there are in each. */
  save(): readonly (readonly [group: string, count: number])[] {
    return [...this.#groups];
  }

  restore(groups: readonly (readonly [group: string, count: number])[]): void {
    this.#groups.clear();
    for (const [group, count] of groups) this.#groups.set(group, count);
  }

  /** The function has been reset: nobody waits any more. */
  reset(): void {
    this.#groups.clear();
  }

  /** Stopped: not enabled, and nothing outstanding (§10.5.2.3). */
  #follow(): void {
    const runs = this.#config.has(layout, "pageRequestEnable") || this.#groups.size > 0;
    this.#config.set(layout, "stopped", runs ? 0 : 1);
  }

  /** Groups of different PASIDs are different where responses carry the PASID. */
  #keyOf(group: number, pasid: number): string {
    return this.#config.has(layout, "responsePasidRequired") ? `${group} ${pasid}` : `${group}`;
  }
}
