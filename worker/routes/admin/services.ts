/** Service tokens: shown once, stored hashed, two valid at a time so that one can be rotated in. */
import { toBase64Url } from "../../../core/bytes.ts";
import { BREAK_GLASS_SERVICE, parseServiceId } from "../../../core/ids.ts";
import { parseDuration } from "../../../core/time.ts";
import { CONTROL_NAME } from "../../../durable-objects/bindings.ts";
import { formatServiceToken, hashSecret, newCredentialId, newSecret } from "../../../identity/session-token.ts";
import type { ServicesAnswer, ServiceTokenAnswer } from "../../../protocol/admin-api.ts";
import { readBoundedJson } from "../../bounded-body.ts";
import type { Exchange } from "../../exchange.ts";
import { MAX_SERVICE_TOKEN_MS } from "../../lifetimes.ts";
import { random } from "../../random.ts";
import { json, refuse } from "../../respond.ts";
import { asOperator, carryOut } from "./operator.ts";

const MAX_BODY_BYTES = 4 * 1024;

/** POST /.postern/api/v1/services {name, expires} */
export async function create(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "operator");
  if (operator instanceof Response) return operator;
  const body = await readBoundedJson(x.request, MAX_BODY_BYTES);
  const name = typeof body?.["name"] === "string" && !body["name"].includes(":") && body["name"] !== BREAK_GLASS_SERVICE ? parseServiceId(body["name"]) : undefined;
  const life = typeof body?.["expires"] === "string" ? parseDuration(body["expires"]) : undefined;
  if (name === undefined || life === undefined || life > MAX_SERVICE_TOKEN_MS) {
    return refuse(x, "bad_argument", { detail: 'The body must be {"name": lower-case letters, digits, "-", "_", "expires": "90d" or the like, at most 730d}.' });
  }
  const secret = newSecret(random);
  const tokenId = newCredentialId(random);
  const expiresAt = x.now + life;
  const control = x.env.CONTROL.getByName(CONTROL_NAME);
  const hash = toBase64Url(await hashSecret(secret));
  const created = await carryOut(x, "operator", ({ by }) => control.createService({ name, tokenId, hash, expiresAt, by }));
  if (created instanceof Response) return created;
  if (!created.ok) return refuse(x, "bad_argument", { detail: `${created.detail ?? name}; first: postern revoke service ${name}` });
  const token = formatServiceToken({ id: tokenId, secret });
  return json(x, { id: tokenId, name, client_id: tokenId, client_secret: token, token, expires_at: new Date(expiresAt).toISOString() } satisfies ServiceTokenAnswer, 201);
}

/** GET /.postern/api/v1/services */
export async function list(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const all = await x.env.CONTROL.getByName(CONTROL_NAME).services();
  return json(x, all.map((one) => ({
    id: one.tokenId,
    name: one.name,
    created_at: new Date(one.createdAt).toISOString(),
    expires_at: new Date(one.expiresAt).toISOString(),
    revoked_at: one.revokedAt === undefined ? null : new Date(one.revokedAt).toISOString(),
  })) satisfies ServicesAnswer);
}
