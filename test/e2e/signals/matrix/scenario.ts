/**
 * One signal on connections of all five protocols together: opened, seen alive, the signal, and
 * what came of each. Nothing is judged here.
 */
import type { AgentFailure } from "../../../../agent/agent-failure.ts";
import { agentKey } from "../../../../agent/agent-key.ts";
import { KnownConnectors } from "../../../../agent/known-connectors.ts";
import { StateFolder } from "../../../../agent/state-folder.ts";
import { TcpAgent } from "../../../../agent/tcp-agent.ts";
import { listenFor } from "../../../../agent/tcp-listener.ts";
import { secureContext } from "../../../../agent/tls-identity.ts";
import type { AppId } from "../../../../core/ids.ts";
import { loopbackFetch } from "../../../../start/loopback-http.ts";
import { until } from "../../../start/running-stack.ts";
import type { AppSide } from "./app.ts";
import { type AgentPort, type Connection, openBody, openSsh, openTcp, openWebSocket, type Protocol } from "./clients.ts";
import { type Ground } from "./ground.ts";
import type { Holder } from "./somebody.ts";

/** Lines that each end has heard before the signal. */
const ALIVE_COUNT = 4;
/** Lines that are written after the signal before it counts that none came through. */
const HELD_COUNT = 6;
const OPEN_MS = 30_000;
/** Longest wait for what must come; the test says by how much it was late. */
const COME_MS = 8_000;

/** What whoever gave the signal was answered. */
export interface Answer {
  readonly found: number;
  readonly closed: number;
  readonly frozen?: number;
  readonly kept?: number;
  readonly unconfirmed?: readonly unknown[];
}

export interface Said {
  /** What the answer counts, if it counts. */
  readonly answer?: Answer;
  /** By performance.now(): since when nothing may pass; absent: since the answer. */
  readonly at?: number;
}

/** What a row needs: who holds the connections, at the apps of which need, and the signal by its real route. */
export interface Scene {
  readonly holder: Holder;
  readonly need: string;
  /** Resolves once it was answered, or once it must have come by itself. */
  readonly say: (opened: Opened) => Promise<Said>;
  /** What lets frozen connections go on. */
  readonly goesOn?: () => Promise<void>;
  /** Puts right what the next row needs. */
  readonly restore?: () => Promise<unknown>;
}

/** kept: all goes on. */
export type Outcome = "cut" | "frozen" | "limited" | "kept";

/** All connections of a row. */
export interface Opened {
  readonly connections: ReadonlyMap<Protocol, Connection>;
  readonly sideOf: (protocol: Protocol) => AppSide | undefined;
}

/** What became of one connection. */
export interface Fate {
  readonly connection: Connection;
  readonly side: AppSide;
  /** Lines heard by client and app before the signal. */
  readonly before: { readonly down: number; readonly up: number };
  /** How it had ended by then, if it had. */
  readonly end: Pick<Connection, "end" | "endedAt" | "agentCode"> & { readonly appEndedAt: number | undefined };
  /** The newest of the other's writes that client and app had heard when it was over, or seen to be held. */
  readonly after: { readonly down: number; readonly up: number };
  /** Of a frozen one: its state as operators see it, and whether it went on without losing a line. */
  readonly state: string | undefined;
  readonly wentOn: boolean;
  readonly misplaced: number;
}

export interface Played {
  /** When the answer was here. */
  readonly at: number;
  readonly answer: Answer | undefined;
  readonly fates: ReadonlyMap<Protocol, Fate>;
  /** Status of a write at the web app, before and after. */
  readonly writes: { readonly before: number; readonly after: number };
}

interface AgentOf {
  readonly port: AgentPort;
  readonly close: () => Promise<void>;
}

/** The agent's own code, at a port of this machine, for one app. */
async function startAgent(ground: Ground, holder: Holder, folder: StateFolder, app: string): Promise<AgentOf> {
  const edge = new URL(ground.stack.launcher);
  const failed = Promise.withResolvers<AgentFailure>();
  const notes: string[] = [];
  const agent = new TcpAgent({
    edge: { origin: edge, authorities: [], proxyEnvironment: undefined },
    token: () => Promise.resolve(holder.token),
    app: app as AppId,
    context: secureContext(await agentKey(folder)),
    known: new KnownConnectors(folder, edge.origin, Date.now, []),
    reports: { note: (text) => void notes.push(text) },
    random: () => 0.5,
  });
  const listener = await listenFor(agent, { host: "127.0.0.1", port: 0 }, (failure) => failed.resolve(failure as AgentFailure));
  return {
    port: { port: Number(listener.address.split(":").at(-1)), failed: failed.promise, notes },
    close: async () => {
      listener.close();
      await agent.close();
    },
  };
}

const writeStatus = async (ground: Ground, app: string, headers: Readonly<Record<string, string>>): Promise<number> =>
  (await loopbackFetch(`${ground.urlOf(app)}/plain`, { method: "POST", headers: { ...headers, accept: "application/json" }, body: "x" })).status;

/** As operators see them. A response and an event stream are one protocol there: what both are, or each. */
async function statesOf(ground: Ground, opened: readonly Connection[], need: string): Promise<ReadonlyMap<Protocol, string>> {
  const faces: Readonly<Record<Protocol, { readonly app: string; readonly protocol: string }>> = {
    http: { app: `web-${need}`, protocol: "http" },
    sse: { app: `web-${need}`, protocol: "http" },
    websocket: { app: `web-${need}`, protocol: "websocket" },
    tcp: { app: `pipe-${need}`, protocol: "tcp" },
    ssh: { app: `shell-${need}`, protocol: "tcp" },
  };
  const streams = (await ground.operator.sessions()).flatMap((one) => one.streams);
  return new Map(opened.map(({ protocol }) => [protocol, [...new Set(streams.filter((one) => one.app === faces[protocol].app && one.protocol === faces[protocol].protocol).map(({ state }) => state))].toSorted().join(", ")]));
}

