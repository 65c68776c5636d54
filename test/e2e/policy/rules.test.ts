/**
 * The rules of a policy document that a user can notice (P1 to P20, "Explained or blank"), each
 * through a whole edge: what the person gets, and whether the app was asked.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canonical } from "../../canonical.ts";
import { parseDocument } from "../../../policy/parse-document.ts";
import { compile } from "../../../policy/compile.ts";
import { decide } from "../../../policy/decide.ts";
import { readFriendlyFacts } from "../../../policy/tests-facts.ts";
import type { AppliedAnswer, ExplainedRequestAnswer } from "../../../protocol/admin-api.ts";
import { at } from "../../../core/time.ts";
import { until } from "../../start/running-stack.ts";
import { valuesAt } from "../corpus/recording-origin.ts";
import { sleepUntil } from "../credentials/instants.ts";
import { type PeopleEdge, peopleEdge, SESSION_COOKIE, type SignedIn, signInAs } from "../credentials/people-edge.ts";
import { type Answered, ask, type HeaderLines, upgrade } from "../credentials/plain-request.ts";
import { MAX_BYTES, rulesDocument, SAMPLE_PATHS } from "./rules-document.ts";

const GROUPS: Readonly<Record<string, readonly string[]>> = { alice: ["staff"], mallory: ["staff"], dave: ["admins"], erin: [] };
const body = (bytes: number): string => `HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;

let edge: PeopleEdge;
let robot: string;
let other: string;
const people = new Map<string, SignedIn>();
let marks = 0;

beforeAll(async () => {
  edge = await peopleEdge({
    document: rulesDocument(),
    testFacts: true,
    reply: ({ target }) => (target.includes("/big") ? body(MAX_BYTES - 1_000) : target.includes("/huge") ? body(4_000_000) : undefined),
  });
  for (const [user, groups] of Object.entries(GROUPS)) edge.issuer.people.set(user, { groups });
  [robot, other] = [await edge.operator.createService("robot"), await edge.operator.createService("other")];
  for (const user of Object.keys(GROUPS)) people.set(user, await signInAs(edge, user));
});
afterAll(() => edge?.stop());

/** The cookie of somebody at an app; the sign-in is handed on at the first visit. */
async function cookieOf(user: string, app: string): Promise<string> {
  const person = people.get(user);
  if (person === undefined) throw new Error(`${user} is not signed in`);
  const url = edge.at(app, "/.postern/me");
  if (!person.browser.cookieHeader(url).includes(`${SESSION_COOKIE}=`)) {
    const first = edge.at(app, "/.postern/sign-in?to=%2F.postern%2Fme");
    await person.browser.follow(await person.browser.get(first), first);
  }
  return person.cookie(url);
}

interface Visit {
  readonly method?: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly headers?: HeaderLines;
}

const factsLine = (facts: Visit["facts"]): HeaderLines => (facts === undefined ? [] : [[edge.stack.factsHeader ?? "", JSON.stringify(facts)]]);

async function visit(user: string | undefined, app: string, path = "/", { method = "GET", facts, headers = [] }: Visit = {}): Promise<Answered> {
  const cookie: HeaderLines = user === undefined ? [] : user.startsWith("pst_") ? [["Authorization", `Bearer ${user}`]] : [["Cookie", `theme=dark; ${SESSION_COOKIE}=${await cookieOf(user, app)}`]];
  return ask({ url: edge.at(app, path), method, headers: [...cookie, ...factsLine(facts), ...headers] });
}

/** "200 +1": the status, our code, and how often the app was asked. */
async function outcome(user: string | undefined, app: string, path = "/", options: Visit = {}): Promise<string> {
  const mark = `visit-${marks++}-`;
  const answer = await visit(user, app, `${path}?${mark}`, options);
  const hits = edge.hits(mark);
  return `${answer.status}${answer.code === "" ? "" : ` ${answer.code}`}${hits === 0 ? "" : ` +${hits}`}`;
}

const DE = { country: "DE" };
const RU = { country: "RU" };

