/** The stage of the revocation tests: the whole product with two stamping apps, the demo provider, an operator. */
import type { Stack } from "../../../start/stack.ts";
import { demoProviderAt, startOwn, THIS_MACHINE_OPERATES } from "../../start/own-document.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { type Operator, operatorOf } from "./operator.ts";
import { startStampingOrigin, type StampingOrigin } from "./stamping-origin.ts";

export interface Stage {
  readonly stack: Stack;
  readonly origin: StampingOrigin;
  readonly operator: Operator;
  readonly stamps: string;
  readonly other: string;
  /** The document with other policies in place of the ones that let people in. */
  readonly document: (policies: string) => string;
  readonly end: () => Promise<void>;
}

export interface StageOptions {
  readonly lanes?: number;
  /** `defaults:` of the document, as one YAML flow mapping. */
  readonly defaults?: string;
  /** Let people in under these policies instead of the usual ones. */
  readonly policies?: string;
}

/** Everybody of the demo at both apps, and the service `batch`. */
export const EVERYBODY = `  - { id: people, effect: allow, apps: [stamps, other], when: { group: [staff, contractors] } }
  - { id: batch, effect: allow, apps: [stamps, other], when: { service: [batch] } }`;

const text = (issuer: string, app: string, policies: string, { lanes = 2, defaults }: StageOptions): string => `version: 1
domain: postern.localhost
${defaults === undefined ? "" : `defaults: ${defaults}\n`}identity:
  providers:
    - ${demoProviderAt(issuer)}
sites: [{ id: office, lanes: ${lanes} }]
apps:
  - { id: stamps, site: office, upstream: "${app}" }
  - { id: other, site: office, upstream: "${app}" }
policies:
${policies}
  - ${THIS_MACHINE_OPERATES}
`;

/** Starts it all; whoever calls ends it. */
export async function startStage(options: StageOptions = {}): Promise<Stage> {
  const state = temporaryState();
  const origin = await startStampingOrigin();
  const stack = await startOwn(state.path, text("http://idp.demo.localhost", origin.url, options.policies ?? EVERYBODY, options));
  const urlOf = (id: string): string => stack.apps.find((app) => app.id === id)?.url ?? "";
  return {
    stack,
    origin,
    operator: operatorOf(stack.launcher, stack.tokenFile),
    stamps: urlOf("stamps"),
    other: urlOf("other"),
    document: (policies) => text(stack.issuer, origin.url, policies, options),
    end: async () => {
      await stack.stop();
      await origin.close();
      state.remove();
    },
  };
}
