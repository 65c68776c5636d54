/**
 * Control texts: the JSON messages beside the frames on the same socket, and the keep-alive
 * pair. Shapes and sizes only, both ways; signatures are checked by whoever holds the keys, and
 * the order of the handshake by the two programs. What both sign is in hello.ts.
 */
import { parseAppId, parseConnectorId, parseSessionId, parseSiteId } from "../core/ids.ts";
import { MAX_CONTROL_BYTES, MAX_CUT_IDS_COUNT, MAX_DETAIL_BYTES, MAX_TARGET_VERSION_BYTES } from "./limits.ts";
import { flag, list, maybe, object, oneOf, text, whole } from "./shape.ts";
import type { Shape, Shaped } from "./shape.ts";

/** Sent by the connector, answered by the runtime without waking the object (KA1). */
export const KEEP_ALIVE_PING = "ping";
export const KEEP_ALIVE_PONG = "pong";

const BASE64URL = /^[A-Za-z0-9_-]+$/;
const JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+$/;
const CODE = /^[a-z][a-z0-9_]{0,63}$/;
const PRINTABLE = /^[\x20-\x7e\x80-\uffff]+$/;

/** A text that one of the parsers of core/ids.ts reads. */
export const named =
  <T>(parse: (text: string) => T | undefined): Shape<T> =>
  (value) =>
    typeof value === "string" ? parse(value) : undefined;

const versions = list(whole(1, 1000), 16);
const nonce = text(86, /^[A-Za-z0-9_-]{22,86}$/);
const key = text(256, BASE64URL);
const jws = text(MAX_CONTROL_BYTES, JWS);
const cutId = text(64, BASE64URL);
const note = text(MAX_DETAIL_BYTES, PRINTABLE);

const EDGE_SHAPES = {
  /** First on the socket: what the connector must sign, and the edge's key for the socket's MAC. `time` in milliseconds. */
  challenge: object({ t: oneOf("challenge"), versions, nonce, dh: key, site: named(parseSiteId), lane: whole(0, 255), time: whole(0) }),
  /** The hello was good. `signature` is the edge's over the transcript, `config` the site's signed configuration. */
  welcome: object({ t: oneOf("welcome"), v: whole(1, 1000), signature: text(8192, JWS), config: jws }),
  /** The hello was not good; the socket closes. `message` is for the operator of the connector. */
  refuse: object({ t: oneOf("refuse"), code: text(64, CODE), message: note }),
  /** An admission that stream-opens may name by digest (M17). */
  admission: object({ t: oneOf("admission"), jws }),
  /** A newer configuration of the site. */
  config: object({ t: oneOf("config"), jws }),
  /** The newer set of edge keys. */
  keys: object({ t: oneOf("keys"), jws }),
  /** Destroy these streams, forget the admissions of these sessions, and end what is kept of them and of these apps for agents that are away; answer when it is done (M2). */
  cut: object({
    t: oneOf("cut"),
    id: cutId,
    streams: list(whole(1, 2 ** 32 - 1), MAX_CUT_IDS_COUNT),
    sessions: list(named(parseSessionId), MAX_CUT_IDS_COUNT),
    apps: maybe(list(named(parseAppId), MAX_CUT_IDS_COUNT)),
  }),
  /**
   * The connector may carry what is left of this stream's body by a request of its own to `at`,
   * with this ticket (BK2). The next ticket of a direction says that the last one was taken.
   */
  bulk: object({ t: oneOf("bulk"), stream: whole(1, 2 ** 32 - 1), direction: oneOf("down", "up"), ticket: text(22, /^[A-Za-z0-9_-]{22}$/), at: text(64, /^[0-9a-f]{64}$/) }),
  /** The edge goes away soon: connect anew, let what lives finish. */
  drain: object({ t: oneOf("drain") }),
};

