/**
 * One play: people sign in, open streams and read, operators revoke and apply, objects are
 * replaced, in an order that the seed chooses; and what a receipt promises, watched at the
 * reader's end (CONTRACT "The receipt"). Answers the first broken promise, in words.
 */
import type { Receipt } from "../../../durable-objects/control/rpc.ts";
import { OPEN_HEADER, type OpenContext, REFUSAL_HEADER } from "../../../durable-objects/tunnel/rpc.ts";
import type { PolicyDocument } from "../../../policy/document.ts";
import { parseDocument } from "../../../policy/parse-document.ts";
import { seeded } from "../../seeded.ts";
import { credential, HOUR, signIn as signInOf, T0 } from "../samples.ts";
import { Deployment, inWorld } from "./objects.ts";
import { type Faults, type Instance, type Place, World } from "./world.ts";

const PEOPLE = [`u_${"A".repeat(43)}`, `u_${"B".repeat(43)}`];
export const SITE_OF: Readonly<Record<string, string>> = { wiki: "berlin", crm: "paris" };

function document(withCrm: boolean): PolicyDocument {
  const parsed = parseDocument(`version: 1
domain: access.example.com
identity: { providers: [{ id: corp, issuer: "https://login.example.com", client_id: postern }] }
sites: [{ id: berlin }, { id: paris }]
apps:
  - { id: wiki, site: berlin, upstream: "http://10.0.0.5:8080" }
  - { id: crm, site: paris, upstream: "http://10.0.0.6:8080" }
policies: [{ id: all, effect: allow, apps: [wiki${withCrm ? ", crm" : ""}], when: { provider: [corp] } }]
`);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value.document;
}
export const DOCUMENTS = { both: document(true), wikiOnly: document(false) };

/** What the edge hands a lane with a request: the n-th one, of this session, for this app. */
export function openRequest(n: number, sid: string, app: string): { id: string; request: Request } {
  const id = `r_${String(n).padStart(22, "0")}`;
  const open: OpenContext = {
    v: 1,
    request: id as never,
    site: SITE_OF[app] as never,
    lane: 0,
    sid: sid as never,
    ask: { app: app as never, protocol: "http", method: "GET", path: "/" },
    stamp: { epoch: 1, policyVersion: 1 },
    connection: {},
    issuer: "https://access.example.com",
    method: "GET",
    target: "/",
    headers: [],
    publicOrigin: `https://${app}.access.example.com`,
    body: "none",
  };
  return { id, request: new Request("https://lane.internal/", { headers: { [OPEN_HEADER]: JSON.stringify(open) } }) };
}

/** A person's sign-in as the edge sends it; `attemptStartedAt` by the edge's own clock. */
export function signInRequest(user: string, now: number, attemptStartedAt: number): ReturnType<typeof signInOf> {
  return signInOf({
    owner: user,
    subject: { kind: "user", id: user },
    facts: { provider: { value: "corp", source: "corp", observedAt: T0 as never } },
    attemptStartedAt,
    endsAt: now + 8 * HOUR,
    credential: credential({ expiresAt: now + 8 * HOUR }),
  });
}

interface Attempt {
  readonly user: string;
  readonly startedAt: number;
  sid?: string;
}
interface Stream {
  readonly id: string;
  readonly sid: string;
  readonly app: string;
  readonly instance: Instance;
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  reading: boolean;
  over: boolean;
}
type Answer<T> = { value?: T; failed?: true };

export interface Played {
  readonly broken: string | undefined;
  readonly receipts: number;
  readonly opened: number;
  readonly bytes: number;
  readonly refused: number;
}

class Play {
  readonly #world: World;
  readonly #deployment: Deployment;
  readonly #lossless: boolean;
  readonly #attempts: Attempt[] = [];
  readonly #streams: Stream[] = [];
  /** Sessions for which a receipt was given. */
  readonly #over = new Set<string>();
  /** Since when an acknowledged version denies crm; undefined while it may pass. */
  #crmDenied = false;
  #applying = false;
  #requests = 0;
  #receipts = 0;
  #bytes = 0;
  #refused = 0;
  broken: string | undefined;

  constructor(world: World, faults: Faults) {
    this.#world = world;
    this.#lossless = faults.loss === 0;
    this.#deployment = new Deployment(world);
    for (const site of new Set(Object.values(SITE_OF))) this.#deployment.connect(site);
  }

