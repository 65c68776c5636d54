/**
 * Every kind of credential that Postern hands out or accepts: how one is come by, how it is
 * carried, and its own place. Data for the matrix; what is expected of them is expected-cells.ts.
 */
import { createHash } from "node:crypto";
import { canonical } from "../../canonical.ts";
import { at } from "../../../core/time.ts";
import { ADMISSION_TYPE, verifyAdmission } from "../../../identity/admission.ts";
import { verifyAssertion } from "../../../identity/assertion.ts";
import { LANE_TYPE, verifyLaneWelcome } from "../../../identity/connector-proof.ts";
import type { PublicKeySet } from "../../../identity/keys.ts";
import { valuesAt } from "../corpus/recording-origin.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import type { Ground } from "./matrix-ground.ts";
import { beginSignIn, cookieIn, SESSION_COOKIE, type SignedIn, signInAs } from "./people-edge.ts";
import { type Answered, ask, type HeaderLines } from "./plain-request.ts";

/** One credential in the test's hand. */
export interface Held {
  readonly value: string;
  /** Puts a value (this one, or a broken one) where this kind travels in headers. */
  readonly carry: (value: string) => HeaderLines;
  /** Presents a value at the kind's own place; `mark` tells the request apart at the app. `now`: for what is verified here. */
  readonly present: (value: string, mark: string, now?: number) => Promise<Answered>;
  /** The same, given twice in the one request; absent: its header lines are repeated. */
  readonly presentTwice?: () => Promise<Answered>;
  /** Its session; absent for a service's, which only the list of sessions tells. */
  readonly sid?: string;
  readonly email?: string;
  readonly service?: string;
  /** Milliseconds since 1970. */
  readonly expiresAt?: number;
  readonly person?: SignedIn;
}

export interface Wish {
  /** The person to sign in; absent: a new one. */
  readonly user?: string;
  /** For what can be made to end soon. */
  readonly lifeSeconds?: number;
}

export interface Kind {
  readonly mint: (ground: Ground, wish?: Wish) => Promise<Held>;
  /** Where a browser, an app or an operator would present it. */
  readonly place: "launcher" | "alpha" | "admin" | "elsewhere";
}

const bearer = (value: string): HeaderLines => [["Authorization", `Bearer ${value}`]];
const basic = (value: string): HeaderLines => [["Authorization", `Basic ${Buffer.from(`anybody:${value}`).toString("base64")}`]];
const cookie = (name: string) => (value: string): HeaderLines => [["Cookie", `${name}=${value}`]];
const refused = (code: string): Answered => ({ status: 401, code, headers: {}, text: "" });
const ACCEPTED: Answered = { status: 200, code: "", headers: {}, text: "" };

const atAlpha = (ground: Ground, carry: Held["carry"]): Held["present"] => (value, mark) => ask({ url: ground.at("alpha", `/${mark}`), headers: carry(value) });
const atAdmin = (ground: Ground, carry: Held["carry"]): Held["present"] => (value) => ask({ url: `${ground.launcher}/.postern/api/v1/policy`, headers: carry(value) });

const formPost = (url: string, fields: Readonly<Record<string, string>> | string, headers: HeaderLines = []): Promise<Answered> =>
  ask({ url, method: "POST", headers: [["Content-Type", "application/x-www-form-urlencoded"], ...headers], body: typeof fields === "string" ? fields : new URLSearchParams(fields).toString() });

const emailOf = (user: string): string => `${user}@example.com`;

const launcherCookie: Kind = {
  place: "launcher",
  mint: async (ground, wish = {}) => {
    const user = wish.user ?? ground.freshPerson();
    const person = await signInAs(ground, user);
    const carry = cookie(SESSION_COOKIE);
    return { value: person.cookie(ground.launcher), sid: person.sid, email: emailOf(user), person, carry, present: (value) => ask({ url: `${ground.launcher}/`, headers: carry(value) }) };
  },
};

