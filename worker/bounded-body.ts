/** Reads a request's body up to a cap, before anything is known of who sent it (class K, row 83). */
export async function readBounded(request: Request, maxBytes: number): Promise<Uint8Array | undefined> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > maxBytes || request.body === null) {
    await request.body?.cancel();
    return undefined;
  }
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const parts: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.length;
    if (total > maxBytes) {
      await reader.cancel();
      return undefined;
    }
    parts.push(value);
  }
  const out = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The body as UTF-8 text; undefined when it is too large, absent or not UTF-8. */
export async function readBoundedText(request: Request, maxBytes: number): Promise<string | undefined> {
  const bytes = await readBounded(request, maxBytes);
  try {
    return bytes === undefined ? undefined : new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
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
