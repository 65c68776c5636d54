/** The break-glass account as operators see it: sealed, looked at, cancelled. Codes are shown once and stored as hashes. */
import { at, parseDuration } from "../../../core/time.ts";
import { CONTROL_NAME } from "../../../durable-objects/bindings.ts";
import type { GlassState } from "../../../durable-objects/control/rpc.ts";
import { digestOf } from "../../../identity/digest.ts";
import { formatBreakGlassCode, newSecret } from "../../../identity/session-token.ts";
import { breakGlassOpens } from "../../../policy/break-glass-reach.ts";
import type { BreakGlassAnswer, SealedAnswer } from "../../../protocol/admin-api.ts";
import { readBoundedJson } from "../../bounded-body.ts";
import type { Exchange } from "../../exchange.ts";
import { MAX_GLASS_DELAY_MS } from "../../lifetimes.ts";
import { random } from "../../random.ts";
import { json, refuse } from "../../respond.ts";
import { asOperator, carryOut } from "./operator.ts";

const MAX_BODY_BYTES = 1024;

export const iso = (time: number | undefined): string | null => (time === undefined ? null : new Date(time).toISOString());

/** The state in the API's words. */
export function glassJson({ people, delayMs, sealedAt, sealedBy, opensAt, openUntil }: GlassState): BreakGlassAnswer {
  return {
    state: openUntil !== undefined ? "open" : opensAt !== undefined ? "counting" : people !== undefined ? "sealed" : "none",
    people: people ?? 0,
    delay_ms: delayMs ?? 0,
    sealed_at: iso(sealedAt),
    sealed_by: sealedBy ?? null,
    opens_at: iso(opensAt),
    open_until: iso(openUntil),
  };
}

/** POST /.postern/api/v1/break-glass {people: 2} or {delay: "4h"} */
export async function seal(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "operator");
  if (operator instanceof Response) return operator;
  const body = await readBoundedJson(x.request, MAX_BODY_BYTES);
  const { people, delay } = body ?? {};
  const delayMs = people === 2 && delay === undefined ? 0 : typeof delay === "string" && people === undefined ? parseDuration(delay) : undefined;
  if (delayMs === undefined || delayMs > MAX_GLASS_DELAY_MS) return refuse(x, "bad_argument", { detail: 'It must be {"people": 2} or {"delay": "4h"}, at most 7d.' });
  const codes = Array.from({ length: people === 2 ? 2 : 1 }, () => formatBreakGlassCode(newSecret(random)));
  const hashes = await Promise.all(codes.map(digestOf));
  const sealed = await carryOut(x, "operator", ({ by }) => x.env.CONTROL.getByName(CONTROL_NAME).breakGlass({ act: "seal", codes: hashes, delayMs, by }));
  if (sealed instanceof Response) return sealed;
  if (!sealed.ok) return refuse(x, "unavailable");
  return json(x, { ...glassJson(sealed.state), codes, opens: breakGlassOpens(operator.policy, at(x.now)) } satisfies SealedAnswer, 201);
}

/** POST /.postern/api/v1/break-glass/cancel */
export async function cancel(x: Exchange): Promise<Response> {
  const done = await carryOut(x, "responder", ({ by }) => x.env.CONTROL.getByName(CONTROL_NAME).breakGlass({ act: "cancel", by }));
  if (done instanceof Response) return done;
  return done.ok ? json(x, glassJson(done.state)) : refuse(x, "unavailable");
}

/** GET /.postern/api/v1/break-glass */
export async function show(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const shown = await glassState(x);
  return json(x, glassJson(shown));
}

/** As control knows it now. */
export async function glassState(x: Exchange): Promise<GlassState> {
  const shown = await x.env.CONTROL.getByName(CONTROL_NAME).breakGlass({ act: "show" });
  return shown.ok ? shown.state : {};
}