const appCookie: Kind = {
  place: "alpha",
  mint: async (ground, wish = {}) => {
    const user = wish.user ?? ground.freshPerson();
    const person = await signInAs(ground, user, ground.at("alpha"));
    const carry = cookie(SESSION_COOKIE);
    return { value: person.cookie(ground.at("alpha")), sid: person.sid, email: emailOf(user), person, carry, present: atAlpha(ground, carry) };
  },
};

interface MadeService {
  readonly id: string;
  readonly token: string;
  readonly expires_at: string;
}

const serviceToken = (carryAs: (name: string, id: string) => Held["carry"]): Kind => ({
  place: "alpha",
  mint: async (ground, wish = {}) => {
    const service = ground.freshService();
    const answer = await ground.ops.call("POST", "/services", JSON.stringify({ name: service, expires: wish.lifeSeconds === undefined ? "1d" : `${wish.lifeSeconds}s` }));
    const made = JSON.parse(answer.text) as MadeService;
    const carry = carryAs(service, made.id);
    return { value: made.token, service, expiresAt: Date.parse(made.expires_at), carry, present: atAlpha(ground, carry) };
  },
});

const pair = (id: string) => (value: string): HeaderLines => [["Postern-Client-Id", id], ["Postern-Client-Secret", value]];

/** Trades an ID token for a bearer of one app (RFC 8693). */
export const exchange = (ground: Ground, idToken: string, audience = "alpha", more: Readonly<Record<string, string>> = {}): Promise<Answered> =>
  formPost(`${ground.launcher}/.postern/token`, {
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
    subject_token: idToken,
    audience,
    ...more,
  });

async function appBearer(ground: Ground, idToken: string, email: string, expiresAt: number): Promise<Held> {
  const answer = await exchange(ground, idToken);
  const { access_token: value } = JSON.parse(answer.text) as { access_token?: string };
  if (value === undefined) throw new Error(`no bearer: ${answer.status} ${answer.text}`);
  return { value, sid: value.slice(4, 68), email, expiresAt, carry: bearer, present: atAlpha(ground, bearer) };
}

const appBearerOwn: Kind = {
  place: "alpha",
  mint: async (ground, wish = {}) => {
    const user = wish.user ?? ground.freshPerson();
    const claims = ground.issuer.claimsOf(user, "robots");
    const exp = wish.lifeSeconds === undefined ? Number(claims["exp"]) : Math.floor(Date.now() / 1000) + wish.lifeSeconds;
    return appBearer(ground, await ground.issuer.sign({ ...claims, exp }), emailOf(user), exp * 1000);
  },
};

const appBearerDemo: Kind = {
  place: "alpha",
  mint: async (ground, wish = {}) => {
    const user = wish.user ?? "alice";
    const email = user === "bob" ? "bob@partner.example.com" : emailOf(user);
    return appBearer(ground, await ground.demoIdToken(user), email, Date.now() + 3_600_000);
  },
};

/** A program's request to be let in, approved by somebody in the browser (RFC 8628). */
async function approvedDevice(ground: Ground, person: SignedIn): Promise<string> {
  const begun = JSON.parse((await formPost(`${ground.launcher}/.postern/device/begin`, { client_id: "matrix" })).text) as { device_code: string; user_code: string };
  const headers: HeaderLines = [["Cookie", person.browser.cookieHeader(ground.launcher)], ["Origin", ground.launcher]];
  const done = await formPost(`${ground.launcher}/.postern/device`, { user_code: begun.user_code, decision: "approve" }, headers);
  if (done.status !== 200) throw new Error(`the device was not approved: ${done.status} ${done.code}`);
  return begun.device_code;
}

const redeemDevice = (ground: Ground, code: string): Promise<Answered> =>
  formPost(`${ground.launcher}/.postern/token`, `grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=${code}`);

