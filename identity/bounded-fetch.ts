/**
 * One request to an identity provider: no redirect followed, a deadline over head and body, and
 * no body larger than its cap in memory. Not for origins or connectors.
 */
import { concat } from "../core/bytes.ts";
import { lasting, SECOND_MS } from "../core/time.ts";
import type { OidcIo } from "./provider.ts";

/** Bounds how long a stalling provider holds a sign-in (class F). */
export const PROVIDER_DEADLINE_MS = lasting(10 * SECOND_MS);
/** Bound what a hostile or broken provider can make us hold (class F). */
export const DISCOVERY_MAX_BYTES = 65_536;
export const JWKS_MAX_BYTES = 262_144;
export const TOKEN_RESPONSE_MAX_BYTES = 262_144;

/** What is sent: a GET, or a POST of a form. */
export interface ProviderRequest {
  readonly method: "GET" | "POST";
  readonly headers: Record<string, string>;
  readonly body?: URLSearchParams | undefined;
}

export type FetchRefusal = "redirected" | "too_large" | "unreachable";

/** Thrown through the OAuth library, which lets errors of the fetch it was given pass. */
export class FetchRefused extends Error {
  readonly reason: FetchRefusal;
  constructor(reason: FetchRefusal) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * Fetches `url` and returns a response whose body is already in memory, at most `maxBytes`.
 * Throws FetchRefused for a redirect, a body over the cap, a network error or a passed deadline.
 */
export async function fetchBounded(
  io: OidcIo,
  url: string,
  request: ProviderRequest,
  maxBytes: number,
): Promise<Response> {
  let response: Response;
  try {
    response = await io.fetch(url, {
      method: request.method,
      headers: request.headers,
      body: request.body ?? null,
      redirect: "manual",
      signal: io.deadline(PROVIDER_DEADLINE_MS),
    });
  } catch {
    throw new FetchRefused("unreachable");
  }
  if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
    await response.body?.cancel().catch(() => undefined);
    throw new FetchRefused("redirected");
  }
  const body = await readBody(response, maxBytes);
  const empty = response.status < 200 || response.status === 204 || response.status === 205;
  return new Response(empty ? null : body, { status: response.status, headers: keptHeaders(response.headers) });
}

/** What is read of them; the rest (encodings, lengths, cookies) described the body on the wire. */
function keptHeaders(from: Headers): Headers {
  const kept = new Headers();
  for (const name of ["content-type", "www-authenticate"]) {
    const value = from.get(name);
    if (value !== null) kept.set(name, value);
  }
  return kept;
}

async function readBody(response: Response, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (response.body === null) return new Uint8Array(0);
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const next = await reader.read().catch(() => {
      throw new FetchRefused("unreachable");
    });
    if (next.done) return concat(parts);
    size += next.value.length;
    if (size > maxBytes) {
      await reader.cancel().catch(() => undefined);
      throw new FetchRefused("too_large");
    }
    parts.push(next.value);
  }
}
