/** Requests that reach a lane in one call (M16): each is decided, recorded and cut like any other. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RequestId, SessionId } from "../../core/ids.ts";
import { type BatchItem, unpackReply } from "../../durable-objects/batch-reply.ts";
import { laneAuditName } from "../../durable-objects/bindings.ts";
import { type Claim, CLAIM_HEADER, OPEN_HEADER, type OpenContext, REFUSAL_HEADER } from "../../durable-objects/tunnel/rpc.ts";
import { laneOf, laneStub, objects, openRequest, sessionOf, setUp, signedIn, userId, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { connected, type TestConnector } from "./test-connector.ts";

beforeEach(() => setUp());
afterEach(wipe);

let paths = 0;
/** A request with a path of its own. */
function openOf(sid: SessionId | undefined, more: Partial<OpenContext> & { readonly app?: string } = {}): OpenContext {
  const { app = "wiki", ...rest } = more;
  const open = JSON.parse(openRequest(sid ?? ("0".repeat(64) as SessionId), app).headers.get(OPEN_HEADER) ?? "{}") as OpenContext;
  const target = `/${++paths}`;
  const { sid: _sid, ...nobody } = open;
  return { ...(sid === undefined ? nobody : open), ask: { ...open.ask, path: target }, target, ...rest };
}

interface Came {
  readonly item: BatchItem;
  readonly text: string | undefined;
}
const read = (reply: Uint8Array): Came[] => unpackReply(reply).map(({ item, body }) => ({ item, text: body === null ? undefined : new TextDecoder().decode(body) }));
const carry = async (...opens: OpenContext[]): Promise<Came[]> => read(await laneOf().carry(JSON.stringify(opens)));
const collect = async (...opens: OpenContext[]): Promise<Came[]> => read(await laneOf().collect(opens.map((open) => open.request)));
const claim = (request: Claim): Promise<Response> => Promise.resolve(laneStub().fetch("https://lane.internal/", { headers: { [CLAIM_HEADER]: JSON.stringify(request) } }));
const claimOf = ({ request, sid }: OpenContext): Claim => (sid === undefined ? { request } : { request, sid });
const kindsOf = (came: readonly Came[]): Record<string, string> => Object.fromEntries(came.map(({ item }) => [item.id, item.kind === "refused" ? item.refusal.code : item.kind]));

/** Everything that these requests come to, as the isolate asks for it. */
async function all(...opens: OpenContext[]): Promise<Came[]> {
  const out = await carry(...opens);
  while (out.length < opens.length) out.push(...(await collect(...opens.filter((open) => !out.some(({ item }) => item.id === open.request)))));
  return out;
}

/** A connector that answers when it is told to. */
async function muted(): Promise<TestConnector> {
  const connector = await connected();
  connector.mute = true;
  return connector;
}

