/** What a device said and nobody renews: whatever is open by it ends when it is too old, whether bytes flow or not; what is renewed goes on. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../../start/running-stack.ts";
import { type ClientSide, open } from "../revocation/stream-clients.ts";
import { type Login, logIn } from "../signals/shell.ts";
import { TestAgent } from "../tcp/agent-client.ts";
import { type AppConnection, appConnection } from "../tcp/app-connection.ts";
import { type DeviceStage, startDeviceStage } from "./stage.ts";

const MAX_AGE_MS = 6_000;
/** A lane that is asked to decide again does so at once; the rest is a busy machine's. */
const LATE_MS = 3_000;
const KINDS = ["download", "events", "websocket"] as const;

let stage: DeviceStage;
beforeAll(async () => {
  stage = await startDeviceStage(`{ registered: true, disk_encrypted: true, max_age: ${MAX_AGE_MS / 1_000}s }`);
});
afterAll(() => stage.end());

interface Open {
  readonly clients: readonly ClientSide[];
  /** One on which bytes go round, and one that is quiet. */
  readonly busy: AppConnection;
  readonly quiet: AppConnection;
  readonly agent: TestAgent;
  readonly login: Login | undefined;
  readonly endedAt: () => readonly (number | undefined)[];
}

async function opened(user: string): Promise<Open & { readonly report: () => Promise<unknown> }> {
  const { person, token } = await stage.person(user);
  const { reports } = stage.machine();
  await reports.enrol(token, "laptop");
  const report = (): Promise<unknown> => reports.report({ disk_encrypted: true });
  await report();
  const agent = await TestAgent.connect({ port: stage.stack.port, host: new URL(stage.stack.launcher).host, app: "echo", token });
  const [busy, quiet] = [await appConnection(agent, "echo"), await appConnection(agent, "echo")];
  const ends: (number | undefined)[] = [undefined, undefined];
  for (const [i, { local, over }] of [busy, quiet].entries()) {
    local.on("error", () => undefined);
    void over.then(() => (ends[i] = performance.now()));
  }
  busy.local.on("data", (bytes: Buffer) => void (busy.local.writable && busy.local.write(bytes)));
  busy.local.write("round and round");
  quiet.local.resume();
  const login = stage.shell === undefined ? undefined : await logIn(stage.shell, () => appConnection(agent, "shell"));
  let loggedOut: number | undefined;
  login?.child.once("exit", () => (loggedOut = performance.now()));
  await report();
  const clients: ClientSide[] = [];
  for (const kind of KINDS) {
    const one = await open(kind, { port: stage.stack.port, headers: person.headers(stage.stamps), name: `${user}-${kind}` });
    if (!one.ok) throw new Error(`${kind} was refused: ${one.status}`);
    clients.push(one.client);
  }
  const logins = (): readonly (number | undefined)[] => (login === undefined ? [] : [loggedOut]);
  return { clients, busy, quiet, agent, login, report, endedAt: () => [...clients.map((client) => client.endedAt), ...ends, ...logins()] };
}

it("fact-expiry · http, sse, websocket, tcp, ssh: what is open by a device that fell silent ends, and what is open by one that goes on reporting does not", async () => {
  const renewed = await opened("bob");
  const renewing = setInterval(() => void renewed.report().catch(() => undefined), 1_500);
  try {
    const silent = await opened("alice");
    await silent.report();
    const last = performance.now();
    await until(() => silent.endedAt().every((at) => at !== undefined), "all of it is over", MAX_AGE_MS + LATE_MS + 5_000);
    for (const at of silent.endedAt()) {
      expect((at ?? 0) - last).toBeGreaterThan(MAX_AGE_MS - 1_000);
      expect((at ?? 0) - last).toBeLessThan(MAX_AGE_MS + LATE_MS);
    }
    await silent.login?.leave();
    silent.agent.close();
    expect([...renewed.clients.map(({ kind, end }) => `${kind} ${end ?? "open"}`), renewed.busy.stream.end, renewed.quiet.stream.end]).toEqual(["download open", "events open", "websocket open", "open", "open"]);
    expect(renewed.login?.exit()).toBeUndefined();
    const now = performance.now();
    await until(() => renewed.clients.every((client) => client.lastStamp > now), "the other's goes on", 5_000);
  } finally {
    clearInterval(renewing);
    for (const client of renewed.clients) client.abandon();
    await renewed.login?.leave();
    renewed.agent.close();
  }
});
