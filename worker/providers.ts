/** The identity providers of the live document with their secrets resolved, and the io to reach them. */
import { at } from "../core/time.ts";
import type { CompiledPolicy } from "../policy/compile.ts";
import type { Provider } from "../policy/document.ts";
import { newProviderCache, type ProviderCache } from "../identity/provider-cache.ts";
import type { OidcIo, ProviderSettings } from "../identity/provider.ts";
import { type Env, secretOf } from "./env.ts";

/** What was learned from providers, per deployment. */
const caches = new WeakMap<object, ProviderCache>();

export function oidcIo(env: Env): OidcIo {
  let cache = caches.get(env.CONTROL);
  if (cache === undefined) caches.set(env.CONTROL, (cache = newProviderCache()));
  return {
    fetch: (url, init) => fetch(url, init),
    deadline: (length) => AbortSignal.timeout(length),
    pause: (length) => new Promise((wake) => setTimeout(wake, length)),
    now: () => at(Date.now()),
    cache,
  };
}

/** Undefined for an unknown provider, or one whose secret is not bound. */
export function providerSettings(policy: CompiledPolicy, env: Env, id: string): ProviderSettings | undefined {
  const provider = policy.document.providers.find((one) => one.id === id);
  return provider === undefined ? undefined : withSecret(provider, env);
}

function withSecret(provider: Provider, env: Env): ProviderSettings | undefined {
  const { clientSecret, ...rest } = provider;
  const secret = clientSecret === undefined ? undefined : boundSecret(secretOf(env, clientSecret.secret), provider.issuer);
  if (clientSecret !== undefined && secret === undefined) return undefined;
  return { ...rest, ...(secret === undefined ? {} : { clientSecret: secret }) };
}

/**
 * A secret may say which issuer it is for: `{"issuer": …, "secret": …}` as its value. Then no
 * document can send it anywhere else; a plain value goes wherever the document names it.
 */
function boundSecret(value: string | undefined, issuer: string): string | undefined {
  if (value === undefined || !value.startsWith("{")) return value;
  try {
    const bound = JSON.parse(value) as { readonly issuer?: unknown; readonly secret?: unknown };
    return bound.issuer === issuer && typeof bound.secret === "string" ? bound.secret : undefined;
  } catch {
    return undefined;
  }
}
