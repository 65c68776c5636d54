/**
 * What is done to every kind of credential (classes E, F and G): each check presents one in some
 * wrong way, place or moment and says in a few words what came of it. Expectations are in
 * expected-cells.ts.
 */
import { toBase64Url } from "../../../core/bytes.ts";
import { AGENT_SUBPROTOCOL } from "../../../protocol/agent-link.ts";
import { AGENT_PATH } from "../../../protocol/paths.ts";
import { sleepUntil } from "./instants.ts";
import { type Held, type KindName, KINDS, operatorTokenOf, type Wish } from "./kinds.ts";
import type { Ground } from "./matrix-ground.ts";
import { beginSignIn, type SignedIn, signInAs } from "./people-edge.ts";
import { type Answered, ask, type HeaderLines, upgrade } from "./plain-request.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { plantCookie } from "./plant-cookie.ts";

const AT_ONCE_COUNT = 20;

export class Checker {
  readonly ground: Ground;
  readonly #shared = new Map<KindName, Promise<Held>>();
  readonly #expiring = new Map<KindName, Promise<Readonly<Record<string, string>>>>();
  #marks = 0;

  constructor(ground: Ground) {
    this.ground = ground;
  }

  async fresh(kind: KindName, wish?: Wish): Promise<Held> {
    const held = await KINDS[kind].mint(this.ground, wish);
    if (held.value.length < 20) throw new Error(`no ${kind} was come by`);
    this.ground.secrets.add(held.value);
    return held;
  }

  /** One that nothing was done to; for checks that leave it as it is. */
  shared(kind: KindName): Promise<Held> {
    const held = this.#shared.get(kind) ?? this.fresh(kind);
    this.#shared.set(kind, held);
    return held;
  }

  mark(): string {
    return `cell-${this.#marks++}-`;
  }

  /** "200 +1": the status, our error code if there is one, and how often the app was asked. */
  async outcome(run: (mark: string) => Promise<Pick<Answered, "status" | "code">>): Promise<string> {
    const mark = this.mark();
    const { status, code } = await run(mark);
    const hits = this.ground.hits(mark);
    return `${status}${code === "" ? "" : ` ${code}`}${hits === 0 ? "" : ` +${hits}`}`;
  }

  present(held: Held, value = held.value, now?: number): Promise<string> {
    return this.outcome((mark) => held.present(value, mark, now));
  }

  /** A request with these headers at the place where this kind would be tried. */
  at(kind: KindName, headers: HeaderLines, query = ""): Promise<string> {
    const { place } = KINDS[kind];
    const admin = `${this.ground.launcher}/.postern/api/v1/policy`;
    return this.outcome((mark) => ask({ url: (place === "admin" ? admin : place === "launcher" ? `${this.ground.launcher}/` : this.ground.at("alpha", `/${mark}`)) + query, headers }));
  }

  /** What a short-lived one answers a second before its end, at its end and a second after. */
  expiring(kind: KindName, moment: "before" | "at" | "after"): Promise<string> {
    const known = this.#expiring.get(kind) ?? this.#measureExpiry(kind);
    this.#expiring.set(kind, known);
    return known.then((outcomes) => outcomes[moment] ?? "");
  }

