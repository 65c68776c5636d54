/**
 * The demonstrations of NIST SP 1800-35 as data: scenarios/*.json has one row for each set of facts
 * and desired outcome, with the ids of all the demonstrations that differ from it in place alone.
 * Source: volume D of the guide, use cases A to H (a work of the US government), as it stands in
 * usnistgov/zero-trust-architecture. Where its tables disagree with themselves (E2 among other-IDs,
 * E6 among credentials reported stolen), what the rows around them say counts.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export type Family = "a" | "b" | "c" | "d" | "f" | "g" | "h";
export const FAMILIES: readonly Family[] = ["a", "b", "c", "d", "f", "g", "h"];

/** Who tells Postern what it cannot find out itself; the rest of such a row is Postern's own. */
export const TOLD_BY = {
  policy: "that a resource is not compliant is somebody else's to find: they apply a document that denies or limits it",
  operator: "a connector's machine has no posture: who finds it out of order revokes the connector",
  provider: "that somebody failed to authenticate again is the identity provider's to say: `session-revoked`; without it what waits for a step-up is held, and ends after ten minutes",
  api: "what an internet gateway or an EDR found comes in by the API",
  directory: "privileges that last for a task are groups that the directory gives and takes (SCIM, `token-claims-change`)",
} as const;

/** Why a row cannot be shown. */
export const NOT_SUPPORTED = {
  "same-pod": "what two processes of one pod say to each other does not pass Postern",
  copies: "what happens to data on the machine that fetched it is beyond Postern",
} as const;

/** Two outcomes where two use one account. */
export type Want = string | { readonly real: string | null; readonly hostile: string | null };

export interface Row {
  readonly id: string;
  readonly scenario: string;
  /** Of NIST's demonstrations, so many are this row at different places. */
  readonly demonstrations: number;
  readonly facts: Readonly<Record<string, string>>;
  /** "from" or "from>resource", where the test tries each. */
  readonly at?: readonly string[];
  readonly want: Want;
  readonly by?: keyof typeof TOLD_BY;
  readonly unsupported?: keyof typeof NOT_SUPPORTED;
}

const read = (name: string): unknown => JSON.parse(readFileSync(join(import.meta.dirname, `scenarios/${name}.json`), "utf8"));
export const rowsOf = (family: Family): readonly Row[] => read(family) as readonly Row[];
/** What is about the public internet, which a company's own gateway guards. */
export const gatewayScenarios = (): readonly { readonly scenario: string; readonly demonstrations: number }[] => read("gateway") as readonly { scenario: string; demonstrations: number }[];

const MEANING: Readonly<Record<string, (value: string) => string>> = {
  user: (value) => value,
  type: (value) => value,
  onboarded: (value) => (value === "Y" ? "onboarded" : "not onboarded"),
  auth: (value) => value,
  resource: (value) => value,
  endpoint: (value) => (value === "Y" || value === "N" ? `endpoint ${value === "Y" ? "" : "not "}compliant` : `endpoint ${value.toLowerCase()}`),
  resourceCompliant: (value) => `resource ${value === "Y" ? "" : "not "}compliant`,
  real: (value) => `real ${value}`,
  hostile: (value) => `hostile ${value}`,
  stolen: (value) => (value === "Y" ? "reported stolen" : "not reported stolen"),
  samePlace: (value) => (value === "Y" ? "at the same place" : "at different places"),
  provisioned: (value) => `privilege ${value === "Yes" ? "" : "not "}provisioned`,
  stepUp: (value) => `step-up ${value === "Yes" ? "succeeds" : "fails"}`,
  credential: (value) => `credential ${value.toLowerCase()}`,
  reauth: (value) => `re-authentication ${value.toLowerCase()}`,
  authorized: (value) => (value === "Yes" ? "authorized" : "not authorized"),
  placement: (value) => value.toLowerCase(),
  data: (value) => `${value.toLowerCase()} data`,
  mfa: (value) => `second factor ${value === "Yes" ? "shown" : "not shown"}`,
  operation: (value) => (value === "read" ? "read" : "another operation"),
};

/** "E1, A+, RSS1, endpoint compliant, resource compliant": what is given. */
export const given = ({ facts }: Row): string =>
  Object.entries(facts)
    .map(([name, value]) => MEANING[name]?.(value) ?? `${name} ${value}`)
    .join(", ");

/** "access successful", or what the real and the hostile one get. */
export function wanted({ want }: Row): string {
  if (typeof want === "string") return want.toLowerCase();
  const parts = [want.real === null ? undefined : `real: ${want.real.toLowerCase()}`, want.hostile === null ? undefined : `hostile: ${want.hostile.toLowerCase()}`];
  return parts.filter((part) => part !== undefined).join("; ");
}

/** The outcome of a row that has one. */
export function oneWant({ id, want }: Row): string {
  if (typeof want !== "string") throw new Error(`${id} has two outcomes`);
  return want;
}

export const titleOf = (row: Row): string => `${row.id}: ${given(row)} → ${wanted(row)}`;