/** Plays one scene, and leaves nothing open. */
export async function play(ground: Ground, scene: Scene, outcomeOf: (protocol: Protocol) => Outcome): Promise<Played> {
  const { holder, need } = scene;
  const web = { port: ground.stack.port, headers: await holder.headers(`web-${need}`) };
  const folder = new StateFolder(ground.folder("agent"));
  const [pipe, shell] = [await startAgent(ground, holder, folder, `pipe-${need}`), await startAgent(ground, holder, folder, `shell-${need}`)];
  const nameOf = (protocol: Protocol): string => `${holder.name}-${protocol}`;
  const overTcp = [openTcp("tcp", pipe.port, nameOf("tcp")), ground.sshd === undefined ? openTcp("ssh", shell.port, nameOf("ssh")) : openSsh(shell.port, ground.sshd, ground.app.tcpPort, nameOf("ssh"))];
  const opened = [...overTcp, ...(await Promise.all([openBody("http", web, nameOf("http")), openBody("sse", web, nameOf("sse")), openWebSocket(web, nameOf("websocket"))]))];
  const connections = new Map(opened.map((one) => [one.protocol, one]));
  const sideOf = (protocol: Protocol): AppSide | undefined => ground.app.sides.get(nameOf(protocol));
  const all = (holds: (one: Connection, side: AppSide) => boolean, which: (protocol: Protocol) => boolean = () => true): boolean =>
    opened.filter(({ protocol }) => which(protocol)).every((one) => {
      const side = sideOf(one.protocol);
      return side !== undefined && holds(one, side);
    });
  try {
    await until(() => all((one, side) => one.heard.count >= ALIVE_COUNT && (one.said === undefined || side.heard.count >= ALIVE_COUNT)), `${holder.name}: all five are alive`, OPEN_MS);
    const before = new Map(opened.map((one) => [one.protocol, { down: one.heard.count, up: sideOf(one.protocol)?.heard.count ?? 0 }]));
    const goesOn = (protocol: Protocol): boolean => outcomeOf(protocol) === "limited" || outcomeOf(protocol) === "kept";
    // A write is the user's own byte: nobody makes one where it would change what is looked at.
    const write = async (): Promise<number> => (opened.some(({ protocol }) => goesOn(protocol)) ? writeStatus(ground, `web-${need}`, web.headers) : 0);
    const writeBefore = await write();
    const said = await scene.say({ connections, sideOf });
    const { answer, at = performance.now() } = said;
    const is = (outcome: Outcome) => (protocol: Protocol): boolean => outcomeOf(protocol) === outcome;
    await until(() => all((one, side) => one.end !== undefined && side.endedAt !== undefined && (one.said === undefined || one.protocol === "websocket" || one.agentCode !== undefined), is("cut")), "cut", COME_MS).catch(() => undefined);
    const counts = new Map(opened.map((one) => [one.protocol, { said: one.said?.count ?? 0, app: sideOf(one.protocol)?.said.count ?? 0 }]));
    const wrote = (one: Connection, side: AppSide): boolean => {
      const then = counts.get(one.protocol);
      return side.said.count >= (then?.app ?? 0) + HELD_COUNT && (one.said === undefined || one.said.count >= (then?.said ?? 0) + HELD_COUNT);
    };
    await until(() => all(wrote, is("frozen")), "both ends wrote", COME_MS).catch(() => undefined);
    await until(() => all((one) => one.heard.lastStamp > at, goesOn), "what is limited goes on", COME_MS).catch(() => undefined);
    const writeAfter = await write();
    const states = await statesOf(ground, opened, need);
    const after = new Map(opened.map((one) => [one.protocol, { down: one.heard.lastStamp, up: sideOf(one.protocol)?.heard.lastStamp ?? 0 }]));
    const resumedAt = performance.now();
    await scene.goesOn?.();
    const hasGoneOn = (one: Connection, side: AppSide): boolean => one.heard.lastStamp > resumedAt && (one.said === undefined || side.heard.lastStamp > resumedAt);
    if (scene.goesOn !== undefined) await until(() => all(hasGoneOn, is("frozen")), "they go on", COME_MS).catch(() => undefined);
    const fates = new Map(
      opened.map((connection): [Protocol, Fate] => {
        const { protocol } = connection;
        const side = sideOf(protocol) as AppSide;
        const { end, endedAt, agentCode } = connection;
        const none = { down: 0, up: 0 };
        return [protocol, { connection, side, end: { end, endedAt, agentCode, appEndedAt: side.endedAt }, before: before.get(protocol) ?? none, after: after.get(protocol) ?? none, state: states.get(protocol), wentOn: hasGoneOn(connection, side), misplaced: connection.heard.misplaced + side.heard.misplaced }];
      }),
    );
    return { at, answer, fates, writes: { before: writeBefore, after: writeAfter } };
  } finally {
    for (const one of opened) one.abandon();
    for (const one of opened) one.said?.hush();
    await Promise.all([pipe.close(), shell.close()]);
    await scene.restore?.();
  }
}
