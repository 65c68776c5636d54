import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Receipt } from "../../../durable-objects/control/rpc.ts";
import { LEASE_HOLD_MS } from "../../../durable-objects/lease-terms.ts";
import { BodyFence, FENCED_AFTER_MS } from "../../../durable-objects/tunnel/body-fence.ts";
import { User } from "../../../durable-objects/user/user.ts";
import { Freshness } from "../../../durable-objects/tunnel/freshness.ts";
import { HttpRelay } from "../../../durable-objects/tunnel/http-relay.ts";
import { REFUSAL_HEADER } from "../../../durable-objects/tunnel/rpc.ts";
import { seeded } from "../../seeded.ts";
import { ANN, RECEIPT, T0 } from "../samples.ts";
import { Deployment, inWorld } from "./objects.ts";
import { DOCUMENTS, openRequest, signInRequest, SITE_OF } from "./play.ts";
import { type Instance, type Place, World } from "./world.ts";

vi.mock("cloudflare:workers", async () => import("../durable-object.ts"));

interface Open {
  readonly instance: Instance;
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
}

/** A deployment in which the test says what happens next; messages take no time unless it says so. */
class Stage {
  readonly world = new World(seeded(7), { loss: 0, late: 0, skewMs: 0 });
  readonly deployment = new Deployment(this.world);
  #requests = 0;

  async settle(ms = 0): Promise<void> {
    const until = this.world.now + ms;
    do {
      while (!this.world.quiet) await this.world.deliver();
      await this.world.pass(Math.min(100, Math.max(0, until - this.world.now)));
    } while (this.world.now < until || !this.world.quiet);
  }

  /** Calls an object and lets things happen until it answered, at most `ms`. Undefined when it did not. */
  async ask<T>(place: Place, method: string, args: readonly unknown[], ms = 0): Promise<T | undefined> {
    let answer: T | undefined;
    await this.world.turn(undefined, () => void this.world.call(place, method, args).then((value) => (answer = value as T), () => undefined));
    for (let waited = 0; answer === undefined && waited <= ms; waited += 100) await this.settle(waited === 0 ? 0 : 100);
    return answer;
  }

  async signedIn(): Promise<string> {
    const answer = await this.ask<{ sid: string }>(this.deployment.user(ANN), "signIn", [signInRequest(ANN, this.world.now, this.world.now)]);
    return answer?.sid ?? "";
  }