describe("requests in one call (M16)", () => {
  it("come back whole, each with its own body and session, in one reply", async () => {
    const connector = await muted();
    const sids = [await signedIn(), await signedIn(userId(1)), await signedIn(userId(2))];
    const opens = sids.flatMap((sid) => [openOf(sid), openOf(sid)]);
    const coming = carry(...opens);
    await eventually(() => connector.streams.size === opens.length);
    connector.answerWhole();
    const came = await coming;
    expect(came.map(({ item, text }) => [item.id, item.sid, text])).toEqual(opens.map((open) => [open.request, open.sid, open.target]));
    expect((await laneOf().status())?.streams).toBe(0);
  });

  it("are decided and recorded one by one: an allow, a denial, a session that is over, a stale edge", async () => {
    const connector = await connected();
    connector.mute = true;
    const [ann, robot, gone] = [await signedIn(), await signedIn(userId(1), { subject: { kind: "service", id: "backup" }, facts: { service: { value: "backup", source: "postern", observedAt: Date.now() as never } } }), await signedIn(userId(2))];
    await sessionOf(gone).end("signed_out", "self");
    const opens = { allowed: openOf(ann), denied: openOf(robot, { app: "crm" }), over: openOf(gone), stale: openOf(ann, { stamp: { epoch: 1, policyVersion: 0 } }) };
    const coming = all(...Object.values(opens));
    await eventually(() => connector.streams.size === 1);
    connector.answerWhole();
    const kinds = kindsOf(await coming);
    expect(Object.fromEntries(Object.entries(opens).map(([name, open]) => [name, kinds[open.request]]))).toEqual({ allowed: "whole", denied: "denied", over: "revoked", stale: "stale" });
    const found = async ({ request }: OpenContext): Promise<unknown[]> => {
      const shards = [objects.AUDIT.getByName(laneAuditName("berlin/0")), ...Array.from({ length: 4 }, (_, n) => objects.AUDIT.getByName(`edge/${n}`))];
      return (await Promise.all(shards.map((shard) => shard.find(request)))).flat().map(({ data }) => data["effect"]);
    };
    expect([await found(opens.allowed), await found(opens.denied)]).toEqual([["allow"], ["deny"]]);
  });

  it("one that its session lost the right to between the queue and the call is refused", async () => {
    await connected();
    const [kept, lost] = [await signedIn(), await signedIn(userId(1))];
    expect(kindsOf(await all(openOf(lost)))).not.toEqual({});
    const opens = [openOf(kept), openOf(lost)];
    await sessionOf(lost).end("revoked", "self");
    const kinds = kindsOf(await all(...opens));
    expect([kinds[opens[0]?.request ?? ""], kinds[opens[1]?.request ?? ""]]).toEqual(["claim", "revoked"]);
  });

  it("one whose session ends while the app thinks, or while its answer waits to be fetched, gets none of it", async () => {
    const connector = await muted();
    const [ann, bob] = [await signedIn(), await signedIn(userId(1))];
    const [first, slow, waiting] = [openOf(ann), openOf(bob), openOf(bob)];
    const coming = carry(first, slow, waiting);
    await eventually(() => connector.streams.size === 3);
    connector.answerWhole("", (head) => head.req === first.request);
    expect(kindsOf(await coming)).toEqual({ [first.request]: "whole" });
    connector.answerWhole("", (head) => head.req === waiting.request);
    await sessionOf(bob).end("revoked", "self");
    connector.answerWhole();
    expect(kindsOf(await collect(slow, waiting))).toEqual({ [slow.request]: "revoked", [waiting.request]: "revoked" });
    expect(await (await laneStub().fetch("https://lane.internal/", { headers: { [CLAIM_HEADER]: JSON.stringify(claimOf(waiting)) } })).text()).toBe("");
  });

  it("one whose answer has no body is found by a revocation until somebody fetched it", async () => {
    const connector = await muted();
    const [ann, bob] = [await signedIn(), await signedIn(userId(1))];
    const [first, moved] = [openOf(ann), openOf(bob)];
    const coming = carry(first, moved);
    await eventually(() => connector.streams.size === 2);
    connector.answerWhole("", (head) => head.req === first.request);
    expect(kindsOf(await coming)).toEqual({ [first.request]: "whole" });
    connector.answerEmpty(302, (head) => head.req === moved.request);
    // What comes behind it on the same socket is here, so it is.
    const behind = openOf(ann);
    const came = carry(behind);
    await eventually(() => connector.streams.size === 1);
    connector.answerWhole();
    expect(kindsOf(await came)).toEqual({ [behind.request]: "whole" });
    expect(await sessionOf(bob).end("revoked", "self")).toMatchObject({ found: 1, closed: 1 });
    expect(kindsOf(await collect(moved))).toEqual({ [moved.request]: "revoked" });
  });

  it("a slow answer holds no fast one up, and comes with the next reply", async () => {
    const connector = await muted();
    const sid = await signedIn();
    const [fast, slow] = [openOf(sid), openOf(sid)];
    const coming = carry(fast, slow);
    await eventually(() => connector.streams.size === 2);
    connector.answerWhole("", (head) => head.req === fast.request);
    expect(kindsOf(await coming)).toEqual({ [fast.request]: "whole" });
    const next = collect(slow);
    connector.answerWhole();
    expect(kindsOf(await next)).toEqual({ [slow.request]: "whole" });
  });

  it("an answer above 64 KiB is a claim, which its own request redeems, once, and nobody else's", async () => {
    const connector = await muted();
    const sid = await signedIn();
    const [small, large] = [openOf(sid), openOf(sid)];
    const coming = all(small, large);
    await eventually(() => connector.streams.size === 2);
    connector.answerWhole("", (head) => head.req === small.request);
    connector.answerWhole("x".repeat(64 * 1024));
    expect(kindsOf(await coming)).toEqual({ [small.request]: "whole", [large.request]: "claim" });
    for (const wrong of [{ request: large.request }, { request: large.request, sid: "f".repeat(64) as SessionId }, { request: "r_unknown" as RequestId, sid }]) {
      expect((await claim(wrong)).headers.get(REFUSAL_HEADER)).toContain("unavailable");
    }
    const answer = await claim(claimOf(large));
    expect((await answer.text()).length).toBe(large.target.length + 64 * 1024);
    expect((await claim(claimOf(large))).headers.get(REFUSAL_HEADER)).toContain("unavailable");
    expect((await laneOf().status())?.streams).toBe(0);
  });

  it("an answer that takes longer than 5 s is a claim, and its own request waits for it", async () => {
    const connector = await muted();
    const open = openOf(await signedIn());
    expect(kindsOf(await carry(open))).toEqual({ [open.request]: "claim" });
    const answer = claim(claimOf(open));
    connector.answerWhole();
    expect(await (await answer).text()).toBe(open.target);
  });

  it.each<[string, Partial<OpenContext>]>([
    ["sends a body", { body: "stream" }],
    ["has a method that may do something twice", { method: "POST" }],
    ["is to become a socket", { ask: { app: "wiki" as never, protocol: "websocket", method: "GET", path: "/" } }],
  ])("one that %s is not carried, and reaches no app", async (_what, more) => {
    const connector = await connected();
    const open = openOf(await signedIn(), more);
    expect(kindsOf(await all(open))).toEqual({ [open.request]: "overloaded" });
    expect(connector.opened).toBe(0);
  });

  it("one whose connector is lost before it answered goes to another, as any idempotent request", async () => {
    const both = [await muted(), await muted()] as const;
    const open = openOf(await signedIn());
    const coming = all(open);
    await eventually(() => both.some((one) => one.streams.size === 1));
    const [holder, other] = both[0].streams.size === 1 ? both : [both[1], both[0]];
    holder.leave();
    await eventually(() => other.streams.size === 1);
    other.answerWhole();
    expect((await coming).map(({ text }) => text)).toEqual([open.target]);
  });
});
