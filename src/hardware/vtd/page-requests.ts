import type { TraceChannel } from "../../trace/channel.ts";
import {
  isStopMarker,
  PAGE_RESPONSE_INVALID_REQUEST,
  PAGE_RESPONSE_SUCCESS,
  type PageGroupResponse,
  type PageRequest,
  type PageRequestOutcome,
} from "../pci/ats.ts";
import { NO_PASID } from "../pci/dma-request.ts";
import { PAGE_REQUESTED } from "./events.ts";
import type { PageRequestQueue } from "./page-request-queue.ts";
import type { TranslationUnit } from "./unit.ts";

/** What page requests need of their unit. */
export interface PageRequestParts {
  readonly translation: TranslationUnit;
  readonly queue: PageRequestQueue;
  /** Whether there are Stop Markers, ECAP.SMS. */
  readonly stopMarkers: boolean;
  /** Records a fault that a page request has met. */
  readonly record: (code: number, request: PageRequest) => void;
  readonly respond: (response: PageGroupResponse) => void;
  readonly trace: TraceChannel;
}

/** Page requests from devices: checked, put into the queue, or answered at once where software cannot (§7.4). */
export class PageRequests {
  readonly #parts: PageRequestParts;

  constructor(parts: PageRequestParts) {
    this.#parts = parts;
  }

  /** Takes a request. */
  request(request: PageRequest): PageRequestOutcome {
    const outcome = this.#decide(request);
    const { trace } = this.#parts;
    if (trace.enabled) {
      const pasid = request.pasid === NO_PASID ? undefined : request.pasid;
      trace.emit(PAGE_REQUESTED, { ...request, pasid, outcome });
    }
    return outcome;
  }

  #decide(request: PageRequest): PageRequestOutcome {
    const { translation, queue, record, stopMarkers } = this.#parts;
    const isMarker = isStopMarker(request);
    if (isMarker && !stopMarkers) return "refused";
    const refusal = translation.pageRequestRefusal(request.source, request.pasid);
    if (refusal !== undefined) {
      if (refusal.recorded) record(refusal.code, request);
      this.#answer(request, PAGE_RESPONSE_INVALID_REQUEST);
      return "refused";
    }
    if (!isMarker) {
      translation.invalidateRequestedPage(request.source, request.pasid, request.address);
    }
    const outcome = queue.enqueue(request);
    // A full queue is no reason to give up: the device is told to try its access again (§7.4.1).
    if (outcome === "overflow") this.#answer(request, PAGE_RESPONSE_SUCCESS);
    return outcome;
  }

  /** Answers a group, of which only the last request wants an answer, and a Stop Marker none. */
  #answer(request: PageRequest, code: number): void {
    if (!request.last || isStopMarker(request)) return;
    const { source, pasid, group } = request;
    this.#parts.respond({ destination: source, pasid, group, code });
  }

  /** Passes software's answer on to the device. */
  respond(response: PageGroupResponse): void {
    this.#parts.respond(response);
  }
}
