/** What the directory of a provider says of somebody who signs in by it: whether they may, and their groups. */
import { CONTROL_NAME } from "../durable-objects/bindings.ts";
import type { Identity } from "../identity/claims.ts";
import type { CompiledPolicy } from "../policy/compile.ts";
import type { Exchange } from "./exchange.ts";
import { recordAct } from "./record.ts";

/**
 * The identity as the directory leaves it; undefined for somebody who is inactive there, which is
 * then on record. Asked before there is a session: from the answer on, every change
 * reaches it; of somebody who was unknown, noteSignIn asks again. Throws when control cannot be asked.
 */
export async function asInDirectory<Whom extends Identity>(x: Exchange, policy: CompiledPolicy, identity: Whom): Promise<Whom | undefined> {
  const { userId: id, issuer, sub, email, provider } = identity;
  if (policy.document.providers.find((one) => one.id === provider)?.scim === undefined) return identity;
  const standing = await x.env.CONTROL.getByName(CONTROL_NAME).standing({ id, issuer, sub, ...(email === undefined ? {} : { email }) });
  if (standing === "inactive") {
    await recordAct(x, "sign_in_refused", id, { user: id, provider, why: "inactive in the directory" });
    return undefined;
  }
  // What a token says of groups counts no more, also for somebody whom the directory does not know.
  const { groups: _said, ...facts } = identity.facts;
  const groups = typeof standing === "object" ? { groups: { value: standing.groups, source: provider, observedAt: standing.at } } : {};
  return { ...identity, facts: { ...facts, ...groups } };
}
