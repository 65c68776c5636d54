/** A drill at edges whose receipts are not true: it must not believe them. The canary is a connector's; the edge between is a small one of this test. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { DrillReport } from "../../../cli/drill/drill.ts";
import { Canary } from "../../../connector/canary.ts";
import { createLog } from "../../../connector/log.ts";
import type { ReceiptAnswer } from "../../../protocol/admin-api.ts";
import { ADMIN_API } from "../../../protocol/paths.ts";
import { canonical } from "../../canonical.ts";
import { jsonOf, runCommand } from "../run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-lying-edge-"));
const tokenFile = join(folder, "token");
writeFileSync(tokenFile, `pst_${"C".repeat(21)}A.${"C".repeat(42)}A`, { mode: 0o600 });
afterAll(() => rmSync(folder, { recursive: true }));

const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end();
});

/** Later than any client may see an end, and sooner than a drill stops waiting. */
const LATE_MS = 900;

/** One connection through the edge. */
interface Carried {
  readonly client: () => void;
  readonly app: () => void;
  /** Ends what the client has as if it were all. */
  readonly whole: () => void;
}

/** What an edge does with what is open when it is told to revoke; it answers at once that all is closed. */
type Habit = (open: readonly Carried[]) => Partial<ReceiptAnswer>;
const cut = ({ client, app }: Carried): void => {
  client();
  app();
};
const HONEST: Habit = (open) => {
  open.forEach(cut);
  return {};
};

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

class Edge {
  readonly #server: Server = createServer((asked, answer) => (asked.headers.host?.startsWith("canary.") === true ? this.#carry(asked, answer) : this.#answer(asked, answer)));
  readonly #habit: Habit;
  readonly #canaries: readonly number[];
  #turn = 0;
  #open = new Set<Carried>();
  removed = 0;

