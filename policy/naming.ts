/** Names that follow from a document: an app's host, a bare group's provider. Not routing: compile.ts keeps the map. */
import type { ProviderId } from "../core/ids.ts";
import type { App, PolicyDocument, Provider } from "./document.ts";

/** The host an app answers at: its hostname, or `<id>.<domain>`. Lower-case, without port. */
export function hostOf(app: Pick<App, "id" | "hostname">, document: Pick<PolicyDocument, "domain">): string {
  return app.hostname ?? `${app.id}.${document.domain}`;
}

/** The provider that a bare group name belongs to: the only one, or the only one that sends groups (P14). */
export function soleGroupProvider(providers: readonly Pick<Provider, "id" | "groupsClaim" | "scim">[]): ProviderId | undefined {
  const sending = providers.filter((provider) => provider.groupsClaim !== undefined || provider.scim !== undefined);
  const candidates = sending.length === 0 ? providers : sending;
  return candidates.length === 1 ? candidates[0]?.id : undefined;
}