interface Case extends Visit {
  readonly rule: string;
  readonly user?: string;
  readonly app: string;
  readonly path?: string;
  readonly expected: string;
}

const CASES: readonly Case[] = [
  { rule: "P1, P2: a country that is not known makes no allow true", user: "alice", app: "geo", expected: "403 denied" },
  { rule: "P12: the right country", user: "alice", app: "geo", facts: DE, expected: "200 +1" },
  { rule: "P12: another country", user: "alice", app: "geo", facts: RU, expected: "403 denied" },
  { rule: "P1: country XX is unknown", user: "alice", app: "geo", facts: { country: "XX" }, expected: "403 denied" },
  { rule: "P1: a country of the wrong type is unknown", user: "alice", app: "geo", facts: { country: ["DE"] }, expected: "403 denied" },
  { rule: "P17: a country that the client says itself is none", user: "alice", app: "geo", headers: [["CF-IPCountry", "DE"], ["X-Country", "DE"]], expected: "403 denied" },
  { rule: "P12: an address within the range", user: "alice", app: "nets", facts: { clientIp: "192.0.2.7:4711" }, expected: "200 +1" },
  { rule: "P12: the same as IPv4-mapped IPv6", user: "alice", app: "nets", facts: { clientIp: "[::ffff:192.0.2.7]:4711" }, expected: "200 +1" },
  { rule: "P12: an address outside", user: "alice", app: "nets", facts: { clientIp: "192.0.3.7:4711" }, expected: "403 denied" },
  { rule: "P12: an address that is forwarded by the client", user: "alice", app: "nets", facts: { clientIp: "198.51.100.1:1" }, headers: [["X-Forwarded-For", "192.0.2.7"], ["CF-Connecting-IP", "192.0.2.7"]], expected: "403 denied" },
  { rule: "P2: a deny holds while its fact is unknown", user: "alice", app: "banned", expected: "403 denied" },
  { rule: "P2: a deny that is false lets the allow stand", user: "alice", app: "banned", facts: DE, expected: "200 +1" },
  { rule: "P2: a deny that is true", user: "alice", app: "banned", facts: RU, expected: "403 denied" },
  { rule: "P2: a deny by address", user: "alice", app: "badnet", facts: { clientIp: "203.0.113.9:1" }, expected: "403 denied" },
  { rule: "P2: a deny by address, elsewhere", user: "alice", app: "badnet", facts: { clientIp: "192.0.2.9:1" }, expected: "200 +1" },
  { rule: "P12: outside the time window", user: "alice", app: "shut", expected: "403 denied" },
  { rule: "P12: inside the time window", user: "alice", app: "open", expected: "200 +1" },
  { rule: "P7: reading under read_only", user: "alice", app: "reading", expected: "200 +1" },
  { rule: "P7: HEAD under read_only", user: "alice", app: "reading", method: "HEAD", expected: "200 +1" },
  { rule: "P7: writing under read_only", user: "alice", app: "reading", method: "POST", expected: "403 read_only" },
  { rule: "P7: deleting under read_only", user: "alice", app: "reading", method: "DELETE", expected: "403 read_only" },
  { rule: "P5: a limit policy binds while its fact is unknown", user: "alice", app: "limited", method: "POST", expected: "403 read_only" },
  { rule: "P5: a limit policy that is false does not bind", user: "alice", app: "limited", method: "POST", facts: RU, expected: "200 +1" },
  { rule: "P8: the method that is named", user: "alice", app: "methods", expected: "200 +1" },
  { rule: "P8: GET does not imply HEAD", user: "alice", app: "methods", method: "HEAD", expected: "403" },
  { rule: "P8: another method", user: "alice", app: "methods", method: "PUT", expected: "403 denied" },
  { rule: "P9: a path within /open/**", user: "alice", app: "paths", path: "/open/a/b", expected: "200 +1" },
  { rule: "P9: /open/** matches /open", user: "alice", app: "paths", path: "/open", expected: "200 +1" },
  { rule: "P9: * is one segment", user: "alice", app: "paths", path: "/one/x/end", expected: "200 +1" },
  { rule: "P9: * is not two segments", user: "alice", app: "paths", path: "/one/x/y/end", expected: "403 denied" },
  { rule: "P9: a path beside", user: "alice", app: "paths", path: "/opening", expected: "403 denied" },
  { rule: "P9: paths are case-sensitive", user: "alice", app: "paths", path: "/Open/a", expected: "403 denied" },
  { rule: "P9: an allow does not match with parameters removed", user: "alice", app: "paths", path: "/open;x=1/a", expected: "403 denied" },
  { rule: "P9: a deny does", user: "alice", app: "params", path: "/admin;x=1/a", expected: "403 denied" },
  { rule: "P9: a deny, plainly", user: "alice", app: "params", path: "/admin/a", expected: "403 denied" },
  { rule: "P9: a deny, percent-encoded", user: "alice", app: "params", path: "/%61dmin/a", expected: "403 denied" },
  { rule: "P10: another case is another path", user: "alice", app: "params", path: "/ADMIN/a", expected: "200 +1" },
  { rule: "P10: path_case insensitive folds", user: "alice", app: "nocase", path: "/ADMIN/a", expected: "403 denied" },
  { rule: "P20: anybody on a public path", app: "public", path: "/pub/a", expected: "200 +1" },
  { rule: "P20: nobody beside it", app: "public", path: "/private", expected: "401 sign_in_required" },
  { rule: "P20: beside it somebody of the staff", user: "alice", app: "public", path: "/private", expected: "200 +1" },
  { rule: "P20: a public path is everybody's, signed in or not", user: "erin", app: "public", path: "/pub/a", expected: "200 +1" },
  { rule: "P13: a user where services are meant", user: "alice", app: "robots", expected: "404 not_found" },
  { rule: "P13: a service that is named", user: "robot", app: "robots", expected: "200 +1" },
  { rule: "P13: a service that is not", user: "other", app: "robots", expected: "404 not_found" },
  { rule: "P13: a service where users are meant", user: "robot", app: "open", expected: "404 not_found" },
  { rule: "P14: a group with its provider", user: "alice", app: "named", expected: "200 +1" },
  { rule: "Explained or blank: not a member, not visible", user: "alice", app: "hidden", expected: "404 not_found" },
  { rule: "Explained or blank: visible explains to every signed-in user", user: "erin", app: "shown", expected: "403 denied" },
  { rule: "Explained or blank: visible, to a service", user: "other", app: "shown", expected: "404 not_found" },
  { rule: "Explained or blank: visible, to a stranger", app: "shown", expected: "401 sign_in_required" },
  { rule: "P3: a deny wins", user: "mallory", app: "denied", expected: "403 denied" },
  { rule: "P3: and concerns nobody else", user: "alice", app: "denied", expected: "200 +1" },
  { rule: "P3: a second factor is asked for", user: "alice", app: "stronger", expected: "401 step_up_required" },
  { rule: "P3: but not of somebody whom no factor would let in", user: "dave", app: "stronger", expected: "404 not_found" },
];

