/** Which apps a policy is about (P11). Not whether it applies to a request: compile.ts narrows further. */
import type { AppId } from "../core/ids.ts";
import { ADMIN_APP } from "../core/ids.ts";
import type { App, Policy } from "./document.ts";

type Selected = Pick<App, "id" | "tags">;

const names = (selectors: readonly string[], app: Selected): boolean =>
  selectors.some((selector) => selector === app.id || (selector.startsWith("tag:") && app.tags.includes(selector.slice(4))));

/** Whether the policy covers the app: named, tagged or "*", and not subtracted. "*" is never postern:admin. */
export function reaches(policy: Pick<Policy, "apps" | "except">, app: Selected): boolean {
  if (app.id === ADMIN_APP) return reachesAdmin(policy);
  return (policy.apps.includes("*") || names(policy.apps, app)) && !names(policy.except, app);
}

/** postern:admin must be named. */
export function reachesAdmin(policy: Pick<Policy, "apps" | "except">): boolean {
  return policy.apps.includes(ADMIN_APP) && !policy.except.includes(ADMIN_APP);
}

/** Whether the policy names the app by its id. */
export const namesApp = (policy: Pick<Policy, "apps">, id: AppId): boolean => policy.apps.includes(id);
