/** What documents of tests' own have in common, and the product with one of them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Stack, type StackOptions, startStack } from "../../start/stack.ts";

/** An entry of `providers`: the demo's, whose tokens carry groups. */
export const demoProviderAt = (issuer: string): string => `{ id: demo, issuer: "${issuer}", client_id: postern, client_secret: { secret: DEMO_CLIENT_SECRET }, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com, partner.example.com] }`;
export const DEMO_PROVIDER = demoProviderAt("http://idp.demo.localhost");

/** An entry of `policies`: the stack's own token is an operator's. */
export const THIS_MACHINE_OPERATES = `{ id: this-machine-operates, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }`;

/** Starts the product with this document; its state is below the folder, and both go with the folder. */
export function startOwn(folder: string, text: string, more: Partial<StackOptions> = {}): Promise<Stack> {
  const documentFile = join(folder, "own.yaml");
  writeFileSync(documentFile, text);
  return startStack({ stateDirectory: join(folder, "state"), port: 0, environment: {}, documentFile, ...more });
}
