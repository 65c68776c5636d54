/**
 * The part of the oidc-provider package that the demo provider uses; the package ships no types.
 * Not a description of the package.
 */
declare module "oidc-provider" {
  import type { IncomingMessage, ServerResponse } from "node:http";

  export interface ProviderContext {
    body: unknown;
    readonly oidc: {
      readonly params?: Readonly<Record<string, unknown>>;
      readonly session?: { readonly accountId?: string; readonly acr?: string; grantIdFor: (clientId: string) => string | undefined };
      readonly client?: { readonly clientId: string };
      readonly account?: { readonly accountId: string };
      readonly result?: { readonly login?: unknown; readonly consent?: { readonly grantId?: string } };
    };
  }

  export interface Grant {
    addOIDCScope: (scope: string) => void;
    addOIDCClaims: (claims: readonly string[]) => void;
    save: () => Promise<string>;
  }

  export interface InteractionDetails {
    readonly uid: string;
    readonly prompt: { readonly name: string; readonly reasons: readonly string[] };
    readonly params: Readonly<Record<string, unknown>>;
    readonly session?: { readonly accountId?: string };
  }

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>);
    readonly Grant: {
      new (init: { accountId: string; clientId: string }): Grant;
      find: (id: string) => Promise<Grant | undefined>;
    };
    callback: () => (request: IncomingMessage, response: ServerResponse) => void;
    interactionDetails: (request: IncomingMessage, response: ServerResponse) => Promise<InteractionDetails>;
    interactionFinished: (request: IncomingMessage, response: ServerResponse, result: unknown, options?: { mergeWithLastSubmission?: boolean }) => Promise<void>;
    on: (event: string, listener: (...args: readonly unknown[]) => void) => this;
  }

  export namespace interactionPolicy {
    class Check {
      static readonly REQUEST_PROMPT: true;
      static readonly NO_NEED_TO_PROMPT: false;
      constructor(reason: string, description: string, check: (context: ProviderContext) => boolean);
    }
    interface Prompt {
      readonly checks: { add: (check: Check) => void };
    }
    function base(): { get: (name: string) => Prompt | undefined };
  }
}
