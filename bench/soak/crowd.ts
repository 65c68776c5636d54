/**
 * Many clients of several users at once, so that requests travel together (M16): small, large, slow and
 * broken answers, bodies up, clients that leave in the middle. Every line of every answer must name the
 * very request and user that it is for, and nobody may fail whose app answered.
 */
import { Agent, request } from "node:http";
import { seeded } from "../../test/seeded.ts";
import { lineOf, pathOf, type Asked } from "./asked.ts";
import { type SoakSite, startSite } from "./site.ts";
import { Failures, type Outcome, pause, type Soak, type SoakOptions } from "./soak.ts";

const USERS_COUNT = 8;
/** Connections, one after the other for the same time. */
const CROWDS = [32, 256] as const;
/** Longer than a call waits for an answer: these come back as claims. */
const LATE_MS = 5_600;
const LEAVE_WITHIN_MS = 30;
const ANSWER_MS = 30_000;
/** A line is some 60 bytes: below and above what travels whole, and above what stays on the tunnel's socket. */
const LARGE_LINES = [300, 2_500, 8_000] as const;
/** So many of each kind must have been tried. */
const LEAST_OF_A_KIND = 5;

type Kind = "small" | "head" | "chunked" | "refused" | "large" | "slow" | "late" | "broken" | "sent" | "left";
/** How often each comes up, in a hundred thousand. */
const SHARES: readonly (readonly [Kind, number])[] = [["late", 20], ["broken", 480], ["large", 1_500], ["slow", 3_000], ["sent", 5_000], ["refused", 5_000], ["left", 5_000], ["head", 5_000], ["chunked", 10_000], ["small", 65_000]];
const ALL = SHARES.reduce((sum, [, share]) => sum + share, 0);

function kindOf(random: () => number): Kind {
  let left = random() * ALL;
  for (const [kind, share] of SHARES) if ((left -= share) < 0) return kind;
  return "small";
}

function askedFor(kind: Kind, name: string, random: () => number): Asked {
  const plain: Asked = { afterMs: 0, status: 200, lines: 1 + Math.floor(random() * 16), how: "length", name };
  switch (kind) {
    case "chunked":
      return { ...plain, how: "chunked" };
    case "refused":
      return { ...plain, status: random() < 0.5 ? 404 : 500 };
    case "large":
      return { ...plain, lines: LARGE_LINES[Math.floor(random() * LARGE_LINES.length)] ?? 0, how: random() < 0.5 ? "length" : "chunked" };
    case "slow":
    case "left":
      return { ...plain, afterMs: Math.floor(random() * 100) };
    case "late":
      return { ...plain, afterMs: LATE_MS };
    case "broken":
      return { ...plain, how: "broken" };
    default:
      return plain;
  }
}

interface Sent {
  readonly status: number;
  readonly text: string;
  readonly asked: string | undefined;
  readonly id: string;
}

class Crowd {
  readonly counts = new Map<Kind, number>();
  readonly failures = new Failures();
  readonly #site: SoakSite;
  readonly #random: () => number;
  readonly #ids = new Set<string>();
  #number = 0;

  constructor(site: SoakSite, random: () => number) {
    this.#site = site;
    this.#random = random;
  }

  get n(): number {
    return this.#number;
  }

  /** `connections` that each ask again as soon as they are answered. */
  async run(connections: number, seconds: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
    const until = performance.now() + seconds * 1000;
    await Promise.all(Array.from({ length: connections }, async () => {
      while (performance.now() < until) await this.#one(agent);
    }));
    agent.destroy();
  }

  async #one(agent: Agent): Promise<void> {
    const kind = kindOf(this.#random);
    const user = Math.floor(this.#random() * USERS_COUNT);
    const asked = askedFor(kind, `n${++this.#number}`, this.#random);
    const path = pathOf(asked);
    const leaveMs = kind === "left" ? this.#random() * LEAVE_WITHIN_MS : undefined;
    const got = await this.#send(agent, kind === "head" ? "HEAD" : kind === "sent" ? "POST" : "GET", path, user, leaveMs).catch((cause: unknown) => String(cause));
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    const wrong = kind === "left" && typeof got === "string" ? undefined : wrongIn(got, kind, asked, `service:soak-${user}`);
    if (wrong !== undefined) this.failures.add(`${kind} ${path} of ${user}: ${wrong}`);
    if (typeof got === "string") return;
    if (this.#ids.has(got.id)) this.failures.add(`${path}: request id ${got.id} came twice`);
    this.#ids.add(got.id);
  }

  #send(agent: Agent, method: string, path: string, user: number, leaveMs: number | undefined): Promise<Sent> {
    return new Promise((resolve, reject) => {
      const { port } = this.#site.stack;
      const body = method === "POST" ? path : undefined;
      const sending = request({ agent, host: "127.0.0.1", port, path, method, headers: { host: this.#site.host, authorization: `Bearer ${this.#site.tokens[user]}`, ...(body === undefined ? {} : { "content-length": body.length }) } }, (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("error", reject);
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString(), asked: answer.headers["x-asked"] as string | undefined, id: String(answer.headers["postern-request-id"]) }));
      });
      sending.on("error", reject);
      sending.setTimeout(ANSWER_MS, () => sending.destroy(new Error("no answer in time")));
      sending.end(body);
      if (leaveMs !== undefined) setTimeout(() => sending.destroy(), leaveMs);
    });
  }
}

/** What is wrong with an answer, in words. */
function wrongIn(got: Sent | string, kind: Kind, asked: Asked, user: string): string | undefined {
  if (typeof got === "string") return got;
  if (kind === "broken") return got.status === 502 ? undefined : `status ${got.status} for an app that broke off`;
  if (got.status !== asked.status) return `status ${got.status}: ${got.text.slice(0, 200)}`;
  const path = pathOf(asked);
  if (got.asked !== path) return `the head is of ${got.asked}`;
  const expected = kind === "head" ? "" : lineOf(user, path).repeat(asked.lines);
  return got.text === expected ? undefined : `${got.text.length} of ${expected.length} bytes, beginning with ${got.text.slice(0, 200)}`;
}

async function run({ minutes, seed, folder, say }: SoakOptions): Promise<Outcome> {
  const site = await startSite({ folder, lanes: 1, services: USERS_COUNT });
  try {
    const crowd = new Crowd(site, seeded(seed));
    const figures: Record<string, number> = {};
    for (const connections of CROWDS) {
      const before = crowd.n;
      const seconds = (minutes * 60) / CROWDS.length;
      await crowd.run(connections, seconds);
      figures[`per_second_c${connections}`] = (crowd.n - before) / seconds;
      say(`${connections} connections: ${crowd.n - before} requests, ${crowd.failures.count} failures so far`);
      await pause(500);
    }
    for (const [kind] of SHARES) {
      const count = crowd.counts.get(kind) ?? 0;
      figures[kind] = count;
      if (count < LEAST_OF_A_KIND && minutes >= 1) crowd.failures.add(`only ${count} of the kind ${kind} were tried`);
    }
    return { n: crowd.n, failures: crowd.failures.lines, figures };
  } finally {
    await site.stop();
  }
}

export const crowd: Soak = { name: "crowd", about: "every answer is for the request and user that it names, while many requests travel together", minutes: 3, run };
