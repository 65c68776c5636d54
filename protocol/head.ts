/**
 * Heads: the JSON at the start of a stream that says what it is (edge to connector) or what came
 * of it (back). Framing, caps and shapes; not what the MAC covers (stream-mac.ts), nor whether
 * an admission allows it.
 *
 *   stream-open   [length u32be][MAC 32 bytes][JSON, length bytes]
 *   answer        [length u32be][JSON, length bytes]
 */
import { parseAppId, parseRequestId } from "../core/ids.ts";
import type { AppId, RequestId } from "../core/ids.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { writeU32, readU32 } from "./frames.ts";
import { Gather } from "./gather.ts";
import { MAX_DETAIL_BYTES, MAX_HEADERS_BYTES, MAX_HEADERS_COUNT, MAX_HEAD_BYTES, MAX_PATH_BYTES } from "./limits.ts";
import { list, maybe, object, oneOf, text, whole } from "./shape.ts";
import type { Shape } from "./shape.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const LENGTH_BYTES = 4;
export const MAC_BYTES = 32;

/** Header name and value, in the order and spelling in which they came. */
export type HeaderField = readonly [name: string, value: string];

/** What the edge asks of the connector. `tcp`: method CONNECT, path "/", no headers, body "stream". */
export interface OpenHead {
  readonly v: 1;
  readonly kind: "http" | "websocket" | "tcp";
  readonly app: AppId;
  /** Digest of the admission that allows it, base64url (M17). */
  readonly admission: string;
  /** Counter under the socket's MAC key; strictly increasing, so the stream id serves. */
  readonly n: number;
  readonly req: RequestId;
  readonly method: string;
  /** Canonical, origin-form, with query. */
  readonly path: string;
  readonly headers: readonly HeaderField[];
  readonly body: "none" | "stream";
  /** Bytes of the body, if known. */
  readonly length?: number;
}

export const UPSTREAM_ERROR_CODES = [
  "upstream_refused",
  "upstream_timeout",
  "upstream_tls",
  "upstream_name",
  "upstream_reset",
  "upstream_protocol",
  "not_allowed",
  "bad_admission",
  "bad_open",
  "overloaded",
] as const;
export type UpstreamErrorCode = (typeof UPSTREAM_ERROR_CODES)[number];

/** What the app answered. 101 answers a websocket or tcp stream; `body` "stream" ends with the stream. */
export interface AnswerOk {
  readonly v: 1;
  readonly status: number;
  readonly reason?: string;
  readonly headers: readonly HeaderField[];
  readonly body: "none" | "stream";
  readonly length?: number;
}

/** Why there is no answer. `detail` is for operators and logs, never for users. */
export interface AnswerError {
  readonly v: 1;
  readonly error: UpstreamErrorCode;
  readonly detail?: string;
}

export type AnswerHead = AnswerOk | AnswerError;

export type HeadError = "head_too_large" | "head_empty" | "head_not_json" | "head_shape";

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5: visible characters, space, tab, and what is above ASCII. No CR, LF, NUL or other control. */
const VALUE = /^[\t\x20-\x7e\x80-\uffff]*$/;
const PATH = /^\/[\x21\x22\x24-\x5b\x5d-\x7e]*$/;
const DIGEST = /^[A-Za-z0-9_-]{16,86}$/;

/** Names that were found to be tokens lately: the same few come with every head. Bounds what is kept; emptied when full. */
const MAX_TOKENS_COUNT = 512;
const MAX_TOKEN_CHARS = 64;
const tokens = new Set<string>();

function isToken(name: string): boolean {
  if (tokens.has(name)) return true;
  if (!TOKEN.test(name)) return false;
  if (tokens.size >= MAX_TOKENS_COUNT) tokens.clear();
  if (name.length <= MAX_TOKEN_CHARS) tokens.add(name);
  return true;
}

/** True for a pair that can be written as a header line without saying anything else. */
export function isHeaderField(name: string, value: string): boolean {
  return isToken(name) && VALUE.test(value) && value.isWellFormed();
}

const headerField: Shape<HeaderField> = (value) => {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [name, content]: readonly unknown[] = value;
  if (typeof name !== "string" || typeof content !== "string") return undefined;
  return isHeaderField(name, content) ? (value as unknown as HeaderField) : undefined;
};

const headerList = list(headerField, MAX_HEADERS_COUNT);
const headers: Shape<readonly HeaderField[]> = (value) => {
  const fields = headerList(value);
  const size = fields?.reduce((sum, [name, content]) => sum + name.length + content.length, 0) ?? 0;
  return size <= MAX_HEADERS_BYTES ? fields : undefined;
};

const named =
  <T>(parse: (text: string) => T | undefined): Shape<T> =>
  (value) =>
    typeof value === "string" ? parse(value) : undefined;

const body = oneOf("none", "stream");

const openShape = object({
  v: oneOf(1),
  kind: oneOf("http", "websocket", "tcp"),
  app: named(parseAppId),
  admission: text(86, DIGEST),
  n: whole(1),
  req: named(parseRequestId),
  method: text(32, TOKEN),
  path: text(MAX_PATH_BYTES, PATH),
  headers,
  body,
  length: maybe(whole(0)),
});