const userOf = (user: string | undefined): string | undefined => (user === "robot" ? robot : user === "other" ? other : user);

describe("rules", () => {
  it.each(CASES)("$rule → $expected", async ({ user, app, path = "/", expected, ...options }) => {
    expect(await outcome(userOf(user), app, path, options)).toBe(expected);
  });

  it("P7: a WebSocket under read_only is refused before it opens", async () => {
    const headers: HeaderLines = [["Cookie", `${SESSION_COOKIE}=${await cookieOf("alice", "reading")}`], ["Origin", edge.at("reading", "")]];
    const { status, code } = await upgrade(edge.at("reading", "/socket"), headers);
    expect(`${status} ${code}`).toBe("403 read_only");
    expect(edge.hits("/socket")).toBe(0);
  });

  it.each<[string, (app: string) => string | undefined]>([
    ["another site's", () => "https://evil.example"],
    ["null", () => "null"],
    ["a sibling app's", () => edge.at("named", "")],
    ["none", () => undefined],
  ])("P22: a WebSocket by a cookie from %s Origin is refused before it opens", async (_name, origin) => {
    const said = origin("open");
    const headers: HeaderLines = [["Cookie", `${SESSION_COOKIE}=${await cookieOf("alice", "open")}`], ...(said === undefined ? [] : [["Origin", said] as const])];
    const { status, code } = await upgrade(edge.at("open", "/socket"), headers);
    expect(`${status} ${code}`).toBe("403 origin_not_allowed");
    expect(edge.hits("/socket")).toBe(0);
  });

  it("what looks like a file is nobody else's: one person, another, a stranger, each their own answer (class I)", async () => {
    for (const path of ["/account/x.css", "/account/logo.png", "/account;v=1/x.js", "/account/%2e.css"]) {
      const [alice, mallory, stranger] = [await visit("alice", "open", path), await visit("mallory", "open", path), await visit(undefined, "open", path)];
      expect(stranger.text).not.toContain("alice");
      if (alice.status === 200) expect(mallory.text).not.toContain("alice@example.com");
      expect([mallory.status, stranger.status]).toEqual([alice.status, alice.status === 200 ? 401 : alice.status]);
      expect(stranger.headers["cache-control"]).toBe("no-store");
    }
    for (const refusal of [await visit("alice", "shut", "/x.css"), await visit("alice", "hidden", "/x.css"), await visit("alice", "stronger", "/x.css")]) {
      expect(refusal.status).toBeGreaterThan(400);
      expect(refusal.headers["cache-control"]).toBe("no-store");
    }
  });

  it("P20: on a public path a stranger's request carries no assertion and no cookie of ours", async () => {
    const mark = `visit-${marks++}-`;
    const stale = `${"0".repeat(64)}.${"A".repeat(43)}`;
    for (const headers of [[["Cookie", "theme=dark"]], [["Cookie", `theme=dark; ${SESSION_COOKIE}=${stale}`]], [["Cookie", `theme=dark; ${SESSION_COOKIE}=nonsense; __Host-postern-nonce=x`]]] as HeaderLines[]) {
      const answer = await visit(undefined, "public", `/pub/a?${mark}`, { headers: [...headers, ["X-Postern-Assertion", "a.b.c"], ["X-Postern-User", "root"]] });
      expect(answer.status).toBe(200);
    }
    const hits = edge.origin.hits.filter(({ target }) => target.includes(mark));
    expect(hits.map((hit) => valuesAt(hit, "cookie"))).toEqual([["theme=dark"], ["theme=dark"], ["theme=dark"]]);
    expect(hits.flatMap((hit) => [...valuesAt(hit, "x-postern-assertion"), ...valuesAt(hit, "x-postern-user")])).toEqual([]);
  });

  it("P14: a bare group is an error where two providers send groups", async () => {
    const two = edge.document.replace("identity: { providers: [", 'identity: { providers: [{ id: second, issuer: "http://127.0.0.1:1", client_id: postern, groups_claim: groups }, ');
    const answer = await edge.operator.call("POST", "/policy", canonical(two));
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("staff");
  });

  it("a blank denial is a host without an app, byte for byte but for the request id", async () => {
    const masked = ({ status, headers, text }: Answered): unknown => {
      const id = String(headers["postern-request-id"]);
      const { date: _date, ...rest } = headers;
      return JSON.parse(JSON.stringify({ status, rest, text }).replaceAll(id, "ID")) as unknown;
    };
    const [forbidden, absent] = [await visit("alice", "hidden"), await visit("alice", "no-such-app")];
    expect(masked(forbidden)).toEqual(masked(absent));
  });
});

