/** What a case is: one load, put on every system that can take it, and the metrics that come of it. */
import type { Target } from "../load/requests.ts";
import type { Metrics } from "../measure/metrics.ts";
import type { System } from "../systems/system.ts";

export interface Pace {
  readonly rounds: number;
  /** Length of a sample whose length can be chosen. */
  readonly seconds: number;
  readonly hasWrk: boolean;
  /** A hundredth of everything; only to see that it works. */
  readonly tiny: boolean;
}

export interface Case {
  readonly name: string;
  /** By name; one that is absent, or carries no such thing, is left out. */
  readonly systems: readonly string[];
  /** Undefined: the system carries no such thing. */
  readonly sample: (system: System, pace: Pace) => Promise<Metrics | undefined>;
  /** Before each sample: leases, connections and caches are as in use, for every system alike. */
  readonly warmUp?: (system: System, pace: Pace) => Promise<void>;
  /** More rounds tell nothing. */
  readonly mostRounds?: number;
}

export const MB = 1_000_000;
/** Requests of a sample that only shows that it works. */
export const TINY_COUNT = 20;

export const PEERS = ["localtunnel", "ssh-R", "caddy", "wireguard-go"];
/** Every system that speaks HTTP. */
export const HTTP_SYSTEMS = ["direct", "workerd-proxy", "do-hello", "floor", "postern", ...PEERS];
/** Those that have a body to send: do-hello has none of any size. */
export const BULK_SYSTEMS = HTTP_SYSTEMS.filter((name) => name !== "do-hello");

/** Where a system takes HTTP; every one that a case of HTTP names does. */
export function httpOf(system: System): Target {
  if (system.http === undefined) throw new Error("this system takes no HTTP");
  return system.http;
}
