/**
 * The connector's own requests to the edge, one a segment (M15): dialled as the tunnel is, kept
 * alive between segments, signed with the tunnel's key. When the edge cannot be reached so
 * (something in front refuses or holds bodies back), the lane stays on the mux for a while.
 * Not what is in a segment (answer-body.ts, uploaded-body.ts).
 */
import { createHmac } from "node:crypto";
import { Agent, request } from "node:http";
import type { ClientRequest, ClientRequestArgs } from "node:http";
import type { Duplex } from "node:stream";
import type { BulkDirection, Segment } from "../protocol/bulk.ts";
import { BULK_HEADER, spellSegment } from "../protocol/bulk.ts";
import { BULK_PATH } from "../protocol/paths.ts";
import type { EdgeRoute } from "./edge-dial.ts";
import { dialEdge } from "./edge-dial.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";

/** Requests of one lane at once: bounds sockets and lent memory; bodies above it stay on the mux. */
const MAX_SEGMENTS_COUNT = 128;
const MAX_IDLE_SOCKETS_COUNT = 8;
/** How long a lane stays on the mux after a failure; doubles with each up to the last, starts over after a success. */
const FIRST_PAUSE_MS = 10_000;
const MAX_PAUSE_MS = 600_000;
/** The end of a stream may come later than the refusal of its segment. */
const GONE_WAIT_MS = 500;

class EdgeAgent extends Agent {
  readonly #route: EdgeRoute;

  constructor(route: EdgeRoute) {
    super({ keepAlive: true, maxFreeSockets: MAX_IDLE_SOCKETS_COUNT, timeout: FIRST_PAUSE_MS, scheduling: "lifo" });
    this.#route = route;
  }

  override createConnection(_options: ClientRequestArgs, ready?: (error: Error | null, socket: Duplex) => void): undefined {
    dialEdge(this.#route).then(
      (socket) => ready?.(null, socket),
      (error: Error) => ready?.(error, undefined as never),
    );
  }
}

/** Whether a lane's segments get through, over all its tunnels. */
export class BulkWay {
  readonly agent: EdgeAgent;
  readonly host: string;
  readonly lane: number;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #listeners = new Set<(on: boolean) => void>();
  #pauseMs = FIRST_PAUSE_MS;
  #pausing: NodeJS.Timeout | undefined;
  running = 0;
  /** The edge offers tickets for large bodies; until the contrary was seen. */
  ticketsCome = true;

  constructor(route: EdgeRoute, lane: number, log: Log, metrics: Metrics) {
    this.agent = new EdgeAgent(route);
    this.host = route.edge.host;
    this.lane = lane;
    this.#log = log;
    this.#metrics = metrics;
  }

  get isOpen(): boolean {
    return this.#pausing === undefined && this.running < MAX_SEGMENTS_COUNT;
  }

  /** Calls `told` now and whenever the way opens or closes; the answer stops it. */
  follow(told: (on: boolean) => void): () => void {
    told(this.#pausing === undefined);
    this.#listeners.add(told);
    return () => this.#listeners.delete(told);
  }

  /**
   * A segment was not taken: the lane's bodies stay on the mux for a while, unless the stream
   * turns out to be gone (`isGone`), which the edge says on the tunnel's socket as well.
   */
  failed(direction: BulkDirection, reason: string, isGone: () => boolean): void {
    setTimeout(() => isGone() || this.#pause(direction, reason), GONE_WAIT_MS).unref();
  }

  #pause(direction: BulkDirection, reason: string): void {
    this.#metrics.count("postern_connector_segments_total", { direction, outcome: "refused" });
    if (this.#pausing !== undefined) return;
    this.#log.warn("bulk_paused", { lane: this.lane, direction, reason, seconds: this.#pauseMs / 1000 });
    this.#pausing = setTimeout(() => {
      this.#pausing = undefined;
      for (const told of this.#listeners) told(true);
    }, this.#pauseMs);
    this.#pausing.unref();
    this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_PAUSE_MS);
    for (const told of this.#listeners) told(false);
  }

  carried(direction: BulkDirection, bytes: number): void {
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#metrics.count("postern_connector_segments_total", { direction, outcome: "carried" });
    this.#metrics.count("postern_connector_bytes_total", { direction: direction === "down" ? "out" : "in" }, bytes);
  }

  destroy(): void {
    clearTimeout(this.#pausing);
    this.agent.destroy();
  }
}

/** The way as one tunnel uses it, with its key. */
export class SegmentRequests {
  readonly way: BulkWay;
  readonly #key: Uint8Array;

  constructor(way: BulkWay, key: Uint8Array) {
    this.way = way;
    this.#key = key;
  }

  /** A segment's request. Nothing is sent before its headers are flushed or it ends. */
  request(segment: Segment, at: string): ClientRequest {
    const { way } = this;
    const down = segment.direction === "down";
    const made = request({
      agent: way.agent,
      method: down ? "POST" : "GET",
      path: BULK_PATH + at,
      setHost: false,
      headers: {
        host: way.host,
        "user-agent": "postern-connector",
        [BULK_HEADER]: spellSegment((key, bytes) => createHmac("sha256", key).update(bytes).digest(), this.#key, segment),
        ...(down && { "content-type": "application/octet-stream", "content-length": String(segment.length) }),
      },
    });
    way.running++;
    made.once("close", () => way.running--);
    return made;
  }
}
