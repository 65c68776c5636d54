/** Passkeys at the edge: who is let to the page, what the routes hand on, and which way a step-up takes (P3, P4, M19). */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionId } from "../../core/ids.ts";
import { at, MINUTE_MS } from "../../core/time.ts";
import type { SessionSnapshot } from "../../durable-objects/session/rpc.ts";
import type { PasskeyAsk, PasskeyShown } from "../../durable-objects/user/rpc.ts";
import { formatServiceToken, formatSessionToken } from "../../identity/session-token.ts";
import { toBase64Url } from "../../core/bytes.ts";
import { parseDocument } from "../../policy/parse-document.ts";
import { HELPS, WITH_SIGN_IN } from "../../policy/passkey.ts";
import { handle } from "../../worker/app.ts";
import { SESSION_COOKIE } from "../../worker/cookies.ts";
import type { Env } from "../../worker/env.ts";
import { FakeProvider, newSigner } from "../identity/fake-provider.ts";

const LAUNCHER = "https://access.example.com";
const parsed = parseDocument(`version: 1
domain: access.example.com
identity: { providers: [{ id: corp, issuer: "https://idp.example.com", client_id: postern, acr_values: ["two"] }] }
sites: [{ id: berlin }]
apps: [{ id: wiki, site: berlin, upstream: "http://10.0.0.5:8080" }]
policies: [{ id: staff, effect: allow, apps: [wiki], when: { provider: [corp], mfa: true, session_age: { max: 1h } } }]
`);
if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
const { document } = parsed.value;
const signer = await newSigner("k");

const SID = "a".repeat(64) as SessionId;
const COOKIE = `${SESSION_COOKIE}=${formatSessionToken({ sid: SID, secret: new Uint8Array(32).fill(7) })}`;
const SERVICE = `Bearer ${formatServiceToken({ id: toBase64Url(new Uint8Array(16)), secret: new Uint8Array(32) })}`;
const keyOf = (kind: PasskeyShown["kind"], id: string = kind): PasskeyShown => ({ id, kind, name: id, createdAt: 0, usedAt: 0 });

interface World {
  /** How long ago each was observed; absent: never. */
  readonly auth?: number;
  readonly mfa?: number;
  readonly mfaEnds?: number;
  /** Who says so; the provider if absent. */
  readonly mfaBy?: string;
  readonly keys?: readonly PasskeyShown[];
  readonly rule?: "after_mfa" | "off";
}

let asked: { readonly call: string; readonly with: readonly unknown[] }[] = [];
beforeEach(() => {
  asked = [];
  const provider = new FakeProvider(signer);
  vi.stubGlobal("fetch", provider.io.fetch);
});
afterEach(() => vi.unstubAllGlobals());

/** The Worker over a session and a user's object that are as `world` says. */
function edge(world: World): (path: string, init?: RequestInit) => Promise<Response> {
  const now = Date.now();
  const facts: Record<string, SessionSnapshot["facts"][string]> = {};
  if (world.auth !== undefined) facts["auth"] = { value: true, source: "corp", observedAt: at(now - world.auth) };
  if (world.mfa !== undefined) facts["mfa"] = { value: { methods: ["otp"] }, source: world.mfaBy ?? "corp", observedAt: at(now - world.mfa), ...(world.mfaEnds === undefined ? {} : { expiresAt: at(now + world.mfaEnds) }) };
  const session: SessionSnapshot = { v: 1, sid: SID, epoch: 1, subject: { kind: "user", id: "u_ann" }, display: { sub: "ann", email: "ann@example.com" }, facts, startedAt: now, lastActiveAt: now, endsAt: now + 60 * MINUTE_MS };
  const { keys = [] } = world;
  const user = new Proxy({}, {
    get: (_target, call) => (...args: readonly unknown[]) => {
      asked.push({ call: String(call), with: args });
      return Promise.resolve(call === "passkeys" ? keys : call === "askPasskey" ? { ok: true, challenge: "c", keys } : { ok: true });
    },
  });
  const stub = { verify: () => Promise.resolve(session) };
  const env = {
    CONTROL: { getByName: () => ({ policy: () => Promise.resolve({ document: world.rule === undefined ? document : { ...document, passkeys: world.rule }, version: 1 }), sealKey: () => Promise.resolve(new Uint8Array(32)) }) },
    SESSION: { get: () => stub, idFromString: (id: string) => id, idFromName: () => SID },
    USER: { getByName: (name: string) => (expect(name).toBe("u_ann"), user) },
  } as unknown as Env;
  return (path, init = {}) => handle(new Request(LAUNCHER + path, { ...init, headers: { cookie: COOKIE, accept: "text/html", ...(init.headers as Record<string, string>) } }), env, () => undefined);
}
const post = (world: World, body: string | Uint8Array<ArrayBuffer> | URLSearchParams, path = "/.postern/passkeys"): Promise<Response> => edge(world)(path, { method: "POST", body, headers: { origin: LAUNCHER, accept: "application/json" } });

