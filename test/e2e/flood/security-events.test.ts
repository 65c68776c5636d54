/**
 * A transmitter's address under a flood: a thousand security event tokens a second, of which one in
 * a hundred is good, sent as the clock says and not as answers come. Signed beforehand; through the
 * real route of the real edge, with a person at work beside it (class M, row 101).
 */
import { readdirSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { THIS_MACHINE_OPERATES } from "../../start/own-document.ts";
import { workedMs } from "../process-use.ts";
import { ownProvider, type PeopleEdge, peopleEdge } from "../credentials/people-edge.ts";

const PER_SECOND = 1_000;
const SECONDS = 2;
const COUNT = PER_SECOND * SECONDS;
const GOOD_EVERY = 100;
const SEND_EVERY_MS = 5;
/** The edge is one thread: with less than this for an event it keeps up, whatever else a machine does. */
const WORK_MS = 1_000 / PER_SECOND;
/** On a machine that does something else too; alone, hardly anything is left when the last was sent. */
const LEFT_OVER_MS = 5_000;
const BESIDE_P50_MS = 1_000;
const AUDIENCE = "https://receiver.example.com";
const REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

let edge: PeopleEdge;
const flooding = new Agent({ keepAlive: true, maxSockets: 512 });
const people = new Agent({ keepAlive: true });
beforeAll(async () => {
  edge = await peopleEdge({
    document: `version: 1
domain: postern.localhost
identity: { providers: [${ownProvider(", token_audiences: [robots]")}] }
signals: [{ id: feed, issuer: "ISSUER", jwks_uri: "ISSUER/jwks", audience: "${AUDIENCE}", provider: own }]
sites: [{ id: office }]
apps: [{ id: wiki, site: office, upstream: "ORIGIN" }]
policies:
  - { id: all, effect: allow, apps: [wiki], when: { provider: own } }
  - ${THIS_MACHINE_OPERATES}
`,
  });
});
afterAll(async () => {
  flooding.destroy();
  people.destroy();
  await edge?.stop();
});

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

function call(host: string, path: string, headers: Readonly<Record<string, string>>, body?: string, agent = people): Promise<Answer> {
  const began = performance.now();
  let refused: number | undefined;
  return new Promise((done, fail) => {
    const asked = request({ host: "127.0.0.1", port: edge.stack.port, path, method: body === undefined ? "GET" : "POST", agent, headers: { host, ...headers } }, (answer) => {
      refused = answer.statusCode;
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.on("end", () => done({ status: answer.statusCode ?? 0, text, ms: performance.now() - began }));
    });
    // Refused unread, a body that is too long is still on its way.
    asked.on("error", (error) => (refused === undefined ? fail(error) : done({ status: refused, text: "", ms: performance.now() - began })));
    asked.end(body);
  });
}

const launcher = (): string => new URL(edge.launcher).host;
const push = (token: string): Promise<Answer> => call(launcher(), "/.postern/ssf/feed", { "content-type": "application/secevent+jwt" }, token, flooding);
const statusOf = async (bearer: string): Promise<number> => (await call(new URL(edge.at("wiki")).host, "/", { authorization: `Bearer ${bearer}` })).status;
const now = (): number => Math.floor(Date.now() / 1_000);

/** A session of this person's own. */
async function signedIn(sub: string): Promise<string> {
  const { status, text } = await exchange(sub);
  expect(status, text).toBe(200);
  return (JSON.parse(text) as { readonly access_token: string }).access_token;
}

async function exchange(sub: string): Promise<Answer> {
  const token = await edge.issuer.idToken(sub, "robots");
  const fields = { grant_type: "urn:ietf:params:oauth:grant-type:token-exchange", subject_token: token, subject_token_type: "urn:ietf:params:oauth:token-type:id_token", audience: "wiki" };
  return call(launcher(), "/.postern/token", { "content-type": "application/x-www-form-urlencoded" }, new URLSearchParams(fields).toString());
}

const claims = (sub: string, jti: string, more: object = {}): Record<string, unknown> => ({ iss: edge.issuer.issuer, aud: AUDIENCE, iat: now(), jti, sub_id: { format: "iss_sub", iss: edge.issuer.issuer, sub }, events: { [REVOKED]: {} }, ...more });
const event = (sub: string, jti: string, more: object = {}, header: object = {}): Promise<string> => edge.issuer.sign(claims(sub, jti, more), { typ: "secevent+jwt", ...header });

/** Everything that must have no effect, about people who are at work. */
async function junkFor(good: readonly string[]): Promise<((i: number) => string | Promise<string>)[]> {
  const { privateKey } = await generateKeyPair("ES256");
  const about = (i: number): string => `bystander${i % 20}`;
  const foreign = (sub: string, jti: string): Promise<string> => new SignJWT(claims(sub, jti)).setProtectedHeader({ alg: "ES256", kid: "own-1", typ: "secevent+jwt" }).sign(privateKey);
  const cut = (token: string): string => token.slice(0, -8) + (token.endsWith("A") ? "BBBBBBBB" : "AAAAAAAA");
  return [
    (i) => foreign(about(i), `junk-${i}`),
    (i) => event(about(i), `junk-${i}`, {}, { kid: `nobody-${i}` }),
    (i) => event(about(i), `junk-${i}`, { aud: "https://other.example" }),
    (i) => event(about(i), `junk-${i}`, { iss: "https://evil.example" }),
    (i) => event(about(i), `junk-${i}`, { iat: now() - 30 * 86_400 }),
    (i) => event(about(i), `junk-${i}`, { sub_id: { format: "iss_sub", iss: "https://partner.example.com", sub: about(i) } }),
    (i) => event(about(i), `junk-${i}`, {}, { typ: "logout+jwt" }),
    (i) => `${"A".repeat(20 + (i % 50))}.${"B".repeat(500)}.${"C".repeat(86)}`,
    // Said before, or about to be.
    (i) => good[i % good.length] ?? "",
    (i) => cut(good[i % good.length] ?? ""),
    () => ".".repeat(70_000),
  ];
}

/** Sends each when it is due, whatever was answered; how long after the last was sent all were answered. */
async function paced(bodies: readonly string[]): Promise<{ readonly statuses: number[]; readonly leftOverMs: number }> {
  const statuses: number[] = [];
  const began = performance.now();
  const answers: Promise<void>[] = [];
  while (answers.length < bodies.length) {
    const due = Math.min(bodies.length, Math.floor(((performance.now() - began) * PER_SECOND) / 1_000) + 1);
    while (answers.length < due) {
      const n = answers.length;
      answers.push(push(bodies[n] ?? "").then(({ status }) => void (statuses[n] = status)));
    }
    await new Promise((wake) => setTimeout(wake, SEND_EVERY_MS));
  }
  const sentAt = performance.now();
  await Promise.all(answers);
  return { statuses, leftOverMs: performance.now() - sentAt };
}

/** Rows of control's store with this condition; read from the disk once the edge is gone. */
function rows(query: string): number {
  const folder = join(edge.stack.stateDirectory, "objects/postern-Control");
  let count = 0;
  for (const file of readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name))) {
    const database = new DatabaseSync(join(folder, file));
    if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'signals'").get() !== undefined) count += Number(database.prepare(`SELECT count(*) AS n FROM ${query}`).get()?.["n"]);
    database.close();
  }
  return count;
}

