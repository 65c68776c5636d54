/**
 * POST /.postern/break-glass {codes}: whoever holds the codes of the seal needs no identity provider
 * and no sign-in (docs/decisions/0029). Wrong codes, too few and no seal at all are one answer.
 */
import { toBase64Url } from "../../core/bytes.ts";
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import { digestOf } from "../../identity/digest.ts";
import { formatServiceToken, hashSecret, parseBreakGlassCode } from "../../identity/session-token.ts";
import type { OpenedAnswer } from "../../protocol/admin-api.ts";
import { readBoundedJson } from "../bounded-body.ts";
import { addressOf } from "../connection-facts.ts";
import type { Exchange } from "../exchange.ts";
import { BREAK_GLASS_MS } from "../lifetimes.ts";
import { json, refuse } from "../respond.ts";
import { iso } from "./admin/break-glass.ts";

const MAX_BODY_BYTES = 1024;
const MAX_CODES_COUNT = 2;

export async function openBreakGlass(x: Exchange): Promise<Response> {
  // No page sends codes.
  if (x.request.headers.has("origin")) return refuse(x, "origin_not_allowed");
  const given = (await readBoundedJson(x.request, MAX_BODY_BYTES))?.["codes"];
  const codes: unknown[] = Array.isArray(given) ? given : [];
  const texts = codes.filter((one): one is string => typeof one === "string" && parseBreakGlassCode(one) !== undefined).sort();
  if (texts.length === 0 || texts.length !== codes.length || texts.length > MAX_CODES_COUNT) return refuse(x, "bad_argument", { detail: 'It must be {"codes": one or two}.' });
  const token = await tokenOf(texts);
  const opened = await x.env.CONTROL.getByName(CONTROL_NAME).breakGlass({
    act: "open",
    codes: await Promise.all(texts.map(digestOf)),
    source: addressOf(x.connection),
    tokenId: token.id,
    hash: toBase64Url(await hashSecret(token.secret)),
    expiresAt: x.now + BREAK_GLASS_MS,
  });
  if (!opened.ok) return refuse(x, opened.code === "overloaded" ? "overloaded" : "break_glass_refused");
  const { openUntil, opensAt } = opened.state;
  const isOpen = openUntil !== undefined;
  return json(x, { token: isOpen ? formatServiceToken(token) : null, expires_at: iso(openUntil), opens_at: iso(opensAt) } satisfies OpenedAnswer, isOpen ? 200 : 202);
}

/** Made of the codes alone, so that the same ones get the same token if an answer was lost. Worth nothing until control says so. */
async function tokenOf(codes: readonly string[]): Promise<{ id: string; secret: Uint8Array }> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-512", new TextEncoder().encode(["postern break-glass", ...codes].join("\n"))));
  return { id: toBase64Url(bytes.subarray(0, 16)), secret: bytes.subarray(32) };
}