async function admin(ground: Ground, wish: Wish): Promise<SignedIn> {
  const user = wish.user ?? ground.freshPerson();
  ground.issuer.people.set(user, { groups: ["admins"] });
  return signInAs(ground, user);
}

const deviceCode: Kind = {
  place: "elsewhere",
  mint: async (ground, wish = {}) => {
    const person = await admin(ground, wish);
    const value = await approvedDevice(ground, person);
    return { value, sid: person.sid, email: emailOf(person.user), person, carry: bearer, present: (code) => redeemDevice(ground, code), presentTwice: () => redeemDevice(ground, `${value}&device_code=${value}`) };
  },
};

const operatorToken: Kind = {
  place: "admin",
  mint: async (ground, wish = {}) => {
    const person = await admin(ground, wish);
    return { ...(await operatorTokenOf(ground, person)), email: emailOf(person.user) };
  },
};

/** The operator token that a person's approval gives. */
export async function operatorTokenOf(ground: Ground, person: SignedIn): Promise<Held> {
  const answer = await redeemDevice(ground, await approvedDevice(ground, person));
  const { access_token: value } = JSON.parse(answer.text) as { access_token?: string };
  if (value === undefined) throw new Error(`no operator token: ${answer.status} ${answer.text}`);
  return { value, sid: person.sid, person, carry: bearer, present: atAdmin(ground, bearer) };
}

const setupToken: Kind = {
  place: "admin",
  mint: async (ground) => ({ value: ground.setupToken, service: "postern:setup", carry: bearer, present: atAdmin(ground, bearer) }),
};

const setupKey: Kind = {
  place: "elsewhere",
  mint: async (ground) => {
    const setUp = (headers: HeaderLines): Promise<Answered> =>
      ask({ url: `${ground.launcher}/.postern/api/v1/setup`, method: "POST", headers: [...headers, ["Content-Type", "application/json"]], body: canonical(ground.document) });
    const value = ground.setupKey;
    return { value, carry: bearer, present: (key) => setUp(bearer(key)), presentTwice: () => setUp([...bearer(value), ...bearer(value)]) };
  },
};

const enrolToken: Kind = {
  place: "elsewhere",
  mint: async (ground) => ({ value: await ground.enrollToken(), carry: bearer, present: (value) => ground.enroll(value) }),
};

const NONCE_COOKIE = "__Host-postern-nonce";

const handOffCode: Kind = {
  place: "elsewhere",
  mint: async (ground, wish = {}) => {
    const user = wish.user ?? ground.freshPerson();
    const browser = new FormBrowser();
    const person = await signInAs(ground, user, `${ground.launcher}/`, browser);
    const url = ground.at("alpha");
    const arrival = await browser.follow(await browser.get(url), url, ground.at("alpha", "/.postern/continue"));
    const mintedAt = Date.now();
    const nonce = cookieIn(browser, url, NONCE_COOKIE) ?? "";
    const present: Held["present"] = (value) => ask({ url: ground.at("alpha", `/.postern/continue?code=${value}&to=%2F`), headers: [["Cookie", `${NONCE_COOKIE}=${nonce}`]] });
    const value = arrival.stopped?.searchParams.get("code") ?? "";
    return { value, sid: person.sid, email: emailOf(user), person, expiresAt: mintedAt + 30_000, carry: bearer, present, presentTwice: () => present(`${value}&code=${value}`, "") };
  },
};

const loginStateCookie: Kind = {
  place: "elsewhere",
  mint: async (ground, wish = {}) => {
    const user = wish.user ?? ground.freshPerson();
    const browser = new FormBrowser();
    const authorize = await beginSignIn(ground, browser, `${ground.launcher}/`);
    authorize.searchParams.set("as", user);
    const back = await browser.follow(await browser.get(authorize.href), authorize.href, `${ground.launcher}/.postern/callback`);
    const name = /__Host-postern-login-[^=]+/.exec(browser.cookieHeader(ground.launcher))?.[0] ?? "";
    const callback = back.stopped?.href ?? "";
    const present: Held["present"] = (value) => ask({ url: callback, headers: [["Cookie", `${name}=${value}`]] });
    const value = cookieIn(browser, ground.launcher, name) ?? "";
    return { value, email: emailOf(user), carry: cookie(name), present, presentTwice: () => present(`${value}; ${name}=${value}`, "") };
  },
};