  constructor(habit: Habit, canaries: readonly number[]) {
    this.#habit = habit;
    this.#canaries = canaries;
    this.#server.on("upgrade", (asked, near, head) => {
      const far = connect(this.#next(), "127.0.0.1", () => {
        far.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${Object.entries(asked.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`).join("")}\r\n`);
        far.write(head);
        near.pipe(far).pipe(near);
      });
      for (const one of [near, far]) one.on("error", () => undefined);
      this.#hold({ client: () => near.destroy(), app: () => far.destroy(), whole: () => near.destroy() });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((up) => this.#server.listen(0, "127.0.0.1", up));
    ends.push(() => {
      this.#open.forEach(cut);
      this.#server.close();
      this.#server.closeAllConnections();
    });
    return `http://edge.localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  /** As an edge with several connectors: each stream goes to another one. */
  #next(): number {
    return this.#canaries[this.#turn++ % this.#canaries.length] ?? 0;
  }

  #hold(carried: Carried): void {
    this.#open.add(carried);
  }

  #carry(asked: IncomingMessage, answer: ServerResponse): void {
    const call = request({ host: "127.0.0.1", port: this.#next(), path: asked.url, agent: false }, (from) => {
      answer.writeHead(from.statusCode ?? 500, from.headers);
      from.on("error", () => undefined).pipe(answer);
      if (asked.url?.startsWith("/heard") !== true) this.#hold({ client: () => answer.destroy(), app: () => call.destroy(), whole: () => (from.unpipe(answer), answer.end()) });
    });
    call.on("error", () => undefined);
    call.end();
  }

  #answer(asked: IncomingMessage, answer: ServerResponse): void {
    let text = "";
    asked.on("data", (part: Buffer) => (text += part.toString())).on("end", () => answer.end(JSON.stringify(this.#say(`${asked.method} ${asked.url}`, text))));
  }

  #say(what: string, text: string): unknown {
    if (what === `GET ${ADMIN_API}/policy`) return { version: 1, digest: "d", text: canonical(DOCUMENT) };
    if (what === `GET ${ADMIN_API}/services`) return [];
    if (what === `GET ${ADMIN_API}/sessions`) return [{ id: "s", subject: { kind: "service", id: "drill" }, started_at: "", expires_at: "", streams: [] }];
    if (what === `POST ${ADMIN_API}/services`) return { id: "t", name: "drill", client_id: "t", client_secret: "t", token: "pst_t", expires_at: "" };
    const { kind, id } = JSON.parse(text) as { readonly kind: ReceiptAnswer["kind"]; readonly id: string };
    const open = [...this.#open];
    this.#open = new Set();
    if (kind === "service") this.removed++;
    const count = open.length;
    return { id: "rcpt_x", kind, target: id, version: 1, at: "", found: count, closed: count, frozen: 0, kept: 0, slowest_ms: 1, bytes_in_flight_at_cut: 0, unconfirmed: [], complete: true, ...this.#habit(open) };
  }
}

const DOCUMENT = `version: 1
domain: edge.localhost
sites: [{ id: office }]
apps: [{ id: canary, site: office, upstream: "http://127.0.0.1:7070" }]
policies: [{ id: drill, effect: allow, apps: [canary], when: { service: [drill] } }]
`;

async function startCanary(): Promise<number> {
  const port = await freePort();
  const log: string[] = [];
  const canary = new Canary({ host: "127.0.0.1", port }, createLog((line) => void log.push(line), Date.now));
  canary.start();
  ends.push(() => canary.stop());
  await expect.poll(() => log.join("")).toContain('"event":"canary"');
  return port;
}

async function drillAt(habit: Habit, canaries = 1): Promise<{ readonly exit: number; readonly report: DrillReport; readonly edge: Edge }> {
  const edge = new Edge(habit, await Promise.all(Array.from({ length: canaries }, startCanary)));
  const ran = await runCommand(["drill", "--streams", "1", "--json"], { env: { POSTERN_EDGE: await edge.listen(), POSTERN_TOKEN_FILE: tokenFile } });
  return { exit: ran.exit, report: jsonOf<DrillReport>(ran), edge };
}

describe("a drill", () => {
  it("is content with an edge that does what it says, in every round", async () => {
    const { exit, report, edge } = await drillAt(HONEST);
    expect(report.faults).toEqual([]);
    expect([exit, report.ok, report.rounds.length]).toEqual([0, true, 3]);
    expect(edge.removed, "one round, and its token").toBe(2);
  });

  it("asks each canary of a site with several, and finds the one that still holds something", async () => {
    const good = await drillAt(HONEST, 2);
    expect(good.report).toMatchObject({ ok: true, left_out: [expect.stringMatching(/^tcp/), expect.stringMatching(/^ssh/)] });
    for (const { protocols } of good.report.rounds) for (const one of protocols) expect(one).toMatchObject({ heard_after_receipt: 0, open_at_canary: 0 });
    const bad = await drillAt((open) => (open.forEach(({ client }) => client()), open.slice(1).forEach(cut), {}), 2);
    expect(bad.report.faults.map(({ what }) => what)).toEqual([expect.stringMatching(/1 connection of [a-z]+ are still open at the canary/)]);
  });

  it.each<{ readonly what: string; readonly habit: Habit; readonly says: readonly RegExp[] }>([
    { what: "ends nothing", habit: () => ({}), says: [/1 connection of http did not end/, /bytes of http came that the canary wrote after the receipt/, /1 connection of sse did not end/, /1 connection of websocket did not end/, /websocket carried to the canary what was written here after/, /websocket are still open at the canary/] },
    { what: "lets bytes pass for a while", habit: (open) => (setTimeout(() => open.forEach(cut), LATE_MS), {}), says: [/http ended [0-9.]+ ms after the receipt/, /bytes of sse came that the canary wrote after/, /websocket carried to the canary/] },
    { what: "ends the clients and leaves the app's side", habit: (open) => (open.forEach(({ client }) => client()), {}), says: [/http are still open at the canary/, /websocket are still open at the canary/] },
    { what: "ends a stream as if it were whole", habit: (open) => (open.forEach((one) => (one.whole(), one.app())), {}), says: [/sse ended as if they were whole/] },
    { what: "names who did not confirm", habit: (open) => (HONEST(open), { complete: false, unconfirmed: [{ site: "office", lane: 3, lease_ends_at: "then" }] }), says: [/lane 3 of site office is unconfirmed/] },
    { what: "counts fewer than there were", habit: (open) => (HONEST(open), { found: 2, closed: 2 }), says: [/found 2 and closed 2 of 3 live connections/] },
  ])("finds out an edge that $what, and goes no further", async ({ habit, says }) => {
    const { exit, report, edge } = await drillAt(habit);
    expect([exit, report.ok]).toEqual([1, false]);
    const told = report.faults.map(({ what }) => what);
    expect(told).toEqual(expect.arrayContaining(says.map((one) => expect.stringMatching(one) as unknown)));
    expect(report.rounds.map(({ revoked }) => revoked)).toEqual(["session"]);
    expect(report.left_out).toEqual(expect.arrayContaining([expect.stringMatching(/^service: not tried/), expect.stringMatching(/^app: not tried/)]));
    expect(edge.removed, "its token goes all the same").toBe(1);
  });
});
