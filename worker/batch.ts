/**
 * Requests of this isolate that wait for the same lane, on their way together (M16): one call
 * carries all that came within a turn of the event loop, and their answers come back as they
 * come. Each is decided, recorded and answered by itself; nothing of one request's own (stream,
 * signal, Request, Response) is seen by another, only plain data.
 */
import type { RequestId } from "../core/ids.ts";
import { type BatchItem, unpackReply } from "../durable-objects/batch-reply.ts";
import { headersOf } from "../durable-objects/headers-of.ts";
import { CLAIM_HEADER, type OpenContext, type Refusal, REFUSAL_HEADER } from "../durable-objects/tunnel/rpc.ts";
import type { Env } from "./env.ts";
import type { Exchange } from "./exchange.ts";

export type Proxied = { readonly kind: "answer"; readonly response: Response } | { readonly kind: "refused"; readonly refusal: Refusal };

interface Came {
  readonly item: BatchItem;
  readonly body: Uint8Array | null;
}
interface Waiter {
  readonly open: OpenContext;
  /** Undefined: the batch failed. */
  readonly came: (answer: Came | undefined) => void;
}
/** One lane, as this isolate sees it. */
interface Crowd {
  /** Requests that are on their way, alone or together, and since when. One whose client left stays until it is too old. */
  readonly under: Map<RequestId, number>;
  /** What leaves with the next call; undefined while no call is due. */
  next: Waiter[] | undefined;
  /** When several left together last. */
  crowdedAt: number;
  /** A waiter woke in another's request: the engine does not keep them apart as it should, and each goes by itself from then on. */
  apart: boolean;
}

/** Requests of one call. Bounds one reply and the turn that a lane spends on it. */
const MAX_BATCH_COUNT = 64;
/** With no more than so many under way, each is sooner there by itself: the end of a turn is found by a timer, which takes a millisecond or two. */
export const MAX_ALONE_COUNT = 4;
/** So long after several left together, whoever comes waits for company: a call that comes back empties the crowd for a moment only. */
const CROWDED_MS = 20;
/** Later than any claim comes: then the batch has failed, whatever it does. */
const GIVE_UP_MS = 8_000;

/** Keyed by the namespace: two deployments in one process (tests) share nothing. */
const crowds = new WeakMap<object, Map<string, Crowd>>();

/** While a call tells its waiters: whoever wakes now wakes in the call's request instead of its own. */
let telling = false;

function crowdOf(env: Env, lane: string): Crowd {
  let lanes = crowds.get(env.TUNNEL);
  if (lanes === undefined) crowds.set(env.TUNNEL, (lanes = new Map()));
  let crowd = lanes.get(lane);
  if (crowd === undefined) lanes.set(lane, (crowd = { under: new Map(), next: undefined, crowdedAt: 0, apart: false }));
  return crowd;
}

/** Asks for nothing twice, sends nothing, becomes no socket. */
export const mayTravelTogether = ({ method, ask }: OpenContext): boolean => (method === "GET" || method === "HEAD") && ask.protocol === "http";

/** By the lane's own fetch while few wait for the lane, else in a batch. */
export async function together(x: Exchange, lane: string, open: OpenContext, alone: () => Promise<Proxied>): Promise<Proxied> {
  if (x.env.POSTERN_BATCHING !== "on") return alone();
  const crowd = crowdOf(x.env, lane);
  const { under } = crowd;
  under.set(open.request, x.now);
  for (const [request, since] of under) {
    if (x.now < since + GIVE_UP_MS) break;
    under.delete(request);
  }
  try {
    const few = crowd.apart || under.size <= MAX_ALONE_COUNT && x.now >= crowd.crowdedAt + CROWDED_MS;
    return await (few ? alone() : inBatch(x, lane, crowd, open));
  } finally {
    under.delete(open.request);
  }
}