  /** Begins measuring every kind that takes its time, so that they wait together. */
  async beginExpiries(kinds: readonly KindName[]): Promise<void> {
    const sessions = kinds.filter((kind) => kind === "launcher cookie" || kind === "app cookie" || kind === "operator token");
    if (sessions.length > 0) {
      const shortLived = this.#shortSession();
      for (const kind of sessions) this.#expiring.set(kind, shortLived.then((helds) => this.#watch(helds[kind])));
      await shortLived;
    }
    for (const kind of kinds) if (!this.#expiring.has(kind)) this.#expiring.set(kind, this.#measureExpiry(kind));
    // Awaited by the cells; a failure shows there.
    for (const one of this.#expiring.values()) one.catch(() => undefined);
  }

  async #measureExpiry(kind: KindName): Promise<Readonly<Record<string, string>>> {
    if (kind === "hand-off code") {
      // Used up by the first look: one for each moment.
      const [before, exactly, after] = await Promise.all([this.fresh(kind), this.fresh(kind), this.fresh(kind)]);
      const look = async (held: Held, offset: number): Promise<string> => {
        await sleepUntil((held.expiresAt ?? 0) + offset);
        return this.present(held);
      };
      const [one, two, three] = await Promise.all([look(before, -1_000), look(exactly, 0), look(after, 1_000)]);
      return { before: one, at: two, after: three };
    }
    if (kind === "assertion at an origin" || kind === "admission") {
      const held = await this.shared(kind);
      const end = held.expiresAt ?? 0;
      return { before: await this.present(held, held.value, end - 1_000), at: await this.present(held, held.value, end), after: await this.present(held, held.value, end + 1_000) };
    }
    return this.#watch(await this.fresh(kind, { lifeSeconds: 6 }));
  }

  async #watch(held: Held | undefined): Promise<Readonly<Record<string, string>>> {
    const end = held?.expiresAt;
    if (held === undefined || end === undefined) throw new Error("it has no end to wait for");
    await sleepUntil(end - 1_000);
    const before = await this.present(held);
    // A machine that stood still for a second shows nothing about the edge.
    const late = Date.now() >= end;
    await sleepUntil(end);
    const exactly = await this.present(held);
    await sleepUntil(end + 1_000);
    return { before: late ? "too late to tell" : before, at: exactly, after: await this.present(held) };
  }

  /** One session of a few seconds: its launcher cookie, its app cookie and the operator token approved under it end together. */
  async #shortSession(): Promise<Readonly<Record<string, Held>>> {
    const { ground } = this;
    await ground.ops.apply(`${ground.document}\ndefaults: { session: { max: 10s } }\n`);
    const short = await this.#signInBriefly().catch((cause: unknown) => ({ cause }));
    await ground.ops.apply(ground.document);
    if ("cause" in short) throw short.cause;
    const [launcher, app] = await Promise.all([this.shared("launcher cookie"), this.shared("app cookie")]);
    const { person, operator, expiresAt } = short;
    return {
      "launcher cookie": { ...launcher, value: person.cookie(ground.launcher), expiresAt },
      "app cookie": { ...app, value: person.cookie(ground.at("alpha")), expiresAt },
      "operator token": { ...operator, expiresAt },
    };
  }

  async #signInBriefly(): Promise<{ readonly person: SignedIn; readonly operator: Held; readonly expiresAt: number }> {
    const { ground } = this;
    const user = ground.freshPerson();
    ground.issuer.people.set(user, { groups: ["admins"] });
    const person = await signInAs(ground, user, ground.at("alpha"));
    const operator = await operatorTokenOf(ground, person);
    const me = await ask({ url: `${ground.launcher}/.postern/me`, headers: [["Cookie", person.browser.cookieHeader(ground.launcher)]] });
    return { person, operator, expiresAt: Date.parse((JSON.parse(me.text) as { expires_at: string }).expires_at) };
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** One bit of a character in the middle of the last part: the secret, or the signature. */
export function flipBit(value: string): string {
  const from = value.lastIndexOf(".") + 1;
  const index = from + Math.floor((value.length - from) / 2);
  const digit = ALPHABET.indexOf(value.charAt(index));
  return value.slice(0, index) + ALPHABET.charAt(digit ^ 1) + value.slice(index + 1);
}

/** A value twice where it travels once: two cookies of one name, or each header line repeated. */
const doubled = (lines: HeaderLines): HeaderLines => lines.flatMap((line) => (line[0] === "Cookie" ? [["Cookie", `${line[1]}; ${line[1]}`] as const] : [line, line]));

/** A look after a change that must end the credential. */
async function afterwards(checker: Checker, kind: KindName, change: (held: Held) => Promise<unknown>): Promise<string> {
  // Of the services only the setup's has one token, which the last check of its row spends.
  const held = kind === "setup token" ? await checker.shared(kind) : await checker.fresh(kind);
  await change(held);
  return checker.present(held);
}

/** The holder signs out: with the credential itself, or in the browser that it came of. */
async function signOutWith(ground: Ground, held: Held, kind: KindName): Promise<void> {
  const own = KINDS[kind].place !== "elsewhere";
  const origin = KINDS[kind].place === "alpha" ? ground.at("alpha", "") : ground.launcher;
  const carried: HeaderLines = own ? held.carry(held.value) : [["Cookie", held.person?.browser.cookieHeader(ground.launcher) ?? ""]];
  const answer = await ask({ url: `${origin}/.postern/logout`, method: "POST", headers: [["Origin", origin], ...carried] });
  if (answer.status !== 200) throw new Error(`signing out answered ${answer.status} ${answer.code}`);
}

