/** What other systems push to us (SCIM, security events, logout tokens): their bearer, and bodies that are as long as they look. */
import { equalSecrets } from "../core/bytes.ts";
import { readBoundedText } from "./bounded-body.ts";
import { secretOf } from "./env.ts";
import type { Exchange } from "./exchange.ts";
import { REQUEST_ID_HEADER } from "./respond.ts";

/** A shorter secret opens nothing: it could be guessed. */
const MIN_SECRET_CHARS = 32;

/** Whether the request carries the secret of this name as its bearer, and nothing else. */
export function bearerFits(x: Exchange, name: string): boolean {
  const secret = secretOf(x.env, name) ?? "";
  const given = /^Bearer ([^\s,]+)$/i.exec(x.request.headers.get("authorization") ?? "")?.[1] ?? "";
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  return secret.length >= MIN_SECRET_CHARS && equalSecrets(bytes(secret), bytes(given));
}

/** The body, or the status that refuses it: 415 if it is encoded or of another type, 413 if it cannot be read whole. */
export async function readPushed(x: Exchange, types: readonly string[], maxBytes: number): Promise<string | 413 | 415> {
  const { headers } = x.request;
  const type = (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  // A megabyte can stand for a gigabyte: nothing is unpacked (class K, row 106).
  if (headers.has("content-encoding") || !types.includes(type)) return 415;
  return (await readBoundedText(x.request, maxBytes)) ?? 413;
}

/** Taken, and carried out: nothing more to say. */
export const taken = (x: Exchange, status: number): Response => new Response(null, { status, headers: { "cache-control": "no-store", [REQUEST_ID_HEADER]: x.id } });
