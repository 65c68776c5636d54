/**
 * A stand-in for the edge, for tests of the start alone: it counts in an object, shows what it
 * was given, and answers the calls of a setup the way the real one does. Holds no rule of Postern.
 */
import { DurableObject } from "cloudflare:workers";

interface Env {
  readonly COUNTER: { getByName: (name: string) => { next: () => Promise<number> } };
  readonly POSTERN_EDGE_KIND: string;
  readonly POSTERN_SETUP_KEY?: string;
}

export class Counter extends DurableObject {
  next(): number {
    const n = ((this.ctx.storage.kv.get("n") as number | undefined) ?? 0) + 1;
    this.ctx.storage.kv.put("n", n);
    return n;
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/.postern/ready":
        return Response.json({ ready: true });
      case "/count":
        return Response.json(await env.COUNTER.getByName("one").next());
      case "/seen":
        return Response.json({ kind: env.POSTERN_EDGE_KIND, hasSetupKey: env.POSTERN_SETUP_KEY !== undefined, cf: request.cf ?? null, host: request.headers.get("host"), headers: Object.fromEntries(request.headers) });
      case "/.postern/api/v1/setup": {
        const right = request.headers.get("authorization") === `Bearer ${env.POSTERN_SETUP_KEY ?? ""}`;
        if (right && (await request.text()).includes('"version":1')) return Response.json({ version: 1, token: "pst_first", token_expires_at: "2099-01-01T00:00:00Z" });
        return Response.json({ error: { code: "setup_refused", message: "setup is over", fix: ["use postern apply"] } }, { status: 403 });
      }
      case "/.postern/api/v1/services":
        return Response.json({ client_id: "local-operator", client_secret: "s", token: "pst_service" });
      case "/.postern/api/v1/policy":
        return request.headers.get("authorization") === "Bearer pst_service"
          ? Response.json({ version: 2, previous: 1 })
          : Response.json({ error: { code: "unauthenticated", message: "this token is not known", fix: [] } }, { status: 401 });
      default:
        return new Response("not here", { status: 404 });
    }
  },
};