describe("limits", () => {
  it("P7: max_bytes: what is under way ends when the share is used up, and the next request is refused", async () => {
    expect(await outcome("alice", "bytes")).toBe("200 +1");
    const huge = await visit("alice", "bytes", "/huge").then(({ text }) => `whole, ${text.length} bytes`, () => "broken off");
    expect(huge).toBe("broken off");
    expect(await outcome("alice", "bytes")).toBe("403 limit_reached");
    // Another's share is another's.
    expect(await outcome("mallory", "bytes", "/big")).toBe("200 +1");
  });

  it("P19: limits.session: afterwards a new sign-in is asked for, and with it the app opens again", async () => {
    const person = await signInAs(edge, "alice", edge.at("short"));
    const began = Date.now();
    people.set("alice-again", person);
    expect(await outcome("alice-again", "short")).toBe("200 +1");
    await sleepUntil(began + 5_000);
    const answer = await visit("alice-again", "short", "/after-the-end");
    expect(`${answer.status} ${answer.code}`).toBe("401 step_up_required");
    const { error } = JSON.parse(answer.text) as { error: { login_url: string } };
    const shown = await ask({ url: edge.at("short", "/after-the-end"), headers: [["Cookie", person.browser.cookieHeader(edge.at("short"))], ["Sec-Fetch-Mode", "navigate"], ["Accept", "text/html"]] });
    expect(shown.status).toBe(403);
    expect(shown.text).toContain("/.postern/sign-in");
    expect(edge.hits("/after-the-end")).toBe(0);
    // The same session is good elsewhere, and a new sign-in opens this one.
    expect(await outcome("alice-again", "open")).toBe("200 +1");
    expect(error.login_url).toContain(edge.at("short", "/.postern/sign-in"));
    people.set("alice-anew", await signInAs(edge, "alice", edge.at("short")));
    expect(await outcome("alice-anew", "short")).toBe("200 +1");
  });
});

