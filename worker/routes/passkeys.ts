/**
 * Passkeys at the launcher: whoever is signed in lists, adds and removes their own, and uses one where
 * an app asks for a second factor. A change by a cookie: POST with this host's own Origin (M19). What
 * is true of a key is judged by the person's own object.
 */
import { toBase64Url } from "../../core/bytes.ts";
import type { Json } from "../../core/json.ts";
import { MINUTE_MS } from "../../core/time.ts";
import type { PasskeyAsk } from "../../durable-objects/user/rpc.ts";
import type { PolicyDocument } from "../../policy/document.ts";
import { HELPS, PASSKEY_SOURCE, WITH_SIGN_IN } from "../../policy/passkey.ts";
import { readBoundedJson, readBoundedText } from "../bounded-body.ts";
import { type Exchange, originOf } from "../exchange.ts";
import { passkeysPage, stepUpPage } from "../pages/passkeys.ts";
import { type AtLauncher, personAtLauncher } from "../person-at-launcher.ts";
import { newestPolicy } from "../policy-cache.ts";
import { blank, json, page, redirect, refuse } from "../respond.ts";

const PATH = "/.postern/passkeys";
/** How long what a session proved counts as fresh for changing one's passkeys. */
const FRESH_MS = 5 * MINUTE_MS;
/** A browser's answer has 2 KB; bounds what is parsed for one person. */
const MAX_BODY_BYTES = 16 * 1024;
const MAX_NAME_CHARS = 64;
const ALL_HELP = HELPS.hwk | HELPS.swk;

const userOf = (x: Exchange, { session }: AtLauncher): ReturnType<Exchange["env"]["USER"]["getByName"]> => x.env.USER.getByName(session.subject.id);

type Rule = PolicyDocument["passkeys"];

/** By the newest document: one that bars passkeys bars them now. */
const ruleOf = async (x: Exchange): Promise<Rule> => ((await newestPolicy(x.env, x.now))?.document ?? { passkeys: "off" }).passkeys;

function asking(x: Exchange, { session: { facts, sid, subject } }: AtLauncher, act: PasskeyAsk["act"], rule: Rule): PasskeyAsk {
  const fresh = (name: string): boolean => {
    const fact = facts[name];
    return fact !== undefined && x.now - fact.observedAt < FRESH_MS && x.now < (fact.expiresAt ?? Infinity);
  };
  const proved = fresh("mfa") ? (rule !== undefined && facts["mfa"]?.source === PASSKEY_SOURCE ? "passkey" : "mfa") : rule === undefined && fresh("auth") ? "auth" : "nothing";
  return { request: x.id, owner: subject.id, sid, act, proved };
}

/** GET /.postern/passkeys */
export async function passkeys(x: Exchange): Promise<Response> {
  const login = `${x.launcher}/.postern/login?to=${encodeURIComponent(x.launcher + PATH)}`;
  const person = await personAtLauncher(x);
  if (person === undefined) return redirect(x, login);
  const rule = await ruleOf(x);
  if (rule === "off") return blank(x);
  const keys = await userOf(x, person).passkeys();
  const { proved } = asking(x, person, "add", rule);
  if (proved === "mfa" || proved === (keys.length === 0 ? "auth" : "passkey")) return page(x, passkeysPage({ keys, launcherUrl: `${x.launcher}/` }), 200, { script: true, asks: true });
  return redirect(x, `${login}&max_age=${FRESH_MS / 1000}${keys.length > 0 ? `&mfa=1&passkey=${ALL_HELP}` : rule === undefined ? "" : "&mfa=1"}`);
}

/** POST /.postern/passkeys {act, helps?}: what a browser is to be asked; {act, name?, answer}: what it answered. */
export async function passkey(x: Exchange): Promise<Response> {
  const person = await changing(x);
  if (person instanceof Response) return person;
  const { act, helps, name, answer } = (await readBoundedJson(x.request, MAX_BODY_BYTES)) ?? {};
  if (act !== "add" && act !== "use") return refuse(x, "bad_argument");
  const asked = asking(x, person, act, person.rule);
  const rpId = x.url.host;
  if (answer !== undefined) {
    const done = await userOf(x, person).answerPasskey(asked, { name: typeof name === "string" ? name.slice(0, MAX_NAME_CHARS) : "", place: { origin: x.launcher, rpId }, answer: answer as Json });
    return done.ok ? json(x, {}) : refuse(x, done.code);
  }
  const given = await userOf(x, person).askPasskey(asked);
  if (!given.ok) return refuse(x, given.code);
  const { display, subject } = person.session;
  const keys = given.keys.filter(({ kind }) => act === "add" || (Number(helps) & HELPS[kind]) !== 0).map(({ id }) => id);
  const user = { id: toBase64Url(new TextEncoder().encode(subject.id)), name: display.email ?? subject.id, displayName: display.name ?? "" };
  return json(x, { challenge: given.challenge, rpId, keys, user });
}

/** POST /.postern/passkeys/remove, a form */
export async function removePasskey(x: Exchange): Promise<Response> {
  const person = await changing(x);
  if (person instanceof Response) return person;
  const form = new URLSearchParams((await readBoundedText(x.request, MAX_BODY_BYTES)) ?? "");
  const done = await userOf(x, person).removePasskey(asking(x, person, "remove", person.rule), form.get("id") ?? "");
  // Too long ago: the page asks for more first.
  return done.ok || done.code === "step_up_required" ? redirect(x, x.launcher + PATH, [], 303) : refuse(x, done.code);
}

/** Whoever makes the change, from a page of ours; or the refusal. */
async function changing(x: Exchange): Promise<(AtLauncher & { readonly rule: Rule }) | Response> {
  if (x.request.headers.get("origin") !== originOf(x.url)) return refuse(x, "origin_not_allowed");
  const person = await personAtLauncher(x);
  if (person === undefined) return refuse(x, "sign_in_required");
  const rule = await ruleOf(x);
  return rule === "off" ? refuse(x, "passkey_refused") : { ...person, rule };
}

/**
 * What somebody with a fitting passkey gets instead of the way to the provider: the question for it;
 * or, where only a sign-in and a passkey together help, "sign_in": the sign-in comes first and needs
 * no second factor. Undefined for everybody else.
 */
export async function stepUpByPasskey(x: Exchange, query: URLSearchParams): Promise<Response | "sign_in" | undefined> {
  const helps = Number(query.get("passkey"));
  const person = helps > 0 ? await personAtLauncher(x) : undefined;
  if (person === undefined || (await ruleOf(x)) === "off" || !(await userOf(x, person).passkeys()).some(({ kind }) => (helps & HELPS[kind]) !== 0)) return undefined;
  if ((helps & WITH_SIGN_IN) !== 0) return "sign_in";
  const [providerUrl, nextUrl] = [["passkey"], ["max_age", "mfa"]].map((gone) => {
    for (const name of gone) query.delete(name);
    return `/.postern/login?${query.toString()}`;
  });
  return page(x, stepUpPage({ helps, nextUrl: nextUrl ?? "/", providerUrl: providerUrl ?? "/" }), 200, { script: true, asks: true });
}