async function inBatch(x: Exchange, lane: string, crowd: Crowd, open: OpenContext): Promise<Proxied> {
  const { item, body } = (await place(x, lane, crowd, open)) ?? {};
  // An answer counts only for the very request and session that it names.
  if (item === undefined || body === undefined || item.id !== open.request || item.sid !== open.sid) throw new Error("no answer of its own");
  switch (item.kind) {
    case "refused":
      return { kind: "refused", refusal: item.refusal };
    case "claim": {
      const claim = JSON.stringify({ request: open.request, sid: open.sid });
      return proxied(await x.env.TUNNEL.getByName(lane).fetch(new Request("https://lane.internal/", { headers: { [CLAIM_HEADER]: claim }, redirect: "manual" })));
    }
    case "whole":
      return { kind: "answer", response: responseOf(item, body) };
    default:
      return item satisfies never;
  }
}

/**
 * A place in the next call. Every waiter holds a timer of its own: a request that waits for another's work alone is taken for hung.
 * What another request settles is a promise of the engine's own making, which knows whose it is and wakes it there;
 * one of `new Promise` no longer does once its code is optimised (decision 0015).
 */
async function place(x: Exchange, lane: string, crowd: Crowd, open: OpenContext): Promise<Came | undefined> {
  const { promise, resolve: came } = Promise.withResolvers<Came | undefined>();
  const waiters: Waiter[] = (crowd.next ??= []);
  // Never cleared: it ends with its request, and then it tells nobody anything.
  setTimeout(() => {
    // Whoever was to make the call never did.
    if (crowd.next === waiters) crowd.next = undefined;
    came(undefined);
  }, GIVE_UP_MS);
  const calls = waiters.push({ open, came }) === 1;
  // The first of a call carries it, to its end even if its own client leaves.
  if (calls) x.later(turn().then(() => leave(x.env, lane, crowd, waiters)));
  if (waiters.length >= MAX_BATCH_COUNT) crowd.next = undefined;
  const answer = await promise;
  if (telling && !calls) {
    crowd.apart = true;
    throw new Error("woken in another request");
  }
  return answer;
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

async function leave(env: Env, lane: string, crowd: Crowd, waiters: readonly Waiter[]): Promise<void> {
  if (crowd.next === waiters) crowd.next = undefined;
  if (waiters.length > 1) crowd.crowdedAt = Date.now();
  const waiting = new Map<RequestId, Waiter>(waiters.map((one) => [one.open.request, one]));
  const stub = env.TUNNEL.getByName(lane);
  try {
    let reply = await stub.carry(JSON.stringify(waiters.map(({ open }) => open)));
    for (;;) {
      const before = waiting.size;
      // They ask again, if they do, about now.
      if (waiters.length > 1) crowd.crowdedAt = Date.now();
      beginTelling();
      for (const answer of unpackReply(reply)) {
        waiting.get(answer.item.id)?.came(answer);
        waiting.delete(answer.item.id);
      }
      // A lane that knows nothing of what is left has been replaced meanwhile.
      if (waiting.size === 0 || waiting.size === before) break;
      reply = await stub.collect([...waiting.keys()]);
    }
  } catch {
    // Each that is left fails by itself below; none is sent again, for the lane may have accepted it.
  }
  beginTelling();
  for (const { came } of waiting.values()) came(undefined);
}

/** Until what is settled in this turn had its turn to wake. */
function beginTelling(): void {
  telling = true;
  // Not queueMicrotask, which costs the engine twenty times as much.
  void Promise.resolve().then(() => undefined).then(() => (telling = false));
}

export function proxied(response: Response): Proxied {
  const refusal = response.headers.get(REFUSAL_HEADER);
  return refusal === null ? { kind: "answer", response } : { kind: "refused", refusal: JSON.parse(refusal) as Refusal };
}

function responseOf(item: Extract<BatchItem, { kind: "whole" }>, body: Uint8Array | null): Response {
  const init: ResponseInit = { status: item.status, headers: headersOf(item.headers), encodeBody: "manual" };
  if (item.reason !== undefined && item.reason !== "") init.statusText = item.reason;
  return new Response(item.chunked === true && body !== null ? streamOf(body) : body, init);
}

/** A stream has no length that the browser could be told. */
function streamOf(body: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (body.length > 0) controller.enqueue(body);
      controller.close();
    },
  });
}