  /** Undefined when the lane refused. */
  async opened(sid: string, app: string): Promise<Open | undefined> {
    const lane = this.deployment.lane(SITE_OF[app] ?? "");
    const { request } = openRequest(++this.#requests, sid, app);
    const answer = await this.ask<Response>(lane, "fetch", [request]);
    if (answer === undefined || answer.body === null || answer.headers.has(REFUSAL_HEADER)) return undefined;
    return { instance: this.world.running(lane), reader: answer.body.getReader() };
  }

  async written(app: string): Promise<void> {
    const connector = this.deployment.connectors.get(this.deployment.lane(SITE_OF[app] ?? "").name);
    await this.world.turn(undefined, () => {
      for (const number of connector?.streams.keys() ?? []) connector?.write(number, "bytes");
    });
    await this.settle();
  }

  /** Whether a byte comes within a moment. */
  async reads(stream: Open | undefined): Promise<boolean> {
    let got = false;
    if (stream !== undefined && !stream.instance.dead) {
      await this.world.turn(stream.instance, () => void stream.reader.read().then(({ value }) => (got ||= value !== undefined && !stream.instance.dead), () => undefined));
      await this.settle();
    }
    return got;
  }

  apply(which: keyof typeof DOCUMENTS, ms = 0): Promise<{ receipt: Receipt } | undefined> {
    return this.ask(this.deployment.control, "apply", [{ document: DOCUMENTS[which], text: which, by: "internal", namesOperator: true }], ms);
  }
}

let stage: Stage;
let backToReality: () => void;
beforeEach(async () => {
  stage = new Stage();
  backToReality = inWorld(stage.world);
  for (const site of new Set(Object.values(SITE_OF))) stage.deployment.connect(site);
  await stage.apply("both");
});
afterEach(() => {
  backToReality();
  stage.world.close();
  vi.restoreAllMocks();
});

describe("an older instance of a lane that still holds a body (M6)", () => {
  const changes: readonly [string, (sid: string) => Promise<unknown>][] = [
    ["a session's end", (sid) => stage.ask(stage.deployment.session(sid), "end", ["revoked", RECEIPT], 10_000)],
    ["a policy that denies the app", () => stage.apply("wikiOnly", 10_000)],
    ["an app's end", () => stage.ask(stage.deployment.control, "revoke", [{ kind: "app", id: "crm", by: "internal" }], 10_000)],
  ];

  async function bytesAfter(change: (sid: string) => Promise<unknown>): Promise<{ bytes: boolean; took: number; answered: boolean }> {
    const sid = await stage.signedIn();
    const held = await stage.opened(sid, "crm");
    expect(held).toBeDefined();
    await stage.written("crm");
    stage.world.replace(stage.deployment.lane("paris"), true);
    // The newer instance serves the session as well, so that it is told of any change.
    expect(await stage.opened(sid, "crm")).toBeDefined();
    const from = stage.world.now;
    const answered = (await change(sid)) !== undefined;
    return { answered, took: stage.world.now - from, bytes: await stage.reads(held) };
  }

  it.each(changes)("passes nothing after the receipt of %s", async (_title, change) => {
    const { answered, took, bytes } = await bytesAfter(change);
    expect(answered).toBe(true);
    expect(took).toBeLessThanOrEqual(FENCED_AFTER_MS + 500);
    expect(bytes).toBe(false);
  });

  it.each(changes)("would pass it if the receipt of %s did not wait", async (_title, change) => {
    vi.spyOn(BodyFence.prototype, "othersGone").mockImplementation(async () => undefined);
    expect(await bytesAfter(change)).toMatchObject({ answered: true, bytes: true });
  });
});

describe("a person with five hundred sessions", () => {
  it("is revoked with all of them: who was used is cut, and of the rest each ends in one step and tells nobody", async () => {
    const sids: string[] = [];
    while (sids.length < 500) sids.push(await stage.signedIn());
    const streams = [];
    for (const sid of sids.slice(0, 5)) streams.push(await stage.opened(sid, "wiki"));
    const { deployment } = stage;
    const alarms = sids.map((sid) => vi.spyOn(deployment.session(sid).storage, "setAlarm"));
    const forgets = vi.spyOn(User.prototype, "forget");
    for (const sid of sids) stage.world.replace(deployment.session(sid), false);
    const revoked = await stage.ask<{ receipt: Receipt }>(deployment.control, "revoke", [{ kind: "user", id: ANN, by: "internal" }], 10_000);
    expect(revoked?.receipt).toMatchObject({ complete: true, report: { found: 5, closed: 5, unconfirmed: [] } });
    for (const stream of streams) expect(await stage.reads(stream)).toBe(false);
    for (const sid of sids) expect(await stage.ask(deployment.session(sid), "isLive", [])).toBe(false);
    expect(await stage.ask(deployment.user(ANN), "sessions", [])).toEqual([]);
    // One for the day on which they are deleted; those that lanes must be told of have one more, should they be replaced meanwhile.
    expect(alarms.map((one) => one.mock.calls.length)).toEqual(sids.map((_, n) => (n < 5 ? 2 : 1)));
    expect(forgets).not.toHaveBeenCalled();
  });

  it("lets go of those that end by themselves at the same time with a few writes, not with one each", async () => {
    const user = stage.deployment.user(ANN);
    const sids: string[] = [];
    while (sids.length < 500) sids.push(await stage.signedIn());
    expect(await stage.ask(user, "sessions", [])).toEqual(sids);
    const puts = vi.spyOn(user.storage.kv, "put");
    await stage.world.pass(24 * 3_600_000);
    await stage.settle(5_000);
    expect(await stage.ask(user, "sessions", [])).toEqual([]);
    expect(puts.mock.calls.filter(([key]) => key === "user").length).toBeLessThan(20);
    stage.world.replace(user, false);
    expect(await stage.ask(user, "sessions", [])).toEqual([]);
  });
});

describe("a lane that cannot be told of a new policy, and learns of it by asking (M7, M8)", () => {
  async function secondStreamReads(): Promise<boolean> {
    const sid = await stage.signedIn();
    const first = await stage.opened(sid, "wiki");
    const second = await stage.opened(sid, "crm");
    expect([first, second].every((one) => one !== undefined)).toBe(true);
    const lane = stage.deployment.lane("paris");
    const other = await stage.opened(sid, "crm");
    lane.cutOffUntil = stage.world.now + 10 * LEASE_HOLD_MS;
    const receipt = await stage.apply("wikiOnly", 40_000);
    expect(receipt?.receipt.complete).toBe(false);
    // One stream's byte makes the lane ask control and the session again: both leases are good again.
    await stage.written("crm");
    expect(await stage.reads(other)).toBe(false);
    return stage.reads(second);
  }

  it("passes no byte of any stream that the old version allowed, once the receipt is given", async () => {
    expect(await secondStreamReads()).toBe(false);
  });

  it("would pass it if a decision under an older version stood", async () => {
    const real = Reflect.get(Freshness.prototype, "passes") as Freshness["passes"];
    vi.spyOn(Freshness.prototype, "passes").mockImplementation(function (this: Freshness, stream, now) {
      const known = stage.deployment.lane("paris").storage.kv.get("policy") as { version: number } | undefined;
      return real.call(this, stream.ask.app === "crm" && known !== undefined ? { ...stream, policyVersion: known.version } : stream, now);
    });
    expect(await secondStreamReads()).toBe(true);
  });
});

describe("an app that answers after its session ended where the lane could not be told (M4)", () => {
  async function headComes(): Promise<boolean> {
    const sid = await stage.signedIn();
    const lane = stage.deployment.lane("berlin");
    const connector = stage.deployment.connectors.get(lane.name);
    if (connector === undefined) throw new Error("no connector");
    connector.answers = false;
    const { request } = openRequest(9_999, sid, "wiki");
    let head = false;
    await stage.world.turn(undefined, () => void stage.world.call(lane, "fetch", [request]).then((answer) => (head = !(answer as Response).headers.has(REFUSAL_HEADER)), () => undefined));
    await stage.settle();
    lane.cutOffUntil = stage.world.now + 100_000;
    const report = await stage.ask<{ unconfirmed: unknown[] }>(stage.deployment.session(sid), "end", ["revoked", RECEIPT], 40_000);
    expect(report?.unconfirmed).toHaveLength(1);
    await stage.world.turn(undefined, () => connector.answerAll());
    await stage.settle();
    return head;
  }

  it("has not even its head passed on after the receipt", async () => {
    expect(await headComes()).toBe(false);
  });

  it("would, if the head did not wait for a renewal", async () => {
    vi.spyOn(HttpRelay.prototype, "mayPass").mockResolvedValue(true);
    expect(await headComes()).toBe(true);
  });
});

describe("a push that was under way for a minute (M9)", () => {
  it("gives a lane no lease on what control replaced meanwhile", async () => {
    const sid = await stage.signedIn();
    const stream = await stage.opened(sid, "crm");
    const lane = stage.deployment.lane("paris");
    const both = { version: 1, digest: "d", document: DOCUMENTS.both };
    lane.cutOffUntil = stage.world.now + 60_000;
    await stage.apply("wikiOnly", 40_000);
    expect(stage.world.now - T0).toBeGreaterThan(25_000);
    lane.cutOffUntil = 0;
    await stage.ask(lane, "applyPolicy", [{ site: "paris", lane: 0 }, both]);
    await stage.written("crm");
    expect(await stage.reads(stream)).toBe(false);
  });
});

describe("a session whose socket is quiet for longer than a lease (M4)", () => {
  it("is counted in its receipt and cut, not left open until its next byte", async () => {
    const sid = await stage.signedIn();
    const stream = await stage.opened(sid, "wiki");
    expect(stream).toBeDefined();
    await stage.settle(70_000);
    const report = await stage.ask<{ found: number; closed: number; unconfirmed: unknown[] }>(stage.deployment.session(sid), "end", ["revoked", RECEIPT], 10_000);
    expect(report).toMatchObject({ found: 1, closed: 1, unconfirmed: [] });
  });
});
