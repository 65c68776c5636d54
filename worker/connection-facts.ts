/**
 * Facts of the connection (P17), from what the platform says and never from what the client says
 * (class D): `cf-connecting-ip` only where Cloudflare sets it, `cf.clientIp` elsewhere.
 */
import { at } from "../core/time.ts";
import type { Fact } from "../policy/facts.ts";
import type { Env } from "./env.ts";

const MAX_USER_AGENT_CHARS = 256;

export type ConnectionFacts = { readonly [name: string]: Fact };

export function connectionFacts(request: Request, env: Env, now: number): ConnectionFacts {
  const facts: Record<string, Fact> = {};
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined && value !== "") facts[name] = { observedAt: at(now), source: "edge", value };
  };
  // Read once: the runtime makes it anew for every look.
  const cf = (request.cf ?? {}) as { readonly [name: string]: unknown };
  // In the order in which the record writes them.
  add("asn", typeof cf["asn"] === "number" ? cf["asn"] : undefined);
  add("country", typeof cf["country"] === "string" ? cf["country"] : undefined);
  add("ip", env.POSTERN_EDGE_KIND === "cloudflare" ? (request.headers.get("cf-connecting-ip") ?? undefined) : addressIn(cf["clientIp"]));
  add("user_agent", request.headers.get("user-agent")?.slice(0, MAX_USER_AGENT_CHARS));
  return facts;
}

/** The address as text, for spreading and counting; "" when it is unknown. */
export function addressOf(facts: ConnectionFacts): string {
  const ip = facts["ip"]?.value;
  return typeof ip === "string" ? ip : "";
}

/** The address without port; undefined when the platform does not say it: an unknown fact. */
function addressIn(said: unknown): string | undefined {
  if (typeof said !== "string") return undefined;
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::\d+)?$/.exec(said);
  if (bracketed?.[1] !== undefined) return bracketed[1];
  const v4 = /^(\d{1,3}(?:\.\d{1,3}){3})(?::\d+)?$/.exec(said);
  return v4?.[1] ?? said;
}
