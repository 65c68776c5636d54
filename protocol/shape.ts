/**
 * Shapes of JSON from the other end: small checks that compose, each giving back a value of the
 * checked type or undefined. Fields that a shape does not name are dropped, so that a newer
 * peer may say more (CT3). Written by hand because the connector carries it; not for documents
 * that people write, which deserve better errors.
 */
export type Shape<T> = (value: unknown) => T | undefined;
export type Shaped<S> = S extends Shape<infer T> ? T : never;

interface Maybe<T> {
  readonly optional: Shape<T>;
}
type Fields = { readonly [name: string]: Shape<unknown> | Maybe<unknown> };
type Object<F extends Fields> = {
  readonly [K in keyof F as F[K] extends Maybe<unknown> ? never : K]: F[K] extends Shape<infer T> ? T : never;
} & {
  readonly [K in keyof F as F[K] extends Maybe<unknown> ? K : never]?: F[K] extends Maybe<infer T> ? T : never;
};

/** A string of 1 to `max` UTF-16 units without lone surrogates; of one pattern if given. */
export const text =
  (max: number, pattern?: RegExp): Shape<string> =>
  (value) =>
    typeof value === "string" && value.length > 0 && value.length <= max && value.isWellFormed() && (pattern?.test(value) ?? true) ? value : undefined;

/** A whole number within bounds, both included. */
export const whole =
  (min: number, max: number = Number.MAX_SAFE_INTEGER): Shape<number> =>
  (value) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max ? value : undefined;

export const flag: Shape<boolean> = (value) => (typeof value === "boolean" ? value : undefined);

/** One of the given strings or numbers. */
export const oneOf =
  <const T extends string | number>(...allowed: readonly T[]): Shape<T> =>
  (value) =>
    allowed.find((item) => item === value);

/** An array of at most `max` items of one shape. */
export const list =
  <T>(item: Shape<T>, max: number): Shape<readonly T[]> =>
  (value) => {
    if (!Array.isArray(value) || value.length > max) return undefined;
    const out: T[] = [];
    for (const raw of value) {
      const checked = item(raw);
      if (checked === undefined) return undefined;
      out.push(checked);
    }
    return out;
  };

/** A field that may be absent. Present, it must fit. */
export const maybe = <T>(shape: Shape<T>): Maybe<T> => ({ optional: shape });

/** An object with these fields; own properties only. */
export function object<const F extends Fields>(fields: F): Shape<Object<F>> {
  const named = Object.entries(fields);
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const out: { [name: string]: unknown } = {};
    for (const [name, field] of named) {
      const raw: unknown = Object.hasOwn(value, name) ? (value as { readonly [key: string]: unknown })[name] : undefined;
      if (typeof field !== "function" && raw === undefined) continue;
      const checked = typeof field === "function" ? field(raw) : field.optional(raw);
      if (checked === undefined) return undefined;
      out[name] = checked;
    }
    return out as Object<F>;
  };
}