async function ourKeys(ground: Ground): Promise<PublicKeySet> {
  return JSON.parse((await ask({ url: `${ground.launcher}/.postern/jwks.json` })).text) as PublicKeySet;
}

const claimsOf = (jws: string): Readonly<Record<string, unknown>> => JSON.parse(Buffer.from(jws.split(".")[1] ?? "", "base64url").toString()) as Readonly<Record<string, unknown>>;

/** Something that has gone through the tunnel lately. */
async function touchAlpha(ground: Ground): Promise<string> {
  const held = await serviceToken(() => bearer).mint(ground);
  const mark = `touch-${createHash("sha256").update(held.value).digest("hex").slice(0, 12)}`;
  await held.present(held.value, mark);
  return mark;
}

const assertion: Kind = {
  place: "elsewhere",
  mint: async (ground) => {
    const mark = await touchAlpha(ground);
    const hit = ground.origin.hits.find(({ target }) => target.includes(mark));
    const value = valuesAt(hit, "x-postern-assertion")[0] ?? "";
    const keys = await ourKeys(ground);
    return {
      value,
      expiresAt: Number(claimsOf(value)["exp"]) * 1000,
      carry: bearer,
      present: async (jws, _mark, now = Date.now()) => {
        const verified = await verifyAssertion(jws, keys, { issuer: ground.launcher, app: "alpha" }, at(now));
        return verified.ok ? ACCEPTED : refused(verified.error);
      },
    };
  },
};

const admission: Kind = {
  place: "elsewhere",
  mint: async (ground) => {
    await touchAlpha(ground);
    const value = ground.tap.newest(ADMISSION_TYPE) ?? "";
    const keys = await ourKeys(ground);
    return {
      value,
      expiresAt: Number(claimsOf(value)["exp"]) * 1000,
      carry: bearer,
      present: async (jws, _mark, now = Date.now()) => {
        const verified = await verifyAdmission(jws, keys, { connectorThumbprint: ground.connector.thumbprint, site: "office" as never }, at(now));
        return verified.ok ? ACCEPTED : refused(verified.error);
      },
    };
  },
};

const laneWelcome: Kind = {
  place: "elsewhere",
  mint: async (ground) => {
    const value = ground.tap.newest(LANE_TYPE) ?? "";
    const keys = await ourKeys(ground);
    const { transcript } = claimsOf(value);
    return {
      value,
      carry: bearer,
      present: async (jws) => {
        const verified = await verifyLaneWelcome(jws, keys, { transcript: String(transcript), site: "office" as never, lane: 0 }, at(Date.now()));
        return verified.ok ? ACCEPTED : refused(verified.error);
      },
    };
  },
};

export const KINDS = {
  "launcher cookie": launcherCookie,
  "app cookie": appCookie,
  "service token as Bearer": serviceToken(() => bearer),
  "service token as Basic password": serviceToken(() => basic),
  "service token with its id": serviceToken((_name, id) => pair(id)),
  "service token with its name": serviceToken((name) => pair(name)),
  "app bearer by the demo provider": appBearerDemo,
  "app bearer by a second issuer": appBearerOwn,
  "operator token": operatorToken,
  "setup key": setupKey,
  "enrolment token": enrolToken,
  "device code": deviceCode,
  "hand-off code": handOffCode,
  "login-state cookie": loginStateCookie,
  "assertion at an origin": assertion,
  "admission": admission,
  "lane welcome": laneWelcome,
  "setup token": setupToken,
} as const satisfies Record<string, Kind>;

export type KindName = keyof typeof KINDS;