const answerShape = object({
  v: oneOf(1),
  status: whole(200, 599),
  reason: maybe(text(MAX_DETAIL_BYTES, VALUE)),
  headers,
  body,
  length: maybe(whole(0)),
});
const switchShape = object({ v: oneOf(1), status: oneOf(101), reason: maybe(text(MAX_DETAIL_BYTES, VALUE)), headers, body: oneOf("stream") });
const errorShape = object({ v: oneOf(1), error: oneOf(...UPSTREAM_ERROR_CODES), detail: maybe(text(MAX_DETAIL_BYTES, VALUE)) });

const checkOpen: Shape<OpenHead> = (value) => {
  const head = openShape(value);
  if (head === undefined || !lengthFits(head)) return undefined;
  switch (head.kind) {
    case "http":
      return head;
    case "websocket":
      return head.method === "GET" && head.body === "stream" ? head : undefined;
    case "tcp":
      return head.method === "CONNECT" && head.path === "/" && head.headers.length === 0 && head.body === "stream" ? head : undefined;
    default:
      return head.kind satisfies never;
  }
};

const checkAnswer: Shape<AnswerHead> = (value) => {
  const error = typeof value === "object" && value !== null && "error" in value ? errorShape(value) : undefined;
  if (error !== undefined) return error;
  const head: AnswerOk | undefined = answerShape(value) ?? switchShape(value);
  return head !== undefined && lengthFits(head) ? head : undefined;
};

const lengthFits = (head: { readonly body: "none" | "stream"; readonly length?: number }): boolean =>
  head.length === undefined || head.body === "stream";

/** The JSON of a stream-open, which is what its MAC covers; fails if it does not fit its own shape or the cap. */
export function openHeadJson(head: OpenHead): Result<Uint8Array<ArrayBuffer>, HeadError> {
  return checkOpen(head) === undefined ? err("head_shape") : toJson(head);
}

/** A whole stream-open: length, MAC of 32 bytes, JSON. */
export function frameOpenHead(json: Uint8Array, mac: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(LENGTH_BYTES + MAC_BYTES + json.length);
  writeU32(out, 0, json.length);
  out.set(mac.subarray(0, MAC_BYTES), LENGTH_BYTES);
  out.set(json, LENGTH_BYTES + MAC_BYTES);
  return out;
}

/** A whole answer head: length, JSON; fails if it does not fit its own shape or the cap. */
export function encodeAnswerHead(head: AnswerHead): Result<Uint8Array<ArrayBuffer>, HeadError> {
  if (checkAnswer(head) === undefined) return err("head_shape");
  const json = toJson(head);
  if (!json.ok) return json;
  const out = new Uint8Array(LENGTH_BYTES + json.value.length);
  writeU32(out, 0, json.value.length);
  out.set(json.value, LENGTH_BYTES);
  return ok(out);
}

/** Reads the JSON of a stream-open. Verify its MAC first: nothing here proves who wrote it. */
export function parseOpenHead(json: Uint8Array): Result<OpenHead, HeadError> {
  return fromJson(json, checkOpen);
}

/** Reads the JSON of an answer. */
export function parseAnswerHead(json: Uint8Array): Result<AnswerHead, HeadError> {
  return fromJson(json, checkAnswer);
}

function toJson(head: OpenHead | AnswerHead): Result<Uint8Array<ArrayBuffer>, HeadError> {
  const json = encoder.encode(JSON.stringify(head));
  return json.length > MAX_HEAD_BYTES ? err("head_too_large") : ok(json);
}

function fromJson<T>(json: Uint8Array, check: Shape<T>): Result<T, HeadError> {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(json));
  } catch {
    return err("head_not_json");
  }
  const head = check(value);
  return head === undefined ? err("head_shape") : ok(head);
}

/** `more`: feed the next bytes. `head`: done; `mac` is empty for answers, `rest` is the start of the body. */
export type HeadRead =
  | { readonly type: "more" }
  | { readonly type: "head"; readonly mac: Uint8Array; readonly json: Uint8Array; readonly rest: Uint8Array }
  | { readonly type: "error"; readonly error: HeadError };

const MORE: HeadRead = { type: "more" };

/** Reads one head out of the first bytes of a stream, however they are cut (HD2). Feed no more after `head` or `error`. */
export class HeadReader {
  readonly #macBytes: number;
  readonly #length = new Gather(LENGTH_BYTES);
  #rest: Gather | undefined;

  constructor(kind: "open" | "answer") {
    this.#macBytes = kind === "open" ? MAC_BYTES : 0;
  }

  feed(bytes: Uint8Array): HeadRead {
    let from = 0;
    if (this.#rest === undefined) {
      const prefix = this.#length.feed(bytes);
      if (prefix.bytes === undefined) return MORE;
      const length = readU32(prefix.bytes, 0);
      if (length === 0) return { type: "error", error: "head_empty" };
      if (length > MAX_HEAD_BYTES) return { type: "error", error: "head_too_large" };
      this.#rest = new Gather(this.#macBytes + length);
      from = prefix.taken;
    }
    const read = this.#rest.feed(bytes.subarray(from));
    if (read.bytes === undefined) return MORE;
    return {
      type: "head",
      mac: read.bytes.subarray(0, this.#macBytes),
      json: read.bytes.subarray(this.#macBytes),
      rest: bytes.subarray(from + read.taken),
    };
  }
}
