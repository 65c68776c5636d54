/** Header lines as the runtime takes them soonest. Pure. */

/** A name that an object literal does not hold as a property of its own. */
const NO_PROPERTY = "__proto__";

/** The headers as a Response takes them soonest: an object, unless a name comes twice. */
export function headersInit(fields: readonly (readonly [string, string])[]): Record<string, string> | [string, string][] {
  const out: Record<string, string> = {};
  const names = new Set<string>();
  for (const [name, value] of fields) {
    names.add(name.toLowerCase());
    out[name] = value;
  }
  return names.size === fields.length && !names.has(NO_PROPERTY) ? out : fields.map(([name, value]) => [name, value]);
}
