/** Requests as Entra and Okta send them, and what each asks for: shapes from their public documentation, with names of nobody. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ScimChange, ScimFilter, ScimKind } from "../../../identity/scim-change.ts";

export interface DialectRequest {
  readonly what: string;
  readonly method: string;
  /** Below the base, "ID" standing for an id; the query is not encoded. */
  readonly path: string;
  readonly body?: unknown;
  readonly asks: { readonly change?: ScimChange; readonly filter?: ScimFilter };
}

export const DIALECTS = ["entra", "okta"] as const;

export function dialect(name: (typeof DIALECTS)[number]): readonly DialectRequest[] {
  return JSON.parse(readFileSync(join(import.meta.dirname, `${name}.json`), "utf8")) as DialectRequest[];
}

export const kindOf = ({ path }: DialectRequest): ScimKind => (path.startsWith("/Users") ? "Users" : "Groups");
