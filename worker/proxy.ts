/**
 * From an allowed request to its lane: the one object hop of the warm path (DESIGN §3 promise 4).
 * It builds what the lane needs and hands the body on untouched. Not the decision.
 */
import type { App } from "../policy/document.ts";
import { laneName } from "../durable-objects/bindings.ts";
import { OPEN_HEADER, type OpenContext, type Refusal } from "../durable-objects/tunnel/rpc.ts";
import { MAX_HEADERS_BYTES } from "../protocol/limits.ts";
import { headerBytes } from "./canonical.ts";
import { tooManyCookies } from "./cookies.ts";
import { addressOf } from "./connection-facts.ts";
import { type Exchange, originOf } from "./exchange.ts";
import type { Standing } from "./gate.ts";
import { mayTravelTogether, type Proxied, proxied, together } from "./batch.ts";
import { forwardedHeaders, type Speaker } from "./request-headers.ts";
import type { SessionSnapshot } from "../durable-objects/session/rpc.ts";
import { laneFor } from "./target-facts.ts";

/** The request's body as it goes to the lane, and whether it could be sent once more. */
export interface BodyToSend {
  readonly body: ReadableStream<Uint8Array> | Uint8Array | null;
  readonly again: boolean;
}

/** A small body of known length is read at once, so that a lane that knows better can send it back (M7). */
const MAX_REPLAYED_BYTES = 64 * 1024;

/** Undefined when a small body ended before its length: the client broke it off. */
export async function bodyToSend(x: Exchange): Promise<BodyToSend | undefined> {
  if (x.framing.body === "none" || x.request.body === null) return { body: null, again: true };
  const { length } = x.framing;
  if (length === undefined || length > MAX_REPLAYED_BYTES) return { body: x.request.body as ReadableStream<Uint8Array>, again: false };
  const body = await x.request.arrayBuffer().catch(() => undefined);
  return body?.byteLength === length ? { body: new Uint8Array(body), again: true } : undefined;
}

export async function proxy(x: Exchange, app: App, standing: Standing, stripAuthorization: boolean, { body }: BodyToSend): Promise<Proxied> {
  const { policy, ask } = standing;
  const session = standing.isPublic ? undefined : standing.session;
  const { framing } = x;
  if (app.maxBody !== undefined && framing.length !== undefined && framing.length > app.maxBody) {
    return refused("upstream_protocol", policy.version, "body_too_large");
  }
  const lane = laneFor(x, policy, app, session);
  const host = x.url.host + x.url.port;
  const context: OpenContext = {
    v: 1,
    request: x.id,
    site: app.site,
    lane,
    ...(session === undefined ? {} : { sid: session.sid }),
    ask,
    stamp: { epoch: session?.epoch ?? 0, policyVersion: policy.version },
    connection: x.connection,
    issuer: x.launcher,
    method: x.method,
    target: x.url.path + x.url.query,
    // An agent's socket: nothing of its request reaches an app.
    headers: ask.protocol === "tcp" ? [] : forwardedHeaders(x.fields, {
      host: typeof app.host === "string" ? host : app.host.literal,
      scheme: x.url.scheme,
      clientIp: addressOf(x.connection),
      user: session === undefined ? undefined : speakerOf(session),
      stripAuthorization,
      websocket: framing.websocket,
      rules: app.headers.request,
    }),
    publicOrigin: originOf(x.url),
    body: framing.body,
    ...(framing.length === undefined ? {} : { length: framing.length }),
  };
  const name = laneName(app.site, lane);
  const alone = async (): Promise<Proxied> => proxied(await x.env.TUNNEL.getByName(name).fetch(laneRequest(context, body)));
  try {
    return await (body === null && mayTravelTogether(context) ? together(x, name, context, alone) : alone());
  } catch {
    return refused("unavailable", policy.version, "the lane did not answer");
  }
}

const refused = (code: Refusal["code"], policyVersion: number, detail: string): Proxied => ({
  kind: "refused",
  refusal: { code, policyVersion, detail },
});

/** A request of ours around the browser's body: none of its headers is a header here, so none can pose as ours. */
function laneRequest(context: OpenContext, body: BodyToSend["body"]): Request {
  const headers: Record<string, string> = { [OPEN_HEADER]: asciiJson(context) };
  if (context.ask.protocol !== "http") headers["upgrade"] = "websocket";
  return new Request("https://lane.internal/", { method: body === null ? "GET" : "POST", headers, body, redirect: "manual" });
}

function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function speakerOf(session: SessionSnapshot): Speaker {
  const groups = session.facts["groups"]?.value;
  const { email } = session.display;
  return {
    sub: session.subject.kind === "service" ? `service:${session.subject.id}` : session.subject.id,
    ...(email === undefined ? {} : { email }),
    groups: Array.isArray(groups) ? groups.filter((one): one is string => typeof one === "string") : [],
  };
}

export const headersTooLarge = ({ request, fields }: Exchange): boolean => headerBytes(fields) > MAX_HEADERS_BYTES || tooManyCookies(request);
