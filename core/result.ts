/**
 * Result: the answer of every pure function that can fail. Not for runtimes: shells may throw.
 * A failure carries a tagged reason, never an Error object, so that exactly one place
 * (worker/respond.ts at the edge, main.ts in the programs) decides what a person sees.
 */
export type Result<T, E> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function err<E>(error: E): { readonly ok: false; readonly error: E } {
  return { ok: false, error };
}