describe("the record (promise 8)", () => {
  const explained = async (id: string): Promise<ExplainedRequestAnswer> => {
    let text = "";
    await until(async () => {
      const answer = await edge.operator.call("GET", `/explain/${id}`);
      text = answer.text;
      return answer.status === 200;
    }, `the record of ${id}`);
    return JSON.parse(text) as ExplainedRequestAnswer;
  };

  it.each<[string, string | undefined, string, string, Visit["facts"], string, string | undefined]>([
    ["allow", "alice", "geo", "/", { country: "DE", asn: 64_500, clientIp: "192.0.2.7:1" }, "allow", "geo"],
    ["a repeated allow", "alice", "geo", "/again", { country: "DE", asn: 64_501 }, "allow", "geo"],
    ["allow to a service", "robot", "robots", "/", undefined, "allow", "robots"],
    ["allow to nobody, on a public path", undefined, "public", "/pub/x", undefined, "allow", "public"],
    ["deny for an unknown fact", "alice", "banned", "/", undefined, "deny", "ban-country"],
    ["deny by a fact", "alice", "banned", "/", RU, "deny", "ban-country"],
    ["blank deny", "alice", "hidden", "/", undefined, "deny", undefined],
    ["read_only", "alice", "limited", "/", undefined, "deny", "limit-all"],
    ["step_up", "alice", "stronger", "/", undefined, "step_up", "stronger"],
  ])("%s: explain makes the same decision again from what was recorded", async (name, user, app, path, facts, effect, by) => {
    const answer = await visit(userOf(user), app, path, { method: name === "read_only" ? "POST" : "GET", ...(facts === undefined ? {} : { facts }) });
    const told = await explained(String(answer.headers["postern-request-id"]));
    expect(told).toMatchObject({ effect, recorded_effect: effect, ask: { app, path } });
    if (by !== undefined) expect([told.decided_by].flat()).toContain(by);
    const countries = told.policies.flatMap(({ criteria }) => criteria).filter(({ fact }) => fact === "country");
    if (app === "geo") expect(countries.map(({ result, source }) => `${String(result)} ${String(source)}`)).toContain("true edge");
    if (app === "banned" && facts === undefined) expect(countries.map(({ result }) => result)).toContain("unknown");
  });
});