/**
 * Mallory's credential is put into a victim's browser while the victim signs in; what it opens
 * afterwards. Throws when it opens anything of the victim's.
 */
async function planted(checker: Checker, kind: KindName): Promise<string> {
  const { ground } = checker;
  const mallory = await checker.fresh(kind);
  const browser = new FormBrowser();
  const url = kind === "launcher cookie" ? `${ground.launcher}/` : ground.at("alpha");
  const authorize = await beginSignIn(ground, browser, url);
  authorize.searchParams.set("as", ground.freshPerson());
  if (kind === "hand-off code" || kind === "login-state cookie") {
    // What can be planted is the address: the victim's browser holds its own nonce and its own attempt.
    await browser.follow(await browser.get(authorize.href), authorize.href);
    return checker.outcome(() => mallory.present("planted".padEnd(43, "x"), ""));
  }
  await plantCookie(browser, url, mallory.carry(mallory.value)[0]?.[1] ?? "");
  await browser.follow(await browser.get(authorize.href), authorize.href);
  if (browser.cookieHeader(url).includes(mallory.value) || browser.cookieHeader(url).includes(mallory.sid ?? "?")) throw new Error("the planted session was kept");
  const me = await ask({ url: `${new URL(url).origin}/.postern/me`, headers: mallory.carry(mallory.value) });
  if (me.status === 200 && !me.text.includes(mallory.email ?? "?")) throw new Error("the planted credential opens the victim's session");
  return checker.present(mallory);
}

const withCookie = async (checker: Checker, headers: HeaderLines, secret: string): Promise<string> => {
  const { ground } = checker;
  const app = await checker.shared("app cookie");
  const own = app.carry(app.value)[0]?.[1] ?? "";
  const others = headers.filter(([name]) => name !== "Cookie");
  const cookies = ["theme=dark", own, ...headers.filter(([name, value]) => name === "Cookie" && value !== own).map(([, value]) => value.replace("__Host-postern=", "__Host-postern-old="))];
  const mark = checker.mark();
  const answer = await ask({ url: ground.at("alpha", `/${mark}`), headers: [["Cookie", cookies.join("; ")], ...others] });
  const hits = ground.origin.hits.filter(({ target }) => target.includes(mark));
  const seen = JSON.stringify(hits);
  const bare = secret.split(".").at(-1) ?? secret;
  const leaked = seen.includes(bare) || seen.includes(app.value) || seen.includes(Buffer.from(`anybody:${secret}`).toString("base64"));
  if (hits.length > 0 && !seen.includes("theme=dark")) throw new Error("the app's own cookie was lost");
  return `${answer.status}${answer.code === "" ? "" : ` ${answer.code}`}${hits.length === 0 ? "" : leaked ? " seen" : " unseen"}`;
};

const connect = (checker: Checker, headers: HeaderLines): Promise<string> =>
  checker.outcome(() => upgrade(`${checker.ground.launcher}/.postern/connect?connector=c_${toBase64Url(new Uint8Array(16))}&lane=0`, headers, ["postern.v1"]));

export type Check = (checker: Checker, kind: KindName) => Promise<string>;

