/** POST /.postern/ssf/<source>: a transmitter pushes a security event token (RFC 8935). Accepted means: it has taken effect. */
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import { type EventSource, readSecurityEvents } from "../../identity/security-event.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import type { Exchange } from "../exchange.ts";
import { newestPolicy } from "../policy-cache.ts";
import { oidcIo } from "../providers.ts";
import { bearerFits, readPushed, taken } from "../pushed.ts";
import { blank, json, refuse } from "../respond.ts";

const MAX_TOKEN_BYTES = 64 * 1024;
/** Tokens that took effect a moment ago, each with its source as it stood, and until when that is remembered: control hears no repetition (class M, row 101). */
const heard = new Map<string, number>();
const HEARD_MS = 60_000;
/** Bounds what that takes: so many tokens of at most 64 KiB. */
const HEARD_COUNT = 64;

export async function receiveEvents(x: Exchange, id: string): Promise<Response> {
  const source = sourceOf(x.policy, id);
  if (source === undefined) return blank(x);
  if (source.secret !== undefined && !bearerFits(x, source.secret)) return no(x, "authentication_failed", "bearer", 401);
  const token = await readPushed(x, ["application/secevent+jwt"], MAX_TOKEN_BYTES);
  if (typeof token === "number") return no(x, "invalid_request", "expected application/secevent+jwt, at most 64 KiB, not encoded");
  const key = JSON.stringify(source) + token;
  if (x.now < (heard.get(key) ?? 0)) return taken(x, 202);
  const read = await readSecurityEvents(token, source, oidcIo(x.env));
  if (!read.ok) {
    const { code, cause } = read.error;
    // Its key set is out of reach: worth another attempt.
    if (code !== "token_invalid" && code !== "clock_wrong") return refuse(x, "provider_unreachable");
    return no(x, cause === "signature" ? "invalid_key" : cause.startsWith("invalid_") ? cause : "invalid_request", cause);
  }
  const { jti, statements } = read.value;
  if (statements.length > 0) {
    // What was applied last counts: a source may be gone.
    if (JSON.stringify(sourceOf(await newestPolicy(x.env, x.now), id)) !== JSON.stringify(source)) return refuse(x, "unavailable");
    await x.env.CONTROL.getByName(CONTROL_NAME).hear({ source: `ssf:${id}`, id: jti, issuer: source.provider.issuer, statements });
    for (const oldest of heard.keys()) if (heard.size >= HEARD_COUNT) heard.delete(oldest);
    heard.set(key, x.now + HEARD_MS);
  }
  return taken(x, 202);
}

function sourceOf(policy: CompiledPolicy | undefined, id: string): (EventSource & { readonly secret: string | undefined }) | undefined {
  const source = policy?.document.signals?.find((one) => one.id === id);
  const provider = policy?.document.providers.find((one) => one.id === source?.provider);
  return source === undefined || provider === undefined ? undefined : { ...source, provider, secret: source.token?.secret };
}

/** RFC 8935 §2.4. */
const no = (x: Exchange, code: string, description: string, status = 400): Response => json(x, { err: code, description }, status);