describe("a thousand security events a second of which one in a hundred is good (row 101)", () => {
  it("only the good ones have an effect, each once; all are answered as they come, and so is a person beside them", { timeout: 120_000 }, async () => {
    const names = Array.from({ length: COUNT / GOOD_EVERY }, (_, i) => `person${i}`);
    const live = await Promise.all(names.map((name) => signedIn(name)));
    const bystanders = await Promise.all(Array.from({ length: 20 }, (_, i) => signedIn(`bystander${i}`)));
    const atWork = bystanders[0] ?? "";
    expect(new Set(await Promise.all([...live, ...bystanders].map(statusOf)))).toEqual(new Set([200]));
    const good = await Promise.all(names.map((name) => event(name, `good-${name}`)));
    const junk = await junkFor(good);
    const bodies = await Promise.all(Array.from({ length: COUNT }, async (_, i) => (i % GOOD_EVERY === 50 ? (good[Math.floor(i / GOOD_EVERY)] ?? "") : ((await junk[i % junk.length]?.(i)) ?? ""))));

    const beside: number[] = [];
    let isOver = false;
    const working = (async () => {
      while (!isOver) {
        const { status, ms } = await call(new URL(edge.at("wiki")).host, "/", { authorization: `Bearer ${atWork}` });
        expect(status).toBe(200);
        beside.push(ms);
        await new Promise((wake) => setTimeout(wake, 20));
      }
    })();
    const { pid } = edge.stack.edge();
    const worked = workedMs(pid);
    const { statuses, leftOverMs } = await paced(bodies);
    const eachMs = (workedMs(pid) - worked) / COUNT;
    isOver = true;
    await working;
    beside.sort((a, b) => a - b);
    expect(eachMs).toBeLessThan(WORK_MS);
    expect(leftOverMs).toBeLessThan(LEFT_OVER_MS);
    expect(beside[Math.floor(beside.length / 2)]).toBeLessThan(BESIDE_P50_MS);
    expect(statuses.map((status, i) => [i, status])).toEqual(bodies.map((body, i) => [i, good.includes(body) ? 202 : 400]));
    expect(await Promise.all(live.map(statusOf))).toEqual(names.map(() => 401));
    expect(await Promise.all(bystanders.map(statusOf))).toEqual(bystanders.map(() => 200));

    // Who signed in anew, once those of before are barred no more, is not ended by what was said before.
    await expect.poll(async () => new Set(await Promise.all(names.map(async (name) => (await exchange(name)).status))), { timeout: 30_000, interval: 500 }).toEqual(new Set([200]));
    const anew = await Promise.all(names.map((name) => signedIn(name)));
    expect(new Set((await paced(good.flatMap((one) => [one, one]))).statuses)).toEqual(new Set([202]));
    expect(await Promise.all(anew.map(statusOf))).toEqual(names.map(() => 200));
    edge.stack.edge().process.kill("SIGKILL");
    await edge.stack.edge().exited;
    expect([rows("signals"), rows("receipts WHERE kind = 'signal' AND report IS NOT NULL")]).toEqual([names.length, names.length]);
  });
});
