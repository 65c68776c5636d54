/**
 * The groups that a provider sent, or why it sent none. Half a list is no list: a deny that names
 * a group must not miss it because the provider or we cut the list short (P1, P14).
 */
import type { ProviderClaims } from "./provider-jws.ts";

/**
 * given: known, possibly empty. not_configured: the provider has no groups_claim. absent: no such
 * claim in the token. overage: too many for the provider to send (Entra). too_many, wrong_type:
 * sent in a form that we do not take.
 */
export type GroupsNote = "given" | "not_configured" | "absent" | "overage" | "too_many" | "wrong_type";

/** Bound what one sign-in can make us store and compare. */
const GROUPS_MAX_COUNT = 2_000;
const GROUP_NAME_MAX_CHARS = 256;
const CONTROL = /\p{Cc}/u;

/** Group names as sent, without repetition, in the order sent; absent whenever not fully known. */
export function readGroups(
  claims: ProviderClaims,
  groupsClaim: string | undefined,
): { readonly note: GroupsNote; readonly names?: readonly string[] } {
  if (groupsClaim === undefined) return { note: "not_configured" };
  if (isOverage(claims, groupsClaim)) return { note: "overage" };
  if (!Object.hasOwn(claims, groupsClaim)) return { note: "absent" };
  const sent = claims[groupsClaim];
  if (!Array.isArray(sent)) return { note: "wrong_type" };
  if (sent.length > GROUPS_MAX_COUNT * 2) return { note: "too_many" };
  const names = new Set<string>();
  for (const name of sent as readonly unknown[]) {
    if (typeof name !== "string" || name === "" || name.length > GROUP_NAME_MAX_CHARS || CONTROL.test(name)) {
      return { note: "wrong_type" };
    }
    names.add(name);
  }
  return names.size > GROUPS_MAX_COUNT ? { note: "too_many" } : { note: "given", names: [...names] };
}

/** Entra's "ask Graph instead": `_claim_names` names the claim (distributed claims, Core §5.6.2), or `hasgroups`. */
function isOverage(claims: ProviderClaims, groupsClaim: string): boolean {
  const elsewhere = claims["_claim_names"];
  if (typeof elsewhere === "object" && elsewhere !== null && Object.hasOwn(elsewhere, groupsClaim)) return true;
  return claims["hasgroups"] === true || claims["hasgroups"] === "true";
}
