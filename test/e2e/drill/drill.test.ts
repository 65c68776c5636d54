/**
 * `postern drill` against the whole product: what it shows when all is well, what it says when
 * something is missing or a connector does not answer, and that it ends nothing but its own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { DrillReport } from "../../../cli/drill/drill.ts";
import { LEASE_WAIT_MS } from "../../../durable-objects/lease-terms.ts";
import { plainEnvironment } from "../../../start/processes.ts";
import { jsonOf, type Ran, runCommand, type Surroundings } from "../../cli/run-command.ts";
import { demoStack } from "../../start/demo-stack.ts";
import { until } from "../../start/running-stack.ts";
import { type Operator, operatorOf } from "../revocation/operator.ts";

const STREAMS = 2;
const PROTOCOLS = ["http", "sse", "websocket", "tcp"];
/** The lease, and what opening, asking again and hanging up take besides. */
const FROZEN_MS = LEASE_WAIT_MS + 25_000;

const folder = mkdtempSync(join(tmpdir(), "postern-drill-"));
const demo = demoStack(folder);
let env: Record<string, string>;
let operator: Operator;
let document: string;
const started: ChildProcess[] = [];

beforeAll(() => {
  env = { POSTERN_EDGE: demo.stack.launcher, POSTERN_TOKEN_FILE: demo.stack.tokenFile };
  operator = operatorOf(demo.stack.launcher, demo.stack.tokenFile);
  document = readFileSync(demo.stack.documentFile, "utf8");
});
afterAll(async () => {
  for (const one of started) if (one.kill("SIGKILL")) await once(one, "exit");
});
afterEach(async () => {
  expect(await tokens("drill"), "no token is left behind").toEqual([]);
});

const drill = (argv: readonly string[] = [], surroundings: Surroundings = {}): Promise<Ran> => runCommand(["drill", "--streams", `${STREAMS}`, "--state", join(folder, "agent"), ...argv], { env, ...surroundings });
/** Those of a service that are still good. */
const tokens = async (name: string): Promise<readonly string[]> =>
  jsonOf<readonly { readonly id: string; readonly name: string; readonly revoked_at: string | null }[]>(await runCommand(["service", "list", "--json"], { env })).filter((one) => one.name === name && one.revoked_at === null).map(({ id }) => id);
const apply = async (text: string): Promise<void> => {
  const file = join(folder, "changed.yaml");
  writeFileSync(file, text);
  expect(await runCommand(["apply", file], { env })).toMatchObject({ exit: 0 });
};
/** The document with these services in the place of the drill's. */
const letting = (names: string): string => document.replace(/service: \[ *drill *\]/, `service: [${names}]`);

describe("a drill", () => {
  it("opens every protocol, revokes session, service and app, finds that all has ended, and leaves nothing behind", async () => {
    const ran = await drill(["--json"]);
    expect(ran.exit, ran.out + ran.err).toBe(0);
    const report = jsonOf<DrillReport>(ran);
    expect(report).toMatchObject({ ok: true, app: "canary", tcp_app: "canary-tcp", streams: STREAMS, faults: [], left_out: [expect.stringMatching(/^ssh: .* tcp/)] });
    expect(report.rounds.map(({ revoked }) => revoked)).toEqual(["session", "service", "app"]);
    for (const { revoked, receipts, protocols } of report.rounds) {
      expect(receipts.reduce((sum, { found }) => sum + found, 0), revoked).toBe(STREAMS * PROTOCOLS.length);
      expect(receipts.every(({ complete }) => complete)).toBe(true);
      expect(receipts.map(({ kind, target }) => [kind, kind === "session" ? "" : target])).toEqual({ session: [["session", ""]], service: [["service", "drill"]], app: [["app", "canary"], ["app", "canary-tcp"]] }[revoked]);
      expect(protocols.map(({ protocol }) => protocol)).toEqual(PROTOCOLS);
      for (const one of protocols) {
        expect(one, `${revoked} ${one.protocol}`).toMatchObject({ opened: STREAMS, ended: STREAMS, bytes_after_receipt: 0, heard_after_receipt: 0, open_at_canary: 0 });
        expect(one.ends).toEqual({ [{ http: "broken", sse: "broken", websocket: "4401", tcp: "revoked" }[one.protocol]]: STREAMS });
        expect(one.slowest_end_after_request_ms).toBeGreaterThan(0);
      }
    }
  });

  it("says the same to people, with the receipts", async () => {
    const { exit, out, err } = await drill();
    expect(exit, out + err).toBe(0);
    for (const line of [/^session: answered after [0-9.]+ ms/m, /live streams found 8: closed 8/, /^websocket +2 +2 +2 4401 /m, /^left out: ssh/m, /^every connection ended as the receipts say$/m]) expect(out).toMatch(line);
    expect(err).toContain("round 3 of 3, app: 8 connections are live; revoking");
    expect(out + err).not.toContain("pst_");
  });

  it("that is stopped while its connections are live leaves no connection and no token behind", async () => {
    const stop = Promise.withResolvers<void>();
    const ran = await drill([], { stopped: stop.promise, heard: (text) => text.includes("round 1 of 3") && stop.resolve() });
    expect(ran).toMatchObject({ exit: 1, err: expect.stringContaining("error: the drill was stopped") });
    await until(async () => (await operator.sessions()).every(({ streams }) => streams.length === 0), "its connections are gone");
  });

  it("does not begin beside another one, whose connections it would end", async () => {
    await operator.createService("drill");
    const ran = await drill();
    expect(ran).toMatchObject({ exit: 1, out: "" });
    expect(ran.err).toMatch(/error: the service drill has a token already\nwhy: .*\nfix: postern revoke service drill/);
    expect((await drill(["--force"])).exit).toBe(0);
  });
});

