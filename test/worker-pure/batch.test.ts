import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RequestId, SessionId } from "../../core/ids.ts";
import { type BatchItem, packReply } from "../../durable-objects/batch-reply.ts";
import { CLAIM_HEADER, type OpenContext } from "../../durable-objects/tunnel/rpc.ts";
import { MAX_ALONE_COUNT, mayTravelTogether, type Proxied, together } from "../../worker/batch.ts";
import type { Exchange } from "../../worker/exchange.ts";

interface Lane {
  carry(batch: string): Promise<Uint8Array>;
  collect(requests: readonly string[]): Promise<Uint8Array>;
  fetch(request: Request): Promise<Response>;
}

/** One isolate with one lane, to which all but one of those are under way that may go alone; and whatever it keeps itself alive for. */
class Isolate {
  readonly later: Promise<unknown>[] = [];
  readonly alone: string[] = [];
  readonly #env: unknown;
  readonly #aloneMs: number;
  #count = 0;

  /** `aloneMs`: how long one that goes by itself stays under way. */
  constructor(lane: Lane, batching = "on", aloneMs = 30) {
    this.#aloneMs = aloneMs;
    this.#env = { POSTERN_BATCHING: batching, TUNNEL: { getByName: () => lane } };
    for (let n = 1; n < MAX_ALONE_COUNT; n++) void this.#together({ request: `r_before_${n}` } as unknown as OpenContext, () => new Promise(() => undefined));
  }

  request(sid?: string): { open: OpenContext; answer: Promise<Proxied> } {
    const open = { request: `r_${++this.#count}` as RequestId, ...(sid === undefined ? {} : { sid: sid as SessionId }), method: "GET", ask: { protocol: "http" } } as unknown as OpenContext;
    const answer = this.#together(open, () => {
      this.alone.push(open.request);
      // It stays under way: whoever comes next is not alone.
      return new Promise((resolve) => setTimeout(() => resolve({ kind: "answer", response: new Response("alone") }), this.#aloneMs));
    });
    return { open, answer };
  }

  #together(open: OpenContext, alone: () => Promise<Proxied>): Promise<Proxied> {
    const exchange = { env: this.#env, now: Date.now(), later: (work: Promise<unknown>) => void this.later.push(work) } as unknown as Exchange;
    return together(exchange, "site/0", open, alone);
  }
}

const opensOf = (batch: string): OpenContext[] => JSON.parse(batch) as OpenContext[];
const textOf = ({ request, sid }: { readonly request: string; readonly sid?: string | undefined }): string => `${request} of ${sid ?? "nobody"}`;
const whole = (open: OpenContext, more: Partial<BatchItem> = {}): BatchItem => ({ id: open.request, ...(open.sid === undefined ? {} : { sid: open.sid }), kind: "whole", status: 200, headers: [], bytes: textOf(open).length, ...more }) as BatchItem;
const reply = (opens: readonly OpenContext[], items = opens.map((open) => whole(open))): Uint8Array => packReply(items, opens.map((open) => new TextEncoder().encode(textOf(open))));
const fails = (): Promise<never> => Promise.reject(new Error("the lane is gone"));
const shown = async (answer: Promise<Proxied>): Promise<string> => {
  try {
    const got = await answer;
    return got.kind === "refused" ? `refused ${got.refusal.code}` : await got.response.text();
  } catch {
    return "failed";
  }
};

/** As the engine does it: what another request settles wakes its own request in a turn of its own. */
const made = Promise.withResolvers.bind(Promise);
function keptApart(): PromiseWithResolvers<unknown> {
  const { promise, resolve, reject } = made();
  return { promise, resolve: (value) => void setImmediate(() => resolve(value)), reject };
}
beforeEach(() => void (Promise.withResolvers = keptApart as never));
afterEach(() => void (Promise.withResolvers = made));

