/**
 * How long the wire waits, in milliseconds, and for what; the timers are set by the tunnel
 * object and the connector. Not the leases of a decision (M9) nor an app's own timeouts (P25).
 */
import { HOUR_MS } from "../core/time.ts";

/** Socket accepted to hello verified, and connected to welcome. Bounds sockets held by slow strangers (class K). Both ends. */
export const HANDSHAKE_MS = 10_000;
/** Stream opened to stream-open complete. Bounds heads that are dribbled (class K). Connector. */
export const HEAD_MS = 10_000;
/** An answer's body without a byte, unless the app says otherwise: long polls are quiet for minutes; vanished clients are noticed only so (M15). Tunnel object. */
export const BODY_IDLE_MS = 600_000;
/** Reset or half-closed on one side to gone on both. Bounds streams that one side never finishes. Connector. */
export const HALF_CLOSED_MS = 300_000;
/** Cut sent to cut acknowledged; after it the socket is closed if it carried any of what is cut, which destroys it (M2). Tunnel object. */
export const CUT_ACK_MS = 5_000;
/** An agent or a connector lost its socket to its TCP streams being gone for good: so long they can be attached to again (M18). Agent, connector; the tunnel object remembers who may hold one. */
export const RESUME_MS = 60_000;
/** Drain announced to socket closed: what lives may finish. Connector. */
export const DRAIN_MS = 30_000;
/** Drain announced to the edge's go-away: until it came, streams that were on their way are still served. Connector. */
export const DRAIN_ANSWER_MS = 2_000;

/** A segment under way whose bytes nobody takes, unless the app's idle time says otherwise: nothing else shows that a client is gone (M15). Connector. */
export const BULK_IDLE_MS = 60_000;
/** A segment from its request to its end; one takes seconds unless somebody stalls. Tunnel object. */
export const SEGMENT_MS = HOUR_MS;
/** A segment's request to the word that it was taken; longer, and something in between holds bodies back. Connector. */
export const BULK_ACCEPT_MS = 5_000;

/** The connector sends "ping" this often; proxies on the way drop sockets that are quiet for about 100 s. Answered without waking the object. */
export const KEEP_ALIVE_MS = 10_000;
/** The bound on a dead peer: silent for this long it is given up, by a lane that is awake, and by the connector at once. */
export const KEEP_ALIVE_DEAD_MS = 30_000;

/** Answer head to TLS and the agent's first frame. Bounds half-open secure streams (class K). Both ends. */
export const SECURE_MS = 10_000;
/** A connector that heard nothing from the edge for this long ends its streams without a connection (M18): a revocation may not have reached it. */
export const EDGE_CONTACT_MS = 30_000;
