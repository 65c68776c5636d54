/** Live connections of a subject: a WebSocket in the browser and, by the agent, a TCP connection of the same session. */
import { expect } from "vitest";
import { until } from "../../start/running-stack.ts";
import { type ClientSide, open } from "../revocation/stream-clients.ts";
import { TestAgent } from "../tcp/agent-client.ts";
import { type AppConnection, appConnection } from "../tcp/app-connection.ts";
import { call, type Person } from "./person.ts";
import type { World } from "./world.ts";

const CUT_WITHIN_MS = 5_000;

export interface Live {
  readonly web: ClientSide;
  readonly tcp?: AppConnection;
  /** Bytes that the TCP connection brought back. */
  readonly received: () => number;
  readonly leave: () => Promise<void>;
}

export interface LiveOptions {
  readonly path?: string;
  /** The TCP app beside it. */
  readonly tcp?: string;
}

/** Opens them; each has carried something. */
export async function live(person: Person, app: string, { path = "/low", tcp: tcpId }: LiveOptions = {}): Promise<Live> {
  const { world, browser, place } = person;
  // The sign-in is handed on to the host, as a page that opens a WebSocket was opened before.
  await call(person, app);
  const home = new URL(world.at(app));
  const headers = { host: home.host, origin: home.origin, cookie: browser.cookieHeader(home.href), ...world.from(place) };
  const opened = await open("websocket", { port: world.stack.port, headers, name: crypto.randomUUID(), at: path });
  if (!opened.ok) throw new Error(`the WebSocket was refused: ${opened.status}`);
  let received = 0;
  if (tcpId === undefined) return { web: opened.client, received: () => 0, leave: async () => opened.client.abandon() };
  const agent = await TestAgent.connect({ port: world.stack.port, host: new URL(world.launcher).host, app: tcpId, token: person.token, headers: world.from(place) });
  const tcp = await appConnection(agent, tcpId);
  tcp.local.on("error", () => undefined);
  tcp.local.on("data", (bytes: Buffer) => (received += bytes.length));
  tcp.local.write("hello");
  await until(() => received > 0, "the echo answers");
  const leave = async (): Promise<void> => {
    opened.client.abandon();
    if (tcp.stream.end === "open") {
      tcp.local.end();
      await tcp.over;
    }
    agent.close();
  };
  return { web: opened.client, tcp, received: () => received, leave };
}

/** All of it goes on: something that was sent now comes back. */
export async function goesOn({ web, tcp, received }: Live): Promise<void> {
  const [now, before] = [performance.now(), received()];
  tcp?.local.write("still there");
  await until(() => web.endedAt !== undefined || (web.lastStamp > now && (tcp === undefined || received() > before)), "it goes on");
  expect([web.end, tcp?.stream.end]).toEqual([undefined, tcp === undefined ? undefined : "open"]);
}

/** All of it is over. `answered`: what ended it was answered before this call, so that nothing that the app wrote since may arrive. */
export async function isTerminated(world: World, { web, tcp }: Live, answered = true): Promise<void> {
  const now = answered ? performance.now() : Infinity;
  await until(() => web.end !== undefined && world.web.sides.get(web.name)?.endedAt !== undefined && tcp?.stream.end !== "open", "it is over", CUT_WITHIN_MS);
  expect(web.end).toMatch(/^44\d\d$/);
  expect(web.lastStamp).toBeLessThanOrEqual(now);
  if (tcp !== undefined) expect(tcp.stream.end).toMatch(/^closed /);
}

/** Nothing passes, nothing has ended: an answer to what is sent now does not come, while another's does. */
export async function isHeld(held: Live, other: Live): Promise<void> {
  const [stamps, before] = [held.web.stamps, held.received()];
  held.tcp?.local.write("held back");
  await goesOn(other);
  await goesOn(other);
  expect([held.web.end, held.web.stamps, held.received()]).toEqual([undefined, stamps, before]);
}
