/** Tunnel: the calls it answers, and what the worker hands it with a request. Types, and the names of headers. */
import type { PublicJwk } from "../../identity/keys.ts";
import type { AppId, ConnectorId, RequestId, SessionId, SiteId } from "../../core/ids.ts";
import type { LostReason } from "../../policy/decision.ts";
import type { Ask, Fact, Facts } from "../../policy/facts.ts";
import type { CutReport } from "../cut-report.ts";
import type { PolicySnapshot } from "../control/rpc.ts";
import type { FrozenSince, SessionSnapshot } from "../session/rpc.ts";

/** Travels as the only header of the worker's internal request, so that no browser header can pose as it. */
export const OPEN_HEADER = "postern-open";
export const CONNECT_HEADER = "postern-connect";
/** Instead of an open: the answer of a request that was carried in a batch and came back as a claim (M16). */
export const CLAIM_HEADER = "postern-claim";
/** On the tunnel's answer: this is a refusal for the worker to explain, not the app's answer. */
export const REFUSAL_HEADER = "postern-refusal";

/** What a TCP stream asks, whoever opens it. */
export const TCP_ASK = { protocol: "tcp", method: "CONNECT", path: "/" } as const;

export interface OpenContext {
  readonly v: 1;
  readonly request: RequestId;
  readonly site: SiteId;
  readonly lane: number;
  /** Absent for a public path (P20). */
  readonly sid?: SessionId;
  readonly ask: Ask;
  /** What the edge decided on; absent when an agent asks the lane itself. */
  readonly stamp?: { readonly epoch: number; readonly policyVersion: number };
  /** Only this connector will do. */
  readonly connector?: ConnectorId | undefined;
  readonly connection: { readonly [name: string]: Fact };
  readonly issuer: string;
  readonly method: string;
  /** Origin-form target with query, built from the canonical path. */
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly publicOrigin: string;
  readonly body: "none" | "stream";
  readonly length?: number;
}

/** Who redeems the answer of a request that was carried. */
export interface Claim {
  readonly request: RequestId;
  readonly sid?: SessionId;
}

export interface ConnectContext {
  readonly v: 1;
  readonly site: SiteId;
  readonly lane: number;
  readonly connector: ConnectorId;
  readonly publicKey: PublicJwk;
  readonly thumbprint: string;
  readonly keySet: string;
}

export type RefusalCode =
  /** The edge's document is not the newest: it reads the newest and asks again. */
  | "stale"
  | "denied"
  | "step_up"
  | "revoked"
  | "limit_reached"
  | "no_connector"
  | "upstream_refused"
  | "upstream_timeout"
  | "upstream_tls"
  | "upstream_name"
  | "upstream_reset"
  | "upstream_protocol"
  | "overloaded"
  | LostReason
  | "unavailable";

export interface Refusal {
  readonly code: RefusalCode;
  readonly policyVersion: number;
  readonly detail?: string;
  /** With a denial: when the lane last saw a byte of this user, finer than what the session was told (P19). */
  readonly lastActiveAt?: number;
  /** The request had gone to its connector when it was cut or lost: the app may have acted on it, and it is not sent again (M16). */
  readonly sent?: true;
  /** With a denial: it is on record already. */
  readonly recorded?: true;
}

export interface StreamReport {
  readonly id: RequestId;
  readonly sid?: SessionId;
  readonly app: AppId;
  readonly protocol: Ask["protocol"];
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly state: "open" | "held" | "frozen";
}

export interface LaneStatus {
  readonly site: SiteId;
  readonly lane: number;
  readonly policyVersion: number;
  readonly connectors: readonly { readonly id: ConnectorId; readonly streams: number; readonly draining: boolean; readonly wakes: number }[];
  readonly streams: number;
  readonly leases: number;
  /** Since it woke: what the muxes of its connectors counted, and `closed_CODE` for each of their sockets that ended so; of agents `agent_closed_CODE`, and `agent_flow` and `agent_memory` for streams that were reset so. */
  readonly counters: Readonly<Record<string, number>>;
  /** What keeps this lane from hibernating, in words (M14). */
  readonly awake: readonly string[];
}

export interface TunnelRpc {
  /** A new policy: decide again for every live stream (M7); answers when connectors confirmed their cuts. */
  applyPolicy(lane: { site: SiteId; lane: number }, snapshot: PolicySnapshot): Promise<CutReport>;
  /** Identity providers that do not answer, and for how long, in ms: decides again for every live stream. */
  providersAway(away: Readonly<Record<string, number>>): Promise<CutReport>;
  endSession(sid: SessionId, epoch: number, reason: string): Promise<CutReport>;
  /** New facts of a session, or older ones that ran out: decides again at once for each of its streams, and answers when connectors confirmed their cuts. */
  observe(snapshot: SessionSnapshot, frozen?: FrozenSince): Promise<CutReport>;
  endApp(app: AppId): Promise<CutReport>;
  endConnector(connector: ConnectorId): Promise<CutReport>;
  /** Requests of one isolate at once, as JSON of OpenContext[] (M16). Comes back as soon as some are answered; batch-reply.ts reads it. */
  carry(batch: string): Promise<Uint8Array>;
  /** The next answers to requests that were carried, by their ids. */
  collect(requests: readonly RequestId[]): Promise<Uint8Array>;
  streams(sid: SessionId): Promise<{ readonly streams: readonly StreamReport[]; readonly lastActiveAt: number }>;
  /** What all connectors that serve here say of an app. */
  targetFacts(app: AppId): Promise<Facts["known"]>;
  status(): Promise<LaneStatus | undefined>;
}