  async run(steps: number): Promise<Played> {
    const world = this.#world;
    world.calm = true;
    this.#apply("both");
    await this.#settle();
    world.calm = false;
    const acts = this.#tempered();
    for (let step = 0; step < steps && this.broken === undefined; step++) {
      const dice = world.below(100);
      if (dice < 30) await world.turn(undefined, () => this.#world.pick(acts)?.());
      else if (dice < 88 || world.quiet) await (world.quiet ? world.pass(world.pick([1, 40, 700, 3_000]) ?? 1) : world.deliver());
      else await world.pass(world.pick([1, 40, 700, 2_000, 4_000, 26_000]) ?? 1);
    }
    world.calm = true;
    await this.#settle();
    await this.#lastLook();
    return { broken: this.broken, receipts: this.#receipts, opened: this.#streams.length, bytes: this.#bytes, refused: this.#refused };
  }

  /** Each play has a temper of its own: how often which thing happens in it. */
  #tempered(): (() => void)[] {
    const { below } = this.#world;
    const acts: (() => void)[] = [];
    const often = (times: number, act: () => void): void => void acts.push(...Array.from({ length: times }, () => act));
    often(6, () => this.#signIn());
    often(30, () => this.#open());
    often(16, () => this.#appWrites());
    often(30, () => this.#read(this.#world.pick(this.#streams.filter((one) => !one.over))));
    often(3 * below(3), () => this.#revokeSession());
    often(2 * below(2), () => this.#revokeUser());
    often(1 + 2 * below(3), () => this.#apply(below(2) === 0 ? "wikiOnly" : "both"));
    often(3 * below(3), () => this.#replace());
    often(this.#lossless ? 0 : 2 * below(3), () => this.#cutOff());
    return acts;
  }

  /** Asks an object from outside; the answer is a message like any other. */
  #ask<T>(place: Place, method: string, args: readonly unknown[], then: (answer: Answer<T>) => void): void {
    this.#world.call(place, method, args).then(
      (value) => then({ value: value as T }),
      () => then({ failed: true }),
    );
  }

  #signIn(): void {
    const user = this.#world.pick(PEOPLE) ?? "";
    const attempt: Attempt = { user, startedAt: this.#world.now };
    this.#attempts.push(attempt);
    // An edge's clock may be behind an object's by more than the objects' own skew, ahead of it by no more: ATTEMPT_SKEW_MS guards for that much.
    const request = signInRequest(user, attempt.startedAt, attempt.startedAt - this.#world.below(2_001));
    this.#ask<{ ok: true; sid: string } | { ok: false }>(this.#deployment.user(user), "signIn", [request], ({ value }) => {
      if (value?.ok === true) attempt.sid = value.sid;
    });
  }

  #open(): void {
    const mayBeOver = this.#world.chance(0.15);
    const sid = this.#world.pick(this.#attempts.filter((one) => one.sid !== undefined && (mayBeOver || !this.#over.has(one.sid))))?.sid;
    const app = this.#world.pick(Object.keys(SITE_OF));
    if (sid === undefined || app === undefined) return;
    const { id, request } = openRequest(++this.#requests, sid, app);
    const lane = this.#deployment.lane(SITE_OF[app] ?? "");
    const handedOver = (value: unknown, instance: Instance): void => {
      if (!(value instanceof Response) || instance.dead) return;
      if (value.headers.has(REFUSAL_HEADER) || value.body === null) return void this.#refused++;
      this.#passed(id, sid, app, "a head");
      this.#streams.push({ id, sid, app, instance, reader: value.body.getReader(), reading: false, over: false });
    };
    this.#world.call(lane, "fetch", [request], handedOver).catch(() => undefined);
  }

  /** An app writes on one of the streams that reached it. */
  #appWrites(): void {
    const connector = this.#world.pick([...this.#deployment.connectors.values()]);
    for (const number of connector?.streams.keys() ?? []) if (this.#world.chance(0.7)) connector?.write(number, "some bytes");
  }

  #read(stream: Stream | undefined): void {
    if (stream === undefined || stream.reading || stream.over || stream.instance.dead) return;
    stream.reading = true;
    this.#world.current = stream.instance;
    stream.reader.read().then(
      ({ done, value }) => {
        stream.reading = false;
        stream.over = done;
        if (value !== undefined && !stream.instance.dead) this.#passed(stream.id, stream.sid, stream.app, "a byte");
      },
      () => {
        stream.over = true;
      },
    );
  }

  #passed(id: string, sid: string, app: string, what: string): void {
    this.#bytes++;
    if (this.#over.has(sid)) this.#break(`${what} of stream ${id} passed after the receipt of its session ${sid.slice(-4)}`);
    if (app === "crm" && this.#crmDenied) this.#break(`${what} of stream ${id} passed after the receipt of a policy that denies ${app}`);
  }

  /** Mostly a session that has a stream: one without cannot break a promise. */
  #revokeSession(): void {
    const streaming = this.#streams.filter((one) => !one.over && !this.#over.has(one.sid));
    const sid = this.#world.pick(streaming)?.sid ?? this.#world.pick(this.#attempts.filter((one) => one.sid !== undefined))?.sid;
    if (sid !== undefined) this.#revoke("session", sid, () => [sid]);
  }

  #revokeUser(): void {
    const user = this.#world.pick(PEOPLE) ?? "";
    const before = this.#attempts.filter((one) => one.user === user);
    this.#revoke("user", user, () => before.map((one) => one.sid).filter((sid) => sid !== undefined), before);
  }

  #revoke(kind: string, id: string, sessions: () => string[], attempts: readonly Attempt[] = []): void {
    this.#ask<{ ok: boolean; receipt: Receipt }>(this.#deployment.control, "revoke", [{ kind, id, by: "internal" }], ({ value }) => {
      if (value?.ok !== true) return;
      this.#receipts++;
      for (const sid of sessions()) {
        this.#over.add(sid);
        if (this.#lossless && value.receipt.complete) this.#noneLives(sid);
      }
      // An attempt of before the revocation whose answer is still on its way: its session is worth nothing.
      for (const one of attempts) this.#lateSessions.push(one);
    });
  }

  readonly #lateSessions: Attempt[] = [];

  /** "Counted in it or refused": once a receipt is complete, no lane holds a live stream of the session. */
  #noneLives(sid: string): void {
    for (const site of Object.values(SITE_OF)) {
      const lane = this.#deployment.lane(site).instance?.object as { streams(sid: string): Promise<{ streams: readonly unknown[] }> } | undefined;
      void lane?.streams(sid).then(({ streams }) => {
        if (streams.length > 0) this.#break(`${streams.length} streams of session ${sid.slice(-4)} outlived their receipt on ${site}`);
      });
    }
  }

  #apply(which: keyof typeof DOCUMENTS): void {
    if (this.#applying) return;
    this.#applying = true;
    this.#crmDenied = false;
    const request = { document: DOCUMENTS[which], text: which, by: "internal", namesOperator: true };
    this.#ask<{ ok: boolean }>(this.#deployment.control, "apply", [request], ({ value }) => {
      this.#applying = false;
      if (value?.ok !== true) return;
      this.#receipts++;
      this.#crmDenied = which === "wikiOnly";
    });
  }

