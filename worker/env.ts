/** What the Worker is given: its objects, its variables, and secrets by the names the policy uses. */
import type { ObjectEnv } from "../durable-objects/bindings.ts";

export interface Env extends ObjectEnv {
  /** The files of the build: the connector, pages' files, the words of errors (wrangler.toml `[assets]`); absent in tests that build none. */
  readonly ASSETS?: { fetch(url: string, init?: RequestInit): Promise<Response> };
  /** "cloudflare" behind Cloudflare's front end, "local" on one's own workerd: who says the source address. */
  readonly POSTERN_EDGE_KIND?: string;
  /** "on": requests that wait for the same lane travel together (M16, batch.ts). Absent is off. */
  readonly POSTERN_BATCHING?: string;
  /** Bootstrap only; removed once an operator exists (CONTRACT "Administration"). */
  readonly POSTERN_SETUP_KEY?: string;
}

/** A secret by name; undefined for one that is not bound or is no text. */
export function secretOf(env: Env, name: string): string | undefined {
  const value = (env as unknown as Record<string, unknown>)[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}