describe("what is missing is said, with what to do", () => {
  afterAll(() => apply(document));

  it("no app for it in the document", async () => {
    const ran = await drill(["--app", "nothing"]);
    expect(ran).toMatchObject({ exit: 1, out: "" });
    expect(ran.err).toMatch(/error: the live document has no app nothing\n/);
    expect(ran.err).toContain('fix: under apps: - { id: nothing, site: office, upstream: "http://127.0.0.1:7070", visible: false }');
    expect(await drill(["--app", "canary-tcp"])).toMatchObject({ exit: 1, err: expect.stringContaining("the app canary-tcp speaks tcp") });
  });

  it("no policy that lets the service in", async () => {
    await apply(letting("nobody"));
    const ran = await drill();
    expect(ran).toMatchObject({ exit: 1, out: "" });
    expect(ran.err).toContain("fix: under policies: - { id: drill, effect: allow, apps: [canary, canary-tcp], when: { service: [drill] } }");
    expect(ran.err).toMatch(/^request: r_/m);
  });

  it("no TCP app: the others are drilled, and it is said", async () => {
    await apply(document.replace(/^ +- \{ id: canary-tcp.*\n/m, "").replace(/\[ *canary, canary-tcp *\]/, "[canary]"));
    const ran = await drill(["--json"]);
    expect(ran.exit, ran.out).toBe(0);
    const report = jsonOf<DrillReport>(ran);
    expect(report).toMatchObject({ ok: true, tcp_app: null, left_out: [expect.stringMatching(/^tcp: /), expect.stringMatching(/^ssh: /)] });
    expect(report.rounds.map(({ protocols }) => protocols.map(({ protocol }) => protocol))).toEqual([["http", "sse", "websocket"], ["http", "sse", "websocket"], ["http", "sse", "websocket"]]);
    expect(await drill(["--tcp-app", "canary-tcp"])).toMatchObject({ exit: 1, err: expect.stringContaining("no app canary-tcp") });
  });
});

describe("others at the canary", () => {
  /** Somebody else's event stream there. */
  async function visit(): Promise<{ readonly isOver: () => boolean; readonly heard: () => number }> {
    const token = await operator.createService("visitor");
    const host = new URL(demo.stack.apps.find(({ id }) => id === "canary")?.url ?? "").host;
    const answer = await new Promise<IncomingMessage>((resolve, reject) => void get({ host: "127.0.0.1", port: demo.stack.port, path: "/events?name=visitor.one", headers: { host, authorization: `Bearer ${token}` }, agent: false }, resolve).on("error", reject));
    let [bytes, isOver] = [0, false];
    expect(answer.statusCode).toBe(200);
    answer.on("data", (chunk: Buffer) => (bytes += chunk.length)).on("error", () => undefined).on("close", () => (isOver = true));
    await until(() => bytes > 0, "the visitor's stream is live");
    return { isOver: () => isOver, heard: () => bytes };
  }

  it("stay as they are, unless --force says that they may end", async () => {
    await apply(letting("drill, visitor"));
    const visitor = await visit();
    const ran = await drill();
    expect(ran).toMatchObject({ exit: 1, out: "", err: expect.stringContaining("error: others have 1 live connection at canary or canary-tcp") });
    const before = visitor.heard();
    await until(() => visitor.heard() > before, "the visitor's stream goes on");
    expect((await drill(["--force"])).exit).toBe(0);
    expect(visitor.isOver()).toBe(true);
    await runCommand(["revoke", "service", "visitor"], { env });
    await apply(document);
  });
});

describe("connectors", () => {
  const first = (): { readonly pid: number; readonly stateDirectory: string } => {
    const [one] = demo.stack.connectors;
    if (one === undefined) throw new Error("there is no connector");
    return { pid: one.child.pid, stateDirectory: one.stateDirectory };
  };

  it("one that freezes between opening and revoking: exit 1, the lane is unconfirmed, and it ends by itself within the lease", { timeout: 2 * FROZEN_MS }, async () => {
    const began = performance.now();
    const ran = await drill(["--json"], { heard: (text) => text.includes("round 1 of 3") && process.kill(first().pid, "SIGSTOP") }).finally(() => process.kill(first().pid, "SIGCONT"));
    expect(performance.now() - began).toBeLessThan(FROZEN_MS);
    expect(ran.exit, ran.out + ran.err).toBe(1);
    const report = jsonOf<DrillReport>(ran);
    expect(report.rounds.map(({ revoked }) => revoked)).toEqual(["session"]);
    expect(report.rounds[0]?.receipts[0]).toMatchObject({ complete: false, unconfirmed: [{ site: "office" }] });
    expect(report.faults[0]).toMatchObject({ what: expect.stringMatching(/session: .* lane [01] of site office is unconfirmed/), fix: expect.arrayContaining([expect.stringMatching(/^postern receipt rcpt_/)]) });
    expect(report.left_out).toEqual(expect.arrayContaining([expect.stringMatching(/^service: not tried/), expect.stringMatching(/^app: not tried/)]));
  });

  it("one without a canary: nothing answers, and it is said what is missing", async () => {
    const [connector] = demo.stack.connectors;
    await connector?.child.stop();
    const child = spawn(process.execPath, [join(import.meta.dirname, "../../../bin/postern-connector.mjs"), "run", "--state", first().stateDirectory], { env: plainEnvironment(), stdio: "ignore" });
    started.push(child);
    await until(async () => (await runCommand(["status"], { env })).exit === 0, "the connector is there", 20_000);
    const ran = await drill();
    expect(ran).toMatchObject({ exit: 1, out: "" });
    expect(ran.err).toMatch(/^fix: is its canary there\? postern-connector run --canary HOST:PORT/m);
  });
});
