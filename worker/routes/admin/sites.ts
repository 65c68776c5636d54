/** Sites: enrolment tokens, connectors, and what the edge knows of its lanes. */
import { parseSiteId } from "../../../core/ids.ts";
import { HOUR_MS } from "../../../core/time.ts";
import { CONTROL_NAME, laneName } from "../../../durable-objects/bindings.ts";
import { digestOf } from "../../../identity/digest.ts";
import { formatEnrolmentToken, newCredentialId, newSecret } from "../../../identity/session-token.ts";
import type { ConnectorsAnswer, EdgeStatusAnswer, EnrollTokenAnswer } from "../../../protocol/admin-api.ts";
import { readBoundedJson } from "../../bounded-body.ts";
import type { Exchange } from "../../exchange.ts";
import { random } from "../../random.ts";
import { json, refuse } from "../../respond.ts";
import { glassJson, glassState } from "./break-glass.ts";
import { asOperator, carryOut } from "./operator.ts";

const MAX_BODY_BYTES = 4 * 1024;
/** How long an enrolment token can be redeemed. */
const ENROLL_LIFE_MS = HOUR_MS;

/** POST /.postern/api/v1/enroll-tokens {site} */
export async function createEnrollToken(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "operator");
  if (operator instanceof Response) return operator;
  const body = await readBoundedJson(x.request, MAX_BODY_BYTES);
  const site = typeof body?.["site"] === "string" ? parseSiteId(body["site"]) : undefined;
  if (site === undefined) return refuse(x, "bad_argument", { detail: 'The body must be {"site": id}.' });
  const token = formatEnrolmentToken({ id: newCredentialId(random), secret: newSecret(random) });
  const hash = await digestOf(token);
  const expiresAt = x.now + ENROLL_LIFE_MS;
  const created = await carryOut(x, "operator", ({ by }) => x.env.CONTROL.getByName(CONTROL_NAME).createEnrollToken({ site, hash, expiresAt, by }));
  if (created instanceof Response) return created;
  if (!created.ok) return refuse(x, "unknown_id", { detail: `The live document has no site ${site}.` });
  return json(x, { token, site, expires_at: new Date(expiresAt).toISOString(), edge: x.launcher } satisfies EnrollTokenAnswer, 201);
}

/** GET /.postern/api/v1/connectors */
export async function connectors(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const all = await x.env.CONTROL.getByName(CONTROL_NAME).connectors();
  return json(x, all.map((one) => ({
    id: one.id,
    site: one.site,
    name: one.name,
    thumbprint: one.thumbprint,
    enrolled_at: new Date(one.enrolledAt).toISOString(),
    revoked_at: one.revokedAt === undefined ? null : new Date(one.revokedAt).toISOString(),
  })) satisfies ConnectorsAnswer);
}

/** GET /.postern/api/v1/edge-status */
export async function edgeStatus(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const [lanes, glass] = await Promise.all([x.env.CONTROL.getByName(CONTROL_NAME).lanes(), glassState(x)]);
  const status = await Promise.all(lanes.map((one) => x.env.TUNNEL.getByName(laneName(one.site, one.lane)).status().catch(() => undefined)));
  return json(x, {
    policy_version: operator.policy.version,
    break_glass: glassJson(glass),
    lanes: lanes.map((lane, index) => {
      const one = status[index];
      if (one === undefined) return { site: lane.site, lane: lane.lane, reachable: false };
      const { policyVersion, connectors: held, streams, leases, counters, awake } = one;
      return { site: lane.site, lane: lane.lane, reachable: true, policy_version: policyVersion, connectors: held, streams, leases, counters, awake };
    }),
  } satisfies EdgeStatusAnswer);
}
