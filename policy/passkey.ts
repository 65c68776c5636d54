/** What a passkey proves to a decision, and whether that would open what is asked for (P3, P4). Off the warm path. */
import type { Millis } from "../core/time.ts";
import type { CompiledPolicy } from "./compile.ts";
import { decide } from "./decide.ts";
import type { Ask, Fact, Facts } from "./facts.ts";
import { afterSigningIn } from "./step-up.ts";

/** Whose word a passkey's is. */
export const PASSKEY_SOURCE = "postern";

/**
 * RFC 8176: the key was there ("hwk" or "swk", and "pop", for policies that do not mind which), a
 * person was ("user"), and was verified by what they know or are ("mfa"); by which of the two,
 * the authenticator does not say, so neither "pin" nor "fpt" is claimed.
 */
export const passkeyFact = (kind: "hwk" | "swk", now: Millis): Fact => ({ value: { methods: [kind, "mfa", "pop", "user"].sort() }, source: PASSKEY_SOURCE, observedAt: now });

/** Kinds of passkeys that help, in bits, so that an address carries them as a number. */
export const HELPS = { hwk: 1, swk: 2 } as const;
/** Only together with a fresh sign-in at the provider: a passkey renews no `session_age`. */
export const WITH_SIGN_IN = 4;

/** Which passkeys would open what was asked for: by themselves if any, else after a sign-in; 0 for none. */
export function passkeysThatHelp(policy: CompiledPolicy, ask: Ask, facts: Facts, now: Millis): number {
  if (policy.document.passkeys === "off") return 0;
  for (const [before, bits] of [[facts, 0], [afterSigningIn(facts, { mfa: false, methods: [] }, now), WITH_SIGN_IN]] as const) {
    const opened = (["hwk", "swk"] as const).filter((kind) => decide(policy, ask, { ...before, known: { ...before.known, mfa: passkeyFact(kind, now) } }, now).effect === "allow");
    if (opened.length > 0) return opened.reduce<number>((sum, kind) => sum | HELPS[kind], bits);
  }
  return 0;
}