const CONNECTOR_SHAPES = {
  /** Who the connector is, bound to the challenge by `signature` over the transcript (HS1). */
  hello: object({
    t: oneOf("hello"),
    v: whole(1, 1000),
    connector: named(parseConnectorId),
    instance: nonce,
    dh: key,
    time: whole(0),
    versions,
    software: text(64, PRINTABLE),
    signature: text(8192, /^[A-Za-z0-9_.-]+$/),
  }),
  /** The cut of that id is done: every origin socket of it is destroyed. */
  cut_ack: object({ t: oneOf("cut_ack"), id: cutId }),
  /** The connector stops soon: open no more streams on this socket. */
  draining: object({ t: oneOf("draining") }),
  /** Whether the connector takes tickets: it reaches the edge by requests of its own, or it does not (BK1). */
  bulk: object({ t: oneOf("bulk"), on: flag }),
  /** An app's health, once it is known and when it changed (P25). */
  health: object({ t: oneOf("health"), app: named(parseAppId), up: flag, detail: maybe(note) }),
  /** What a file beside the app says of it, as a whole: what is not named is not known any more. `at`: when that was so, in milliseconds (CT6). */
  target: object({
    t: oneOf("target"),
    app: named(parseAppId),
    version: maybe(text(MAX_TARGET_VERSION_BYTES, PRINTABLE)),
    digest: maybe(text(71, /^sha256:[0-9a-f]{64}$/)),
    critical: maybe(whole(0)),
    high: maybe(whole(0)),
    at: whole(0),
  }),
  /** How many streams this socket has opened, for reconciling the record (M20). */
  count: object({ t: oneOf("count"), opened: whole(0) }),
};

type AnyOf<S extends { readonly [t: string]: Shape<unknown> }> = Shaped<S[keyof S]>;
/** What the edge says to the connector. */
export type EdgeMessage = AnyOf<typeof EDGE_SHAPES>;
/** What the connector says to the edge. */
export type ConnectorMessage = AnyOf<typeof CONNECTOR_SHAPES>;
export type Challenge = Extract<EdgeMessage, { readonly t: "challenge" }>;
export type Welcome = Extract<EdgeMessage, { readonly t: "welcome" }>;
export type Hello = Extract<ConnectorMessage, { readonly t: "hello" }>;

/** A control text as read. `unknown` is ignored and counted; `malformed` closes the socket with 4400, too large with 4413. */
export type ControlRead<M> =
  | { readonly type: "message"; readonly message: M }
  | { readonly type: "keep_alive"; readonly text: "ping" | "pong" }
  | { readonly type: "unknown" }
  | { readonly type: "malformed"; readonly reason: "not_json" | "no_type" | "shape" }
  | { readonly type: "too_large" };

/** Reads a text from the edge, on the connector. `maxBytes` bounds it in UTF-16 units. */
export function readEdgeMessage(raw: string, maxBytes: number = MAX_CONTROL_BYTES): ControlRead<EdgeMessage> {
  return readControl(raw, maxBytes, EDGE_SHAPES);
}

/** Reads a text from a connector, at the edge. Pass MAX_HELLO_BYTES until the hello is verified. */
export function readConnectorMessage(raw: string, maxBytes: number = MAX_CONTROL_BYTES): ControlRead<ConnectorMessage> {
  return readControl(raw, maxBytes, CONNECTOR_SHAPES);
}

/** Writes a control text. */
export function encodeControl(message: EdgeMessage | ConnectorMessage): string {
  return JSON.stringify(message);
}

/** Reads a text of any link by its shapes. */
export function readControl<S extends { readonly [t: string]: Shape<unknown> }>(raw: string, maxBytes: number, shapes: S): ControlRead<AnyOf<S>> {
  if (raw === KEEP_ALIVE_PING || raw === KEEP_ALIVE_PONG) return { type: "keep_alive", text: raw };
  if (raw.length > maxBytes) return { type: "too_large" };
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    return { type: "malformed", reason: "not_json" };
  }
  const kind = typeof value === "object" && value !== null && Object.hasOwn(value, "t") ? (value as { readonly t: unknown }).t : undefined;
  if (typeof kind !== "string") return { type: "malformed", reason: "no_type" };
  if (!Object.hasOwn(shapes, kind)) return { type: "unknown" };
  const message = shapes[kind]?.(value) as AnyOf<S> | undefined;
  return message === undefined ? { type: "malformed", reason: "shape" } : { type: "message", message };
}