  #replace(): void {
    const place = this.#world.pick([...this.#world.places.values()].filter((one) => /^(?:Control|Session|Tunnel)/.test(one.name)));
    if (place === undefined) return;
    const lingers = place.name.startsWith("Tunnel") && this.#world.chance(0.7);
    this.#world.replace(place, lingers);
    // What an older instance still holds is what a change of trust must not forget.
    if (lingers && this.#world.chance(0.5)) this.#revokeSession();
  }

  /** A lane that nobody reaches for longer than a lease, and that still reaches everybody. */
  #cutOff(): void {
    const place = this.#world.pick(Object.values(SITE_OF).map((site) => this.#deployment.lane(site)));
    if (place === undefined) return;
    place.cutOffUntil = this.#world.now + 40_000;
    if (this.#world.chance(0.5)) this.#apply("wikiOnly");
    else this.#revokeSession();
  }

  /** Lets everything that is under way come to its end, slowly enough for leases to run out. */
  async #settle(): Promise<void> {
    for (let round = 0; round < 70 && this.broken === undefined; round++) {
      while (!this.#world.quiet) await this.#world.deliver();
      await this.#world.pass(1_000);
    }
  }

  /** Every stream is offered one more byte, every session that is over is shown its credential. */
  async #lastLook(): Promise<void> {
    for (const attempt of this.#lateSessions) if (attempt.sid !== undefined) this.#over.add(attempt.sid);
    for (const connector of this.#deployment.connectors.values()) {
      for (const number of connector.streams.keys()) await this.#world.turn(undefined, () => connector.write(number, "one more"));
    }
    for (const stream of this.#streams) await this.#world.turn(stream.instance, () => this.#read(stream));
    for (const sid of this.#over) {
      await this.#world.turn(undefined, () =>
        this.#ask(this.#deployment.session(sid), "verify", [credential().audience, credential().hash], ({ value }) => {
          if (value !== undefined) this.#break(`session ${sid.slice(-4)} opens with its credential after its receipt`);
        }),
      );
    }
    await this.#settle();
  }

  #break(what: string): void {
    this.broken ??= what;
  }
}

/** Plays one seed to its end. */
export async function play(seed: number, steps: number, faults: Faults): Promise<Played> {
  const world = new World(seeded(seed), faults);
  const backToReality = inWorld(world);
  try {
    return await new Play(world, faults).run(steps);
  } finally {
    world.close();
    backToReality();
  }
}