describe("requests on their way together (M16)", () => {
  it("one that few wait beside goes by itself", async () => {
    const isolate = new Isolate({ carry: fails, collect: fails, fetch: fails });
    expect(await shown(isolate.request("s1").answer)).toBe("alone");
    expect(await shown(isolate.request("s1").answer)).toBe("alone");
    expect(isolate.later).toEqual([]);
  });

  it("whoever comes right after a crowd left waits for company, and later goes by itself again", async () => {
    vi.useFakeTimers({ now: 1_000_000 });
    try {
      const isolate = new Isolate({ carry: async (batch) => reply(opensOf(batch)), collect: fails, fetch: fails }, "on", 1);
      const next = async (): Promise<string> => {
        const text = shown(isolate.request("s1").answer);
        await vi.advanceTimersByTimeAsync(2);
        return text;
      };
      await Promise.all([next(), next(), next()]);
      expect([await next(), await next()]).toEqual(["r_4 of s1", "r_5 of s1"]);
      await vi.advanceTimersByTimeAsync(20);
      expect(await next()).toBe("alone");
    } finally {
      vi.useRealTimers();
    }
  });

  it("where the engine wakes one in another's request it fails, and from then on each goes by itself", async () => {
    Promise.withResolvers = made;
    const isolate = new Isolate({ carry: async (batch) => reply(opensOf(batch)), collect: fails, fetch: fails });
    const crowd = (): Promise<string[]> => Promise.all(Array.from({ length: 5 }, () => shown(isolate.request("s1").answer)));
    // The first of the call is in its own request, whoever wakes whom.
    expect(await crowd()).toEqual(["alone", "r_2 of s1", "failed", "failed", "failed"]);
    expect(await crowd()).toEqual(Array(5).fill("alone"));
  });

  it("those whose clients left count as under way for 8 seconds at most", async () => {
    vi.useFakeTimers({ now: 1_000_000 });
    try {
      const isolate = new Isolate({ carry: fails, collect: fails, fetch: fails }, "on", 1_000_000);
      const sent = Array.from({ length: 3 }, () => shown(isolate.request("s1").answer));
      await vi.advanceTimersByTimeAsync(8_000);
      sent.push(shown(isolate.request("s1").answer));
      await vi.advanceTimersByTimeAsync(2);
      expect([isolate.alone, await sent[1], await sent[2]]).toEqual([["r_1", "r_4"], "failed", "failed"]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("a call that its first request never made fails those that waited for it, and the next makes its own", async () => {
    vi.useFakeTimers({ now: 1_000_000 });
    try {
      const isolate = new Isolate({ carry: async (batch) => reply(opensOf(batch)), collect: fails, fetch: fails });
      isolate.request("s1");
      isolate.request("s1");
      // It is gone, and with it all that it had set up.
      vi.clearAllTimers();
      const waiting = shown(isolate.request("s1").answer);
      await vi.advanceTimersByTimeAsync(8_002);
      expect(await waiting).toBe("failed");
      const all = Array.from({ length: 6 }, () => shown(isolate.request("s1").answer));
      await vi.advanceTimersByTimeAsync(60);
      expect((await Promise.all(all)).at(-1)).toBe("r_9 of s1");
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(["off", ""])('each goes by itself while the variable says "%s"', async (batching) => {
    const isolate = new Isolate({ carry: fails, collect: fails, fetch: fails }, batching);
    const all = await Promise.all(Array.from({ length: 10 }, () => shown(isolate.request("s1").answer)));
    expect(new Set(all)).toEqual(new Set(["alone"]));
    expect(isolate.alone).toHaveLength(10);
  });

  it("those of one turn share a call, at most 64, which the first of them keeps alive", async () => {
    const sizes: number[] = [];
    const isolate = new Isolate({ carry: async (batch) => (sizes.push(opensOf(batch).length), reply(opensOf(batch))), collect: fails, fetch: fails });
    const all = Array.from({ length: 101 }, (_, n) => isolate.request(`s${n}`));
    const texts = await Promise.all(all.map(({ answer }) => shown(answer)));
    expect(texts.slice(1)).toEqual(all.slice(1).map(({ open }) => textOf(open)));
    expect([texts[0], sizes, isolate.later.length]).toEqual(["alone", [64, 36], 2]);
    await Promise.all(isolate.later);
  });

  it.each<[string, Partial<OpenContext> & { readonly protocol?: string }, boolean]>([
    ["GET", { method: "GET" }, true],
    ["HEAD", { method: "HEAD" }, true],
    ["POST", { method: "POST" }, false],
    ["PUT", { method: "PUT" }, false],
    ["DELETE", { method: "DELETE" }, false],
    ["a WebSocket", { method: "GET", protocol: "websocket" }, false],
  ])("%s: may travel so is %s", (_name, { method, protocol = "http" }, may) => {
    expect(mayTravelTogether({ method, ask: { protocol } } as unknown as OpenContext)).toBe(may);
  });

  it("a slow answer holds no fast one up", async () => {
    const slow = Promise.withResolvers<Uint8Array>();
    let last: OpenContext | undefined;
    const isolate = new Isolate({
      carry: async (batch) => {
        const opens = opensOf(batch);
        last = opens.at(-1);
        return reply(opens.slice(0, -1));
      },
      collect: () => slow.promise,
      fetch: fails,
    });
    const all = Array.from({ length: 5 }, () => isolate.request("s1"));
    let over = false;
    const slowest = shown(all[4]?.answer ?? fails()).finally(() => (over = true));
    expect(await Promise.all(all.slice(1, 4).map(({ answer }) => shown(answer)))).toEqual(all.slice(1, 4).map(({ open }) => textOf(open)));
    expect(over).toBe(false);
    if (last !== undefined) slow.resolve(reply([last]));
    expect(await slowest).toBe("r_5 of s1");
  });

  it("a call that fails fails each of its requests by itself, and none is sent again", async () => {
    let calls = 0;
    const isolate = new Isolate({ carry: () => (calls++, fails()), collect: fails, fetch: () => (calls++, fails()) });
    const texts = await Promise.all(Array.from({ length: 5 }, () => shown(isolate.request("s1").answer)));
    expect([texts, calls, isolate.alone]).toEqual([["alone", "failed", "failed", "failed", "failed"], 1, ["r_1"]]);
    await Promise.all(isolate.later);
  });

  it.each<[string, () => Promise<Uint8Array>]>([
    ["is gone", fails],
    ["was replaced and knows of nothing", async () => packReply([], [])],
    ["sends what is no reply", async () => new Uint8Array([0, 0, 0, 9, 1])],
  ])("a lane that %s in the middle fails only what was not answered, and nothing is sent again", async (_how, collect) => {
    let carried = 0;
    const isolate = new Isolate({ carry: async (batch) => (carried++, reply(opensOf(batch).slice(0, 2))), collect, fetch: fails });
    const texts = await Promise.all(Array.from({ length: 5 }, () => shown(isolate.request("s1").answer)));
    expect([texts, carried]).toEqual([["alone", "r_2 of s1", "r_3 of s1", "failed", "failed"], 1]);
    await Promise.all(isolate.later);
  });

  it("a claim is redeemed by the waiter's own request", async () => {
    const claims: unknown[] = [];
    const isolate = new Isolate({
      carry: async (batch) => packReply(opensOf(batch).map(({ request, sid }) => ({ id: request, ...(sid === undefined ? {} : { sid }), kind: "claim" })), []),
      collect: fails,
      fetch: async (request) => {
        claims.push(JSON.parse(request.headers.get(CLAIM_HEADER) ?? "null"));
        return new Response("claimed");
      },
    });
    const texts = await Promise.all([isolate.request("s1"), isolate.request("s2"), isolate.request()].map(({ answer }) => shown(answer)));
    expect([texts, claims]).toEqual([["alone", "claimed", "claimed"], [{ request: "r_2", sid: "s2" }, { request: "r_3" }]]);
  });

  it("an answer whose length the app did not say is told none", async () => {
    const isolate = new Isolate({ carry: async (batch) => reply(opensOf(batch), opensOf(batch).map((open) => whole(open, { chunked: true } as Partial<BatchItem>))), collect: fails, fetch: fails });
    void isolate.request("s1").answer;
    const got = await isolate.request("s1").answer;
    if (got.kind !== "answer") throw new Error(got.refusal.code);
    expect(got.response.headers.has("content-length")).toBe(false);
    expect(await got.response.text()).toBe("r_2 of s1");
  });

  it("nobody sees another's answer, whatever a lane mixes up, drops, splits or delays", async () => {
    const sessions = fc.array(fc.constantFrom("s1", "s2", "s3", undefined), { minLength: 2, maxLength: 40 });
    const fates = fc.array(fc.constantFrom("now", "later", "other session", "other request", "refused", "claim", "twice", "never"), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(sessions, fates, async (sids, plan) => {
        const fateOf = (request: string): string => plan[Number(request.slice(2)) % plan.length] ?? "now";
        const left = new Map<string, OpenContext>();
        const answers = (opens: readonly OpenContext[], late: boolean): Uint8Array => {
          const items: BatchItem[] = [];
          const bodies: Uint8Array[] = [];
          const put = (open: OpenContext, more: Partial<BatchItem>): void => {
            items.push(whole(open, more));
            bodies.push(new TextEncoder().encode(textOf(open)));
          };
          for (const open of opens) {
            const fate = fateOf(open.request);
            left.delete(open.request);
            if (fate === "now" || (fate === "later" && late)) put(open, {});
            else if (fate === "other session") put(open, { sid: "s9" as SessionId });
            else if (fate === "other request") put(open, { id: "r_0" as RequestId });
            else if (fate === "refused") items.push({ id: open.request, ...(open.sid === undefined ? {} : { sid: open.sid }), kind: "refused", refusal: { code: "revoked", policyVersion: 1 } });
            else if (fate === "claim") items.push({ id: open.request, ...(open.sid === undefined ? {} : { sid: open.sid }), kind: "claim" });
            else if (fate === "twice") {
              put(open, {});
              put(open, { sid: "s9" as SessionId });
            } else left.set(open.request, open);
          }
          return packReply(items, bodies);
        };
        const isolate = new Isolate({
          carry: async (batch) => answers(opensOf(batch).reverse(), false),
          collect: async (ids) => answers(ids.map((id) => left.get(id)).filter((open): open is OpenContext => open !== undefined), true),
          fetch: async (request) => new Response(`claimed ${textOf(JSON.parse(request.headers.get(CLAIM_HEADER) ?? "{}") as { request: string; sid?: string })}`),
        });
        const all = sids.map((sid) => isolate.request(sid));
        const texts = await Promise.all(all.map(({ answer }) => shown(answer)));
        for (const [n, { open }] of all.entries()) {
          const allowed = n === 0 ? ["alone"] : { now: [textOf(open)], twice: [textOf(open)], later: [textOf(open), "failed"], refused: ["refused revoked"], claim: [`claimed ${textOf(open)}`] }[fateOf(open.request)] ?? ["failed"];
          expect(allowed).toContain(texts[n]);
        }
        await Promise.all(isolate.later);
      }),
      { numRuns: 60 },
    );
  });
});
