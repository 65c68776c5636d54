/**
 * The connector's three doors: enrolment with a one-time token, the socket of a lane, and pieces of
 * bodies beside it. None takes a user's credential; who a connector is, is proved by its key.
 */
import { parseConnectorId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { CONTROL_NAME, laneName } from "../../durable-objects/bindings.ts";
import { CONNECT_HEADER, type ConnectContext } from "../../durable-objects/tunnel/rpc.ts";
import { digestOf } from "../../identity/digest.ts";
import { verifyEnrollProof } from "../../identity/enroll-proof.ts";
import { parsePublicJwk } from "../../identity/keys.ts";
import { parseEnrolmentToken } from "../../identity/session-token.ts";
import { BULK_HEADER } from "../../protocol/bulk.ts";
import { SUBPROTOCOL } from "../../protocol/hello.ts";
import { readBoundedJson } from "../bounded-body.ts";
import type { Exchange } from "../exchange.ts";
import { socketFault } from "../program-socket.ts";
import { blank, json, refuse } from "../respond.ts";

const MAX_ENROLL_BYTES = 8 * 1024;
const MAX_NAME_CHARS = 63;

/** POST /.postern/connectors/enroll {token, public_key, name, proof} */
export async function enroll(x: Exchange): Promise<Response> {
  const body = await readBoundedJson(x.request, MAX_ENROLL_BYTES);
  if (body === undefined) return refuse(x, "bad_argument", { detail: "The body must be a JSON object." });
  const { token, public_key: claimed, name, proof } = body;
  const key = await parsePublicJwk(claimed);
  if (typeof token !== "string" || parseEnrolmentToken(token) === undefined) return refuse(x, "enroll_token_invalid");
  if (key === undefined || key.crv !== "Ed25519" || typeof proof !== "string") return refuse(x, "bad_argument", { detail: "public_key must be an Ed25519 JWK, with its proof." });
  const hash = await digestOf(token);
  if (!(await verifyEnrollProof(proof, key, hash, at(x.now)))) return refuse(x, "bad_argument", { detail: "The proof is not the key's, or a clock is wrong." });
  const enrolled = await x.env.CONTROL.getByName(CONTROL_NAME).enroll({
    tokenHash: hash,
    publicKey: key,
    thumbprint: key.kid,
    name: typeof name === "string" ? name.replace(/[^\x20-\x7e]/g, "?").slice(0, MAX_NAME_CHARS) : "",
  });
  if (!enrolled.ok) return refuse(x, "enroll_token_invalid");
  return json(x, { connector: enrolled.connector.id, site: enrolled.connector.site, lanes: enrolled.lanes, keys: enrolled.keySet, edge: x.launcher });
}

/** GET /.postern/connect?connector&lane, a WebSocket */
export async function connect(x: Exchange): Promise<Response> {
  const fault = socketFault(x, SUBPROTOCOL);
  if (fault !== undefined) return fault;
  const query = new URLSearchParams(x.url.query);
  const id = parseConnectorId(query.get("connector") ?? "");
  const lane = /^[0-9]{1,2}$/.test(query.get("lane") ?? "") ? Number(query.get("lane")) : -1;
  const known = id === undefined ? undefined : await x.env.CONTROL.getByName(CONTROL_NAME).connector(id);
  if (known === undefined || known.record.revokedAt !== undefined) return refuse(x, "connector_unknown");
  if (lane < 0 || lane >= known.lanes) return refuse(x, "bad_argument", { detail: "The site has no such lane." });
  const { record } = known;
  const context: ConnectContext = {
    v: 1,
    site: record.site,
    lane,
    connector: record.id,
    publicKey: record.publicKey,
    thumbprint: record.thumbprint,
    keySet: known.keySet,
  };
  // The first call for a lane comes from its connector, so that the object lives near it.
  const region = x.policy?.document.sites.find((one) => one.id === record.site)?.region;
  return x.env.TUNNEL.getByName(laneName(record.site, lane), region === undefined ? {} : { locationHint: region }).fetch(
    new Request("https://lane.internal/", { headers: { upgrade: "websocket", [CONNECT_HEADER]: JSON.stringify(context) } }),
  );
}

/** What a browser says and a connector does not. */
const OF_BROWSERS = ["origin", "cookie", "sec-fetch-mode"];

/** GET or POST /.postern/bulk/<the lane's object>: a piece of a body (M15). Its ticket and MAC are the object's to judge. */
export async function bulk(x: Exchange, at: string): Promise<Response> {
  const { headers, body } = x.request;
  const segment = headers.get(BULK_HEADER);
  if (segment === null || OF_BROWSERS.some((name) => headers.has(name))) return blank(x);
  try {
    // Throws for an id that no lane of ours has: nobody can make an object by asking for it.
    const lane = x.env.TUNNEL.get(x.env.TUNNEL.idFromString(at));
    return await lane.fetch(new Request("https://lane.internal/", { method: x.method, headers: { [BULK_HEADER]: segment }, body, duplex: "half" } as RequestInit));
  } catch {
    return blank(x);
  }
}
