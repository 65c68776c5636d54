/** One isolate of the Worker after another, over the same objects, and requests to them. Holds no rule of Postern. */
import { env } from "cloudflare:workers";
import { handle } from "../../worker/app.ts";
import type { Env } from "../../worker/env.ts";

/**
 * One isolate of the Worker: caches are keyed by the namespaces, so other handles on the same
 * objects are another isolate's memory.
 */
export function isolate(secrets: Readonly<Record<string, string>> = {}): (host: string, path: string, init?: RequestInit) => Promise<Response> {
  const real = env as unknown as Env;
  const same = <T extends object>(namespace: T): T => new Proxy(namespace, { get: (target, key) => {
    const value: unknown = Reflect.get(target, key, target);
    return typeof value === "function" ? value.bind(target) : value;
  } });
  const own = { ...real, ...secrets, CONTROL: same(real.CONTROL), SESSION: same(real.SESSION), USER: same(real.USER), AUDIT: same(real.AUDIT) } as Env;
  return (host, path, init = {}) => handle(new Request(`https://${host}${path}`, { redirect: "manual", ...init }), own, (work) => void work.catch(() => undefined));
}

/** The status of an answer whose body nobody reads. */
export async function statusOf(answer: Promise<Response>): Promise<number> {
  const { status, body } = await answer;
  await body?.cancel().catch(() => undefined);
  return status;
}
