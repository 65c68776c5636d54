/**
 * JSON with a single spelling: keys sorted, no white space, undefined left out. What is hashed
 * or compared (policy versions, audit records) is written by this. Not RFC 8785: numbers here
 * are integers or plain decimals that JSON.stringify already writes one way.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

export function canonicalJson(value: Json): string {
  // Written by the engine in one piece: what is put together from parts weighs ten times as much until somebody reads it.
  if (isInOrder(value)) return JSON.stringify(value);
  let out = "";
  if (Array.isArray(value)) {
    for (const item of value) out += `${out === "" ? "" : ","}${canonicalJson(item)}`;
    return `[${out}]`;
  }
  const object = value as { readonly [key: string]: Json | undefined };
  for (const key of Object.keys(object).sort()) {
    const item = object[key];
    if (item !== undefined) out += `${out === "" ? "" : ","}${JSON.stringify(key)}:${canonicalJson(item)}`;
  }
  return `{${out}}`;
}

/** Whether all its keys stand in order already, by UTF-16 units. */
function isInOrder(value: Json | undefined): boolean {
  if (value === null || typeof value !== "object") return true;
  if (Array.isArray(value)) return value.every(isInOrder);
  const object = value as { readonly [key: string]: Json | undefined };
  let before = "";
  for (const key of Object.keys(object)) {
    if (key < before || !isInOrder(object[key])) return false;
    before = key;
  }
  return true;
}
