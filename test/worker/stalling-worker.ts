/**
 * The Worker with a hand on its objects, for runs that take a part away: `GET /.stall/PART,…` makes
 * calls to these parts hang until they are let go (`/.stall/`), or has an object replaced by the next
 * call to it. Only the entry is another; nothing of the product knows of it.
 */
import type { DurableObject } from "cloudflare:workers";
import type { Env } from "../../worker/env.ts";
import worker, { Session, Tunnel } from "../../worker/index.ts";

export { Audit, Control, Device, Session, Signer, Tunnel, User } from "../../worker/index.ts";

const PATH = "/.stall/";
const LOOK_MS = 100;

type Method = (this: DurableObject, ...args: readonly unknown[]) => unknown;
interface Part {
  readonly of: object;
  readonly calls: readonly string[];
  /** The first call ends the object instead: the next one finds a new instance. */
  readonly replaces?: boolean;
}

/** What is pushed to a lane; what browsers, agents and connectors send it still arrives. */
const PUSHES = ["applyPolicy", "endSession", "observe", "endApp", "endConnector", "streams", "status"];
const PARTS: Readonly<Record<string, Part>> = {
  session: { of: Session.prototype, calls: ["lease", "end", "verify", "isLive", "describe", "refresh"] },
  "session-replaced": { of: Session.prototype, calls: ["end"], replaces: true },
  tunnel: { of: Tunnel.prototype, calls: PUSHES },
  // What a lane asks a session: a lane that is cut off hears nothing of it either.
  lease: { of: Session.prototype, calls: ["lease"] },
  "tunnel-replaced": { of: Tunnel.prototype, calls: ["endSession", "applyPolicy"], replaces: true },
};

const taken = new Set<string>();

/** Hangs while any of these parts is taken; then the call has failed. */
async function hang(parts: readonly string[]): Promise<never> {
  while (parts.some((part) => taken.has(part))) await new Promise((look) => setTimeout(look, LOOK_MS));
  throw new Error("the object could not be reached");
}

for (const { of, calls } of Object.values(PARTS)) {
  for (const call of calls) {
    const original = Object.getOwnPropertyDescriptor(of, call)?.value as (Method & { isWatched?: boolean }) | undefined;
    if (original === undefined) throw new Error(`there is no ${call}`);
    if (original.isWatched === true) continue;
    const mine = Object.entries(PARTS).filter(([, part]) => part.of === of && part.calls.includes(call));
    const watched: Method & { isWatched?: boolean } = function watchedCall(...args) {
      const parts = mine.filter(([name]) => taken.has(name));
      const replacing = parts.find(([, part]) => part.replaces === true);
      if (replacing !== undefined) {
        taken.delete(replacing[0]);
        (this as unknown as { readonly ctx: DurableObjectState }).ctx.abort("replaced");
      }
      return parts.length === 0 ? Reflect.apply(original, this, args) : hang(parts.map(([name]) => name));
    };
    watched.isWatched = true;
    Object.defineProperty(of, call, { value: watched });
  }
}

export default {
  fetch: (request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith(PATH)) return worker.fetch(request, env, ctx);
    const names = pathname.slice(PATH.length).split(",").filter((name) => name !== "");
    if (names.some((name) => PARTS[name] === undefined)) return new Response("no such part\n", { status: 404 });
    taken.clear();
    for (const name of names) taken.add(name);
    return new Response("ok\n");
  },
};