describe("the launcher", () => {
  const compiled = (text: string): ReturnType<typeof compile> => {
    const parsed = parseDocument(text);
    if (!parsed.ok) throw new Error(parsed.error[0]?.message);
    return compile(parsed.value.document, 1);
  };
  /** The apps at which decide() would let somebody in, or ask for more, at one of the sample requests. */
  const expectedApps = (text: string, user: string, facts: Readonly<Record<string, string>>): string[] => {
    const policy = compiled(text);
    const now = at(Date.now());
    const friendly = readFriendlyFacts({ user, provider: "own", email: `${user}@example.com`, groups: [...(GROUPS[user] ?? [])], ...facts }, policy.document.providers, now);
    if (!friendly.ok) throw new Error(friendly.error[0]?.message);
    const known = friendly.value;
    return policy.document.apps
      .filter(({ id }) => ["GET", "POST"].some((method) => SAMPLE_PATHS.some((path) => decide(policy, { app: id, protocol: "http", method, path }, known, now).effect !== "deny")))
      .map(({ id }) => id);
  };
  const shownTo = async (user: string, facts: Readonly<Record<string, string>>): Promise<string[]> => {
    const cf = { ...(facts["country"] === undefined ? {} : { country: facts["country"] }), ...(facts["ip"] === undefined ? {} : { clientIp: `${facts["ip"]}:1` }) };
    const answer = await ask({ url: `${edge.launcher}/`, headers: [["Cookie", `${SESSION_COOKIE}=${people.get(user)?.cookie(edge.launcher) ?? ""}`], ...factsLine(cf)] });
    return (JSON.parse(answer.text) as { apps: { id: string }[] }).apps.map(({ id }) => id);
  };
  const PLACES = [{}, { country: "DE" }, { country: "RU" }, { ip: "192.0.2.7" }, { ip: "203.0.113.5", country: "DE" }];

  it("lists exactly what decide() allows: users × places × documents, each the moment that it is live", async () => {
    const documents = [
      edge.document,
      edge.document.replaceAll("group: staff", "group: admins"),
      `${edge.document}  - { id: nobody, effect: deny, apps: ["*"], when: { user: "own:alice" } }\n`,
      edge.document,
    ];
    const faults: string[] = [];
    let listed = 0;
    for (const [index, text] of documents.entries()) {
      await edge.operator.apply(text);
      for (const user of Object.keys(GROUPS)) {
        for (const place of PLACES) {
          const [want, got] = [expectedApps(text, user, place), await shownTo(user, place)];
          listed += got.length;
          if (want.join() !== got.join()) faults.push(`document ${index}, ${user} at ${JSON.stringify(place)}: shown ${got.join()}, allowed ${want.join()}`);
        }
      }
    }
    expect(faults).toEqual([]);
    expect(listed).toBeGreaterThan(100);
  });

  it("what is listed opens, or asks for a step-up", async () => {
    for (const app of await shownTo("alice", {})) {
      const answers: string[] = [];
      for (const path of SAMPLE_PATHS) answers.push(await outcome("alice", app, path));
      expect(answers.some((one) => /^200|step_up_required|limit_reached/.test(one)), `${app}: ${answers.join(", ")}`).toBe(true);
    }
  });
});

describe("apply", () => {
  it("P2: says how many of those who are signed in a new deny would stop for a fact that is not known", async () => {
    const careless = `${edge.document}  - { id: careless, effect: deny, apps: [open, named], when: { device: { registered: false } } }\n`;
    const applied = JSON.parse((await edge.operator.call("POST", "/policy", canonical(careless))).text) as AppliedAnswer;
    const stopped = applied.denied_by_unknown_facts;
    expect(stopped.policies.find(({ id }) => id === "careless")?.count).toBeGreaterThanOrEqual(2 * Object.keys(GROUPS).length);
    expect(stopped.cases).toBeGreaterThanOrEqual(2 * Object.keys(GROUPS).length);
    expect(await outcome("alice", "open")).toBe("403 denied");
    await edge.operator.apply(edge.document);
    expect(await outcome("alice", "open")).toBe("200 +1");
  });

  it("a change narrows at once: the request after the receipt is refused, whatever an isolate remembers", async () => {
    expect(await outcome("alice", "named")).toBe("200 +1");
    await edge.operator.apply(edge.document.replace('group: "own:staff"', 'group: "own:nobody"'));
    expect(await outcome("alice", "named")).toBe("404 not_found");
    await edge.operator.apply(edge.document);
    expect(await outcome("alice", "named")).toBe("200 +1");
  });
});