const OLD = 6 * MINUTE_MS;
const FRESH = MINUTE_MS;
const TO = encodeURIComponent(`${LAUNCHER}/.postern/passkeys`);
const SIGN_IN = `${LAUNCHER}/.postern/login?to=${TO}&max_age=300`;
const CONFIRM = `${SIGN_IN}&mfa=1&passkey=3`;

describe("the page of one's passkeys", () => {
  it.each<[string, World, string | undefined]>([
    ["none yet, signed in just now", { auth: FRESH }, undefined],
    ["none yet, a second factor just now", { auth: OLD, mfa: FRESH }, undefined],
    ["none yet, signed in a while ago: a stolen cookie adds none", { auth: OLD, mfa: OLD }, SIGN_IN],
    ["none yet, nothing known", {}, SIGN_IN],
    ["one, a second factor just now", { mfa: FRESH, keys: [keyOf("hwk")] }, undefined],
    ["one, signed in just now: a password alone adds none", { auth: FRESH, keys: [keyOf("hwk")] }, CONFIRM],
    ["one, a second factor a while ago", { auth: FRESH, mfa: OLD, keys: [keyOf("hwk")] }, CONFIRM],
    ["after_mfa: none yet, the provider's second factor just now", { mfa: FRESH, rule: "after_mfa" }, undefined],
    ["after_mfa: none yet, signed in just now: a password alone adds none", { auth: FRESH, rule: "after_mfa" }, `${SIGN_IN}&mfa=1`],
    ["after_mfa: none yet, a second factor a while ago", { auth: FRESH, mfa: OLD, rule: "after_mfa" }, `${SIGN_IN}&mfa=1`],
    ["after_mfa: none any more, and the second factor was one of them", { auth: FRESH, mfa: FRESH, mfaBy: "postern", rule: "after_mfa" }, `${SIGN_IN}&mfa=1`],
    ["after_mfa: one, used just now", { mfa: FRESH, mfaBy: "postern", keys: [keyOf("hwk")], rule: "after_mfa" }, undefined],
    ["one, a second factor that counts no longer", { mfa: FRESH, mfaEnds: -1, keys: [keyOf("hwk")] }, CONFIRM],
  ])("%s", async (_name, world, next) => {
    const answer = await edge(world)("/.postern/passkeys");
    expect([answer.status, answer.headers.get("location")]).toEqual(next === undefined ? [200, null] : [302, next]);
    if (next === undefined) expect(answer.headers.get("content-security-policy")).toContain("script-src 'self'; connect-src 'self';");
  });

  it("is for nobody who is not signed in, and for no program", async () => {
    expect((await edge({})("/.postern/passkeys", { headers: { cookie: "" } })).headers.get("location")).toBe(`${LAUNCHER}/.postern/login?to=${TO}`);
    expect((await edge({})("/.postern/passkeys", { headers: { authorization: SERVICE } })).headers.get("location")).toBe(`${LAUNCHER}/.postern/login?to=${TO}`);
    expect(asked).toEqual([]);
  });
});

describe("a ceremony", () => {
  it.each<[string, string | Uint8Array<ArrayBuffer>]>([
    ["no JSON", "x=1"], ["a list", "[]"], ["null", "null"], ["no act", "{}"], ["another act", '{"act":"remove"}'], ["an act that is no text", '{"act":{"use":1}}'], ["bytes that are no text", Uint8Array.of(0xff, 0xfe)],
    ["more than a browser ever answers", JSON.stringify({ act: "use", answer: "x".repeat(16 * 1024) })],
  ])("of %s is refused, and its object hears nothing of it", async (_name, body) => {
    const answer = await post({ mfa: FRESH }, body);
    expect([answer.status, ((await answer.json()) as { error: { code: string } }).error.code]).toEqual([400, "bad_argument"]);
    expect(asked).toEqual([]);
  });

  it("gets a challenge, the keys that help, and an id of the person that names nobody", async () => {
    const keys = [keyOf("hwk"), keyOf("swk")];
    const given = async (body: object): Promise<{ keys: string[]; user: { id: string } }> => (await post({ mfa: FRESH, keys }, JSON.stringify(body))).json() as Promise<{ keys: string[]; user: { id: string } }>;
    expect(await given({ act: "use", helps: HELPS.hwk })).toEqual({ challenge: "c", rpId: "access.example.com", keys: ["hwk"], user: { id: toBase64Url(new TextEncoder().encode("u_ann")), name: "ann@example.com", displayName: "" } });
    expect((await given({ act: "use", helps: HELPS.swk | WITH_SIGN_IN })).keys).toEqual(["swk"]);
    for (const helps of [undefined, null, "x", {}, -8, 8]) expect((await given({ act: "use", helps })).keys, JSON.stringify(helps)).toEqual([]);
    // Of a new one all are named: none is made twice.
    expect((await given({ act: "add" })).keys).toEqual(["hwk", "swk"]);
  });

  it.each<[World, PasskeyAsk["proved"]]>([
    [{ auth: FRESH, mfa: FRESH }, "mfa"], [{ auth: FRESH, mfa: OLD }, "auth"], [{ auth: OLD, mfa: OLD }, "nothing"], [{}, "nothing"],
    [{ auth: FRESH, mfa: FRESH, rule: "after_mfa" }, "mfa"], [{ auth: FRESH, rule: "after_mfa" }, "nothing"],
    [{ auth: FRESH, mfa: FRESH, mfaBy: "postern", rule: "after_mfa" }, "passkey"], [{ mfa: FRESH, mfaBy: "postern" }, "mfa"],
  ])("tells the person's object what the session proved lately, and may prove it by: %j → %s", async (world, proved) => {
    await post(world, JSON.stringify({ act: "add", answer: { id: "x" }, name: "n".repeat(100) }));
    expect(asked).toEqual([{ call: "answerPasskey", with: [
      { request: expect.stringMatching(/^r_/) as string, owner: "u_ann", sid: SID, act: "add", proved },
      { name: "n".repeat(64), place: { origin: LAUNCHER, rpId: "access.example.com" }, answer: { id: "x" } },
    ] }]);
  });

  it("removes by a form, and goes back to the page", async () => {
    const answer = await post({ mfa: FRESH }, new URLSearchParams({ id: "k" }), "/.postern/passkeys/remove");
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `${LAUNCHER}/.postern/passkeys`]);
    expect(asked).toMatchObject([{ call: "removePasskey", with: [{ act: "remove", proved: "mfa" }, "k"] }]);
  });
});

