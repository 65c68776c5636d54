/**
 * A warning for authors, which the edge does not carry: a second factor is asked for, and nobody has
 * said what a person's first passkey needs. Until they do, a sign-in alone makes it.
 */
import type { Finding, PathPart } from "./problems.ts";

/** At the first policy or condition that asks for `mfa`; of a value that is a document. */
export function firstPasskeyFinding(document: unknown): Finding | undefined {
  const { identity, policies = [], conditions = {} } = document as { identity?: { passkeys?: string }; policies?: readonly { when: unknown }[]; conditions?: object };
  if (identity?.passkeys !== undefined) return undefined;
  const path = policies.reduce<PathPart[] | undefined>((found, { when }, i) => found ?? mfaIn(when, ["policies", i, "when"]), undefined) ?? mfaIn(conditions, ["conditions"]);
  if (path === undefined) return undefined;
  const message = "this asks for a second factor, and a passkey is one: identity.passkeys is absent, so a person's first passkey needs a sign-in alone";
  return { code: "first_passkey", message, fix: "write identity.passkeys: after_mfa if your provider has second factors, else after_sign_in or off", path, atKey: true, warning: true };
}

function mfaIn(value: unknown, path: readonly PathPart[]): PathPart[] | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [name, inner] of Object.entries(value)) {
    const at = [...path, Array.isArray(value) ? Number(name) : name];
    const found = name === "mfa" && !isName(path) ? at : mfaIn(inner, at);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A condition may be called "mfa". */
const isName = (path: readonly PathPart[]): boolean => path.length === 1;
