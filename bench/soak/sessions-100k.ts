/**
 * A hundred thousand sessions (each an object of its own): made, looked up cold at random, a user
 * with five hundred of them revoked at once; the edge's memory does not follow their number. Ends
 * when all are made or the time is over; fewer than half of them then are a failure.
 */
import { Agent, request } from "node:http";
import { signIn } from "../../test/e2e/sign-in.ts";
import { operatorOf } from "../../test/e2e/revocation/operator.ts";
import { seeded } from "../../test/seeded.ts";
import { residentMB } from "../measure/proc.ts";
import { startSite, type SoakSite } from "./site.ts";
import { Failures, type Outcome, type Soak, type SoakOptions } from "./soak.ts";

const SESSIONS_COUNT = 100_000;
const AT_ONCE_COUNT = 16;
const LOOKUPS_COUNT = 5_000;
const LOOKUP_P99_MS = 25;
const OWN_SESSIONS_COUNT = 500;
const REVOKE_WITHIN_MS = 1_000;
const SIGN_INS_AT_ONCE_COUNT = 4;
/** Of the time, for the making; the rest is for the questions. */
const MAKING_SHARE = 0.8;
const ENOUGH_SHARE = 0.5;
/** What the engine grows by in any case is there with the first tenth. */
const WARM_SHARE = 0.1;
/** From there on: what a heap breathes. Were they kept, ten thousand objects would be more. */
const MAX_GROWN_MB = 200;

const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE_COUNT });

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

function call(port: number, host: string, path: string, token: string, body?: unknown): Promise<Answer> {
  const startedAt = performance.now();
  return new Promise((done, fail) => {
    const headers = { host, authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) };
    const asked = request({ host: "127.0.0.1", port, path, method: body === undefined ? "GET" : "POST", agent, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.on("end", () => done({ status: answer.statusCode ?? 0, text, ms: performance.now() - startedAt }));
    });
    asked.on("error", fail);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Services: every token of one is a session. */
async function make(site: SoakSite, wanted: number, until: number, failures: Failures, say: (line: string) => void): Promise<{ readonly tokens: string[]; readonly warmMB: number }> {
  const host = new URL(site.stack.launcher).host;
  const tokens: string[] = [];
  let warmMB = 0;
  let begun = 0;
  await Promise.all(Array.from({ length: AT_ONCE_COUNT }, async () => {
    while (begun < wanted && performance.now() < until) {
      const made = await call(site.stack.port, host, "/.postern/api/v1/services", site.operatorToken, { name: `many-${begun++}`, expires: "1d" });
      if (made.status === 201) tokens.push((JSON.parse(made.text) as { readonly token: string }).token);
      else failures.add(`a service was answered with ${made.status}`);
      if (warmMB === 0 && tokens.length >= wanted * WARM_SHARE) warmMB = residentMB(site.stack.edge().pid);
      if (tokens.length % 10_000 === 0 && tokens.length > 0) say(`${tokens.length} sessions`);
    }
  }));
  return { tokens, warmMB };
}

async function run({ minutes, seed, scale, folder, say }: SoakOptions): Promise<Outcome> {
  const random = seeded(seed);
  const failures = new Failures();
  const startedAt = performance.now();
  const site = await startSite({ folder, lanes: 1, services: 1, people: true });
  try {
    const { stack } = site;
    const edge = stack.edge().pid;
    const wanted = Math.round(SESSIONS_COUNT * scale);
    const { tokens, warmMB } = await make(site, wanted, startedAt + minutes * 60_000 * MAKING_SHARE, failures, say);
    if (tokens.length < wanted * ENOUGH_SHARE) failures.add(`only ${tokens.length} of ${wanted} sessions were made: it needs more --minutes here`);
    const grownMB = warmMB === 0 ? 0 : residentMB(edge) - warmMB;
    if (grownMB > MAX_GROWN_MB) failures.add(`the edge grew by ${Math.round(grownMB)} MB after the first tenth`);
    const seconds = (performance.now() - startedAt) / 1000;
    say(`${tokens.length} sessions in ${Math.round(seconds)} s`);

    const lookups: number[] = [];
    for (let n = 0; n < Math.min(LOOKUPS_COUNT, tokens.length); n++) {
      const found = await call(stack.port, site.host, "/.postern/me", tokens[Math.floor(random() * tokens.length)] ?? "");
      if (found.status !== 200) failures.add(`a session was not found: ${found.status}`);
      lookups.push(found.ms);
    }
    const p99 = lookups.toSorted((a, b) => a - b)[Math.floor(lookups.length * 0.99)] ?? 0;
    if (p99 > LOOKUP_P99_MS) failures.add(`p99 of a lookup is ${p99.toFixed(1)} ms`);

    const own = Math.max(1, Math.round(OWN_SESSIONS_COUNT * scale));
    let begun = 0;
    await Promise.all(Array.from({ length: SIGN_INS_AT_ONCE_COUNT }, async () => {
      while (begun++ < own) await signIn(`http://${site.host}/`, "alice");
    }));
    const operator = operatorOf(stack.launcher, stack.tokenFile);
    const asked = performance.now();
    const receipt = await operator.revoke("user", "alice@example.com");
    const revokeMs = performance.now() - asked;
    if (!receipt.complete) failures.add("the revocation of the user is not complete");
    if (revokeMs > REVOKE_WITHIN_MS) failures.add(`revoking a user with ${own} sessions took ${Math.round(revokeMs)} ms`);
    return {
      n: tokens.length,
      failures: failures.lines,
      figures: { sessions: tokens.length, made_per_second: tokens.length / seconds, lookup_p99_ms: p99, revoked_sessions: own, revoke_ms: revokeMs, edge_MB_grown: grownMB },
    };
  } finally {
    agent.destroy();
    await site.stop();
  }
}

export const sessions100k: Soak = { name: "sessions-100k", about: "100,000 sessions: cold lookups, a user with 500 of them revoked", minutes: 30, run };
