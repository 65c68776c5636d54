/** The first postern.yaml: one provider, one site, the apps, and only operators let in, so that access is added knowingly. */
import { stringify } from "yaml";
import type { InitPlan } from "./init-plan.ts";

/** The Worker secret that holds the client secret. */
export const CLIENT_SECRET_NAME = "CORP_CLIENT_SECRET";
const PROVIDER = "corp";

/** The text of the document; `schema` is the schema's place for editors. */
export function initDocument(plan: InitPlan, schema: string): string {
  const { domain, issuer, clientId, site, apps, operatorEmails } = plan;
  // Before a colon stands a provider (P14).
  const operatorGroups = plan.operatorGroups.map((group) => (group.includes(":") ? `${PROVIDER}:${group}` : group));
  const domains = [...new Set(operatorEmails.map((email) => email.slice(email.lastIndexOf("@") + 1)))];
  const provider = {
    id: PROVIDER,
    issuer,
    client_id: clientId,
    client_secret: { secret: CLIENT_SECRET_NAME },
    ...(operatorGroups.length === 0 ? {} : { scopes: ["openid", "email", "profile", "groups"], groups_claim: "groups" }),
    ...(domains.length === 0 ? {} : { email_domains: domains }),
  };
  const criteria = [...(operatorEmails.length === 0 ? [] : [{ email: operatorEmails }]), ...(operatorGroups.length === 0 ? [] : [{ group: operatorGroups }])];
  const when = criteria.length === 1 ? criteria[0] : { any: criteria };
  const policies = [
    { id: "operators", effect: "allow", apps: ["postern:admin"], when, limits: { role: "operator" } },
    ...(apps.length === 0 ? [] : [{ id: "operators-try-apps", effect: "allow", apps: apps.map((app) => app.id), when }]),
  ];
  const [email] = operatorEmails;
  const operator = email === undefined ? { user: "operator", provider: PROVIDER, groups: operatorGroups } : { user: "operator", provider: PROVIDER, email };
  const tests = [
    { as: operator, app: "postern:admin", request: { method: "GET", path: "/" }, expect: "allow", by: "operators" },
    { as: { user: "stranger", provider: PROVIDER, groups: [] }, app: "postern:admin", request: { method: "GET", path: "/" }, expect: "deny" },
  ];
  const section = (comment: string, value: object): string => `${comment === "" ? "" : `# ${comment}\n`}${stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })}`;
  return [
    `# yaml-language-server: $schema=${schema}\n${section("The whole policy of this edge. Look at it with: npx postern check FILE", { version: 1, domain })}`,
    section(`The secret is set with: npx wrangler secret put ${CLIENT_SECRET_NAME}`, { identity: { providers: [provider] } }),
    section("", { sites: [{ id: site }] }),
    section("Each app answers at <id>.<domain>. Nobody gets in without a policy that allows it.", { apps: apps.map((app) => ({ id: app.id, site, upstream: app.upstream })) }),
    section("Add policies for your teams; a matching deny wins, nothing matching is deny.", { policies }),
    section("Tried by check, test and apply; a document whose tests fail is refused.", { tests }),
  ].join("\n");
}
