/** The document of a demo with one app of a test's own, which one policy opens. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { THIS_MACHINE_OPERATES } from "../../start/own-document.ts";

interface OneApp {
  readonly id: string;
  readonly port: number;
  /** More of the app, as YAML: `, insecure_paths: …`. */
  readonly more?: string;
  /** Who gets in, as one YAML flow mapping. */
  readonly when: string;
}

/** Writes it into the folder; its path. */
export function oneAppDocument(folder: string, { id, port, more = "", when }: OneApp): string {
  const file = join(folder, "own.yaml");
  writeFileSync(
    file,
    `version: 1
domain: postern.localhost
identity: { providers: [{ id: demo, issuer: "http://idp.demo.localhost", client_id: postern, client_secret: { secret: DEMO_CLIENT_SECRET }, scopes: [openid, email, groups], groups_claim: groups, email_domains: [example.com] }] }
sites: [{ id: office }]
apps: [{ id: ${id}, site: office, upstream: "http://127.0.0.1:${port}"${more} }]
policies:
  - { id: who, effect: allow, apps: [${id}], when: ${when} }
  - ${THIS_MACHINE_OPERATES}
`,
  );
  return file;
}