/** In the order in which they run. */
export const CHECKS = {
  "at its own place": async (checker, kind) => checker.present(await checker.fresh(kind)),
  "at another app": async (checker, kind) => {
    const held = await checker.shared(kind);
    return checker.outcome((mark) => ask({ url: checker.ground.at("beta", `/${mark}`), headers: held.carry(held.value) }));
  },
  "at the launcher, or from there at an app": async (checker, kind) => {
    const held = await checker.shared(kind);
    const url = KINDS[kind].place === "alpha" ? `${checker.ground.launcher}/` : checker.ground.at("alpha");
    return checker.outcome((mark) => ask({ url: url + (url.includes("alpha") ? mark : ""), headers: held.carry(held.value) }));
  },
  "at the admin API": async (checker, kind) => {
    const held = await checker.shared(kind);
    return checker.outcome(() => ask({ url: `${checker.ground.launcher}/.postern/api/v1/policy`, headers: held.carry(held.value) }));
  },
  "at the connectors' door": async (checker, kind) => {
    const held = await checker.shared(kind);
    return connect(checker, held.carry(held.value));
  },
  "at the agents' door": async (checker, kind) => {
    const held = await checker.shared(kind);
    return checker.outcome(async () => {
      const answer = await upgrade(`${checker.ground.launcher}${AGENT_PATH}?app=pipe`, held.carry(held.value), [AGENT_SUBPROTOCOL]);
      answer.socket?.terminate();
      return answer;
    });
  },
  "as an enrolment token": async (checker, kind) => {
    const held = kind === "enrolment token" ? await checker.fresh(kind) : await checker.shared(kind);
    return checker.outcome(() => checker.ground.enroll(held.value, held.carry(held.value)));
  },
  "with one bit flipped": async (checker, kind) => {
    const held = await checker.fresh(kind);
    return checker.present(held, flipBit(held.value));
  },
  "truncated": async (checker, kind) => {
    const held = await checker.fresh(kind);
    return checker.present(held, held.value.slice(0, -1));
  },
  "twice (tossed)": async (checker, kind) => {
    const held = await checker.fresh(kind);
    return held.presentTwice === undefined ? checker.at(kind, doubled(held.carry(held.value))) : checker.outcome(held.presentTwice);
  },
  "planted before a sign-in": planted,
  "after signing out": (checker, kind) => afterwards(checker, kind, (held) => signOutWith(checker.ground, held, kind)),
  "after its session was revoked": (checker, kind) => afterwards(checker, kind, async (held) => {
    const listed = held.sid === undefined ? (await checker.ground.ops.sessions()).find(({ subject }) => subject.id === held.service)?.id : held.sid;
    await checker.ground.ops.revoke("session", listed ?? "");
  }),
  "after its user was revoked": async (checker, kind) => {
    const user = kind === "app bearer by the demo provider" ? "bob" : checker.ground.freshPerson();
    if (kind === "login-state cookie") await signInAs(checker.ground, user);
    const held = await checker.fresh(kind, { user });
    await checker.ground.ops.revoke("user", held.email ?? "");
    return checker.present(held);
  },
  "a second before its end": (checker, kind) => checker.expiring(kind, "before"),
  "at its end": (checker, kind) => checker.expiring(kind, "at"),
  "a second after its end": (checker, kind) => checker.expiring(kind, "after"),
  "under the scheme Foo": async (checker, kind) => {
    const held = await checker.shared(kind);
    return checker.at(kind, [["Authorization", `Foo ${held.value}`]]);
  },
  "as Basic without a name": async (checker, kind) => {
    const held = await checker.shared(kind);
    return checker.at(kind, [["Authorization", `Basic ${held.value}`]]);
  },
  "beside another Authorization": async (checker, kind) => {
    const held = await checker.shared(kind);
    return checker.at(kind, [...held.carry(held.value), ["Authorization", "Bearer somebody-elses"]]);
  },
  "in the query": async (checker, kind) => {
    const held = await checker.shared(kind);
    const query = new URLSearchParams(Object.fromEntries(["access_token", "token", "code", "key", "client_secret", "__Host-postern"].map((name) => [name, held.value])));
    return checker.at(kind, [], `?${query.toString()}`);
  },
  "a second time": async (checker, kind) => {
    const held = await checker.fresh(kind);
    await checker.present(held);
    return checker.present(held);
  },
  "20 times at once": async (checker, kind) => {
    const held = await checker.fresh(kind);
    const answers = await Promise.all(Array.from({ length: AT_ONCE_COUNT }, () => held.present(held.value, checker.mark())));
    return `${answers.filter(({ status }) => status < 400).length} of ${AT_ONCE_COUNT}`;
  },
  "as the app sees it": async (checker, kind) => {
    const held = await checker.shared(kind);
    return withCookie(checker, held.carry(held.value), held.value);
  },
  "as the app sees it under our names": async (checker, kind) => {
    const held = await checker.shared(kind);
    return withCookie(checker, [["X-Postern-Assertion", held.value], ["X-Postern-User", held.value], ["Postern_Client_Secret", held.value], ["Cookie", `__Host-postern-x=${held.value}`]], held.value);
  },
  "after its service was revoked": (checker, kind) => afterwards(checker, kind, (held) => checker.ground.ops.revoke("service", held.service ?? "")),
} as const satisfies Record<string, Check>;

export type CheckName = keyof typeof CHECKS;
