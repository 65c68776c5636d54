/**
 * JSON with a single spelling: keys sorted, no white space, undefined left out. What is hashed
 * or compared (policy versions, audit records) is written by this. Not RFC 8785: numbers here
 * are integers or plain decimals that JSON.stringify already writes one way.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  let out = "";
  if (Array.isArray(value)) {
    for (const item of value) out += `${out === "" ? "" : ","}${canonicalJson(item)}`;
    return `[${out}]`;
  }
  const object = value as { readonly [key: string]: Json | undefined };
  for (const key of sorted(Object.keys(object))) {
    const item = object[key];
    if (item !== undefined) out += `${out === "" ? "" : ","}${JSON.stringify(key)}:${canonicalJson(item)}`;
  }
  return `{${out}}`;
}

/** By UTF-16 units. Most objects are written in this order already, and need no sorting. */
function sorted(keys: string[]): string[] {
  for (let i = 1; i < keys.length; i++) if ((keys[i - 1] ?? "") > (keys[i] ?? "")) return keys.sort();
  return keys;
}
