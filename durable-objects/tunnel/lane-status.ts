/** What a lane tells operators of itself: who is connected, what lives, and what keeps it awake (M14). */
import type { LaneParts } from "./admission.ts";
import type { StreamTable } from "./live-stream.ts";
import type { LaneStatus } from "./rpc.ts";

export function laneStatus({ lane, policy, links, leases, log }: LaneParts, streams: StreamTable, agents: { readonly moving: number; readonly counters: Readonly<Record<string, number>> }): LaneStatus | undefined {
  const here = lane();
  if (here === undefined) return undefined;
  const bodies = streams.where((one) => one.ask.protocol === "http").length;
  return {
    ...here,
    policyVersion: policy.version,
    connectors: links.all().map((one) => ({ id: one.connector, streams: one.streams, draining: one.draining, wakes: one.wakes })),
    streams: streams.size,
    leases: leases.size,
    counters: { ...links.counters(), ...agents.counters },
    awake: [
      ...(bodies > 0 ? [`${bodies} HTTP responses are open`] : []),
      ...(log.pending > 0 ? [`${log.pending} records wait to be stored`] : []),
      ...(agents.moving > 0 ? [`${agents.moving} agents moved bytes a moment ago`] : []),
      ...(links.greeting > 0 ? [`${links.greeting} connectors are saying hello`] : []),
    ],
  };
}