describe("where the document bars passkeys", () => {
  const world: World = { auth: FRESH, mfa: FRESH, keys: [keyOf("hwk")], rule: "off" };

  it("there is no page of them, none is added, used or removed, and no object hears of it", async () => {
    expect((await edge(world)("/.postern/passkeys")).status).toBe(404);
    const answers = [
      ...await Promise.all([{ act: "add" }, { act: "use", helps: 3 }, { act: "use", answer: { id: "x" } }].map((body) => post(world, JSON.stringify(body)))),
      await post(world, new URLSearchParams({ id: "hwk" }), "/.postern/passkeys/remove"),
    ];
    for (const answer of answers) expect([answer.status, ((await answer.json()) as { error: { code: string } }).error.code]).toEqual([403, "passkey_refused"]);
    expect(asked).toEqual([]);
  });

  it("a step-up that an address of before wants by one goes to the provider", async () => {
    const answer = await edge(world)(`/.postern/login?to=${encodeURIComponent("https://wiki.access.example.com/")}&n=nonce&mfa=1&passkey=3`);
    expect(await answer.text()).not.toContain("data-passkey");
    expect(asked).toEqual([]);
  });

  it("the launcher has no link to them", async () => {
    expect(await (await edge(world)("/")).text()).not.toContain("/.postern/passkeys");
    expect(await (await edge({ auth: FRESH })("/")).text()).toContain("/.postern/passkeys");
  });
});

describe("a step-up", () => {
  const to = encodeURIComponent("https://wiki.access.example.com/x?y=1");
  const stepUp = (world: World, more: string): Promise<Response> => edge(world)(`/.postern/login?to=${to}&n=nonce&max_age=3600${more}`);
  const provider = async (answer: Response): Promise<URLSearchParams> => {
    const html = await answer.text();
    const address = /href="(https:\/\/idp\.example\.com[^"]*)"/.exec(html)?.[1] ?? "";
    return new URL(address.replaceAll("&amp;", "&")).searchParams;
  };

  it("by a passkey that helps is asked for, with the provider as the other way", async () => {
    const answer = await stepUp({ keys: [keyOf("swk")] }, "&mfa=1&passkey=3");
    const html = (await answer.text()).replaceAll("&amp;", "&");
    expect(answer.status).toBe(200);
    expect(html).toContain(`data-passkey="use" data-helps="3" data-next="/.postern/login?to=${to}&n=nonce"`);
    expect(html).toContain(`href="/.postern/login?to=${to}&n=nonce&max_age=3600&mfa=1"`);
  });

  it.each<[string, World, string]>([
    ["somebody has none", {}, "&mfa=1&passkey=3"],
    ["none that somebody has would open it", { keys: [keyOf("swk")] }, `&mfa=1&passkey=${HELPS.hwk}`],
    ["no passkey would", { keys: [keyOf("hwk")] }, "&mfa=1"],
    ["the address says what is no number", { keys: [keyOf("hwk")] }, "&mfa=1&passkey=x"],
  ])("goes to the provider, for a second factor, when %s", async (_name, world, more) => {
    const query = await provider(await stepUp(world, more));
    expect([query.get("max_age"), query.get("prompt"), query.get("acr_values")]).toEqual(["3600", "login", "two"]);
  });

  it("that needs both goes to the provider first, and for no second factor, if the passkey is there", async () => {
    const bits = HELPS.hwk | WITH_SIGN_IN;
    expect((await provider(await stepUp({ keys: [keyOf("hwk")] }, `&mfa=1&passkey=${bits}`))).get("acr_values")).toBeNull();
    expect((await provider(await stepUp({ keys: [keyOf("swk")] }, `&mfa=1&passkey=${bits}`))).get("acr_values")).toBe("two");
  });
});
