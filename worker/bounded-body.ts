/** Bodies of requests to our own routes: read up to a cap and a deadline (class K, row 83). */
import { concat } from "../core/bytes.ts";

/** A body that took longer is not waited for: whoever sent it may have lost every right meanwhile. */
const BODY_DEADLINE_MS = 15_000;

/** The body's bytes; undefined when it is too large, too slow, broken off or absent. */
export async function readBounded(request: Request, maxBytes: number): Promise<Uint8Array | undefined> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > maxBytes || request.body === null) {
    await request.body?.cancel();
    return undefined;
  }
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  let refused = false;
  const refuse = (): void => {
    refused = true;
    reader.cancel().catch(() => undefined);
  };
  const timer = setTimeout(refuse, BODY_DEADLINE_MS);
  const parts: Uint8Array[] = [];
  let total = 0;
  try {
    for (let read = await reader.read(); !read.done && !refused; read = await reader.read()) {
      total += read.value.length;
      if (total > maxBytes) refuse();
      else parts.push(read.value);
    }
  } catch {
    // The client broke off: half a body is none.
    return undefined;
  } finally {
    clearTimeout(timer);
  }
  return refused ? undefined : concat(parts);
}

/** The body as UTF-8 text, to the letter: a byte order mark is a letter of it; undefined when it is too large, absent or not UTF-8. */
export async function readBoundedText(request: Request, maxBytes: number): Promise<string | undefined> {
  const bytes = await readBounded(request, maxBytes);
  try {
    return bytes === undefined ? undefined : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The body as a JSON object; undefined when it is none. */
export async function readBoundedJson(request: Request, maxBytes: number): Promise<Record<string, unknown> | undefined> {
  const text = await readBoundedText(request, maxBytes);
  try {
    const value: unknown = text === undefined ? undefined : JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
