/**
 * One case: so many live connections of one protocol, a signal, its receipt; again and again. What
 * came after each receipt is told by both ends' stamps and by what the connector counted.
 */
import { loopbackFetch } from "../../start/loopback-http.ts";
import { cpuMicroseconds } from "../measure/proc.ts";
import { pause } from "./clock.ts";
import { appOf, isCarried, openFor, type Protocol } from "./protocols.ts";
import type { SignedIn } from "./sessions.ts";
import type { Outcome } from "./sides.ts";
import type { Acknowledged, Scene, Signal } from "./signals.ts";
import type { Stage } from "./stage.ts";

/** TCP streams that one session may have (MAX_SESSION_STREAMS_COUNT is 768); the rest of a crowd is another session's and lives on. */
const MAX_CARRIED_COUNT = 700;
/** Agents of one app: each acts for one session. */
const AGENTS_COUNT = 2;
/** Time for chunks to flow both ways between the mark and the signal. */
const FLOW_MS = 15;
/** Longest wait for the ends of what a receipt closed. */
const END_MS = 5_000;
/** Attempts to open a crowd in the time that there is. */
const MAX_TRIES_COUNT = 5;
/** What is held and not ended is watched for so long: its app and its client go on writing. */
const HOLD_MS = 300;

export interface Sample {
  readonly tookMs: number;
  /** From the receipt until the last client saw its end, or, of what is held, its last chunk; 0 when that was before it. */
  readonly clientEndMs: number;
  readonly afterBytes: number;
  readonly inFlightBytes: number;
  /** What edge and connector spent between the call and its answer, in milliseconds: steadier than any clock on a busy machine. */
  readonly cpuMs: { readonly edge: number; readonly connector: number };
  /** What did not happen as a receipt promises. */
  readonly faults: readonly string[];
}

/** Connections of one session, by the name that both ends know them by. */
interface Group {
  readonly group: string;
  readonly count: number;
}

/** One after the other, each with connections of its own. */
export class Receipts {
  readonly #stage: Stage;
  readonly #signal: Signal;
  readonly #protocol: Protocol;
  readonly #live: number;
  #crowds = 0;
  #people = 0;
  #person = "";
  #sessions: readonly SignedIn[] = [];
  /** Whoever comes next, signed in while connections are opened for whoever is there now. */
  #upcoming: Promise<Scene> | undefined;
  #kept: Group | undefined;

  constructor(stage: Stage, signal: Signal, protocol: Protocol, live: number) {
    this.#stage = stage;
    this.#signal = signal;
    this.#protocol = protocol;
    this.#live = live;
  }

  async next(): Promise<Sample> {
    const { stage } = { stage: this.#stage };
    const scene = await (this.#upcoming ?? this.#scene());
    this.#upcoming = this.#mayComeEarly ? this.#scene() : undefined;
    const [groups] = await Promise.all([this.#gatherInTime(scene), this.#upcoming]);
    const names = groups.map(({ group }) => group);
    const cutCount = groups.reduce((sum, { count }) => sum + count, 0);
    await Promise.all([stage.app("mark"), stage.clients("mark")]);
    await pause(FLOW_MS);
    const spent = cpuOf(stage);
    const done = await this.#signal.fire(scene);
    const cpuMs = spent();
    const handed = this.#kept === undefined ? await handedOver(stage) : undefined;
    const holds = this.#signal.holds === true;
    const ended = { names, timeoutMs: END_MS };
    await (holds ? pause(HOLD_MS) : Promise.all([stage.clients("ended", ended), stage.app("ended", ended)]));
    const asked = { names, moment: done.at };
    const [client, app] = await Promise.all([stage.clients<Outcome>("outcome", asked), stage.app<Outcome>("outcome", asked)]);
    const handedLater = handed === undefined ? 0 : ((await handedOver(stage)) ?? handed) - handed;
    const faults = [...faultsOf(done, cutCount, client, app, holds), ...(await this.#keptFaults(done.at))];
    await Promise.all([stage.clients("abandon", names), stage.app("forget", names)]);
    await this.#signal.restore?.(scene);
    return { tookMs: done.tookMs, clientEndMs: Math.max(0, (holds ? client.lastChunkAt : client.lastEndAt) - done.at), afterBytes: client.afterBytes + app.afterBytes + handedLater, inFlightBytes: client.inFlightBytes, cpuMs, faults };
  }

  /** Hangs up what lives on. */
  async end(): Promise<void> {
    await this.#upcoming?.catch(() => undefined);
    if (this.#kept !== undefined) {
      await this.#stage.clients("abandon", [this.#kept.group]);
      await this.#stage.app("ended", { names: [this.#kept.group], timeoutMs: END_MS });
      await this.#stage.app("forget", [this.#kept.group]);
    }
    await this.#stage.endAgents();
  }

  /** Not a service, whose tokens all end with it. */
  get #mayComeEarly(): boolean {
    return this.#signal.spends !== "nothing" && this.#signal.signIn === undefined;
  }

  get #sessionsCount(): number {
    const most = isCarried(this.#protocol) ? AGENTS_COUNT : this.#signal.sessions;
    return Math.min(this.#signal.sessions, most, this.#live);
  }

  async #scene(): Promise<Scene> {
    const { name, spends, signIn, prepare } = this.#signal;
    const app = appOf(this.#protocol);
    if (spends === "person" || this.#person === "") this.#person = `${name}-${this.#protocol}-${this.#live}-${this.#people++}`;
    const person = this.#person;
    if (spends !== "nothing" || this.#sessions.length === 0) {
      const make = signIn ?? ((stage: Stage, of: string) => stage.signIn(of, app));
      const sessions: SignedIn[] = [];
      while (sessions.length < this.#sessionsCount) sessions.push(await make(this.#stage, person, app));
      this.#sessions = sessions;
      await prepare?.({ stage: this.#stage, app, person, sessions });
    }
    return { stage: this.#stage, app, person, sessions: this.#sessions };
  }

  /** Again with more time, where what allows the connections ran out before all were open. */
  async #gatherInTime(scene: Scene): Promise<readonly Group[]> {
    const { longer, isInTime } = this.#signal;
    for (let tries = 1; longer !== undefined && tries < MAX_TRIES_COUNT; tries++) {
      const groups = await this.#gather(scene).catch(() => undefined);
      if (groups !== undefined && isInTime?.(scene) !== false) return groups;
      await longer(scene, tries);
    }
    return this.#gather(scene);
  }

  /** Opens what the signal will end, and once what it will not. */
  async #gather({ sessions, person }: Scene): Promise<readonly Group[]> {
    const mostOfOne = isCarried(this.#protocol) ? MAX_CARRIED_COUNT : this.#live;
    const cutCount = Math.min(this.#live, sessions.length * mostOfOne);
    const id = `${this.#signal.name}-${this.#protocol}-${this.#live}-${this.#crowds++}`;
    const groups = sessions.map((_session, i) => ({ group: `${id}-${i}`, count: Math.floor(cutCount / sessions.length) + (i < cutCount % sessions.length ? 1 : 0) }));
    await Promise.all(groups.map(({ group, count }, i) => openFor(this.#stage, this.#protocol, sessions[i] as SignedIn, count, group, i, this.#signal.longer === undefined ? {} : { patienceMs: 0 })));
    if (cutCount < this.#live && this.#kept === undefined) {
      this.#kept = { group: `${id}-kept`, count: this.#live - cutCount };
      await openFor(this.#stage, this.#protocol, await this.#stage.signIn(`${person}-kept`, appOf(this.#protocol)), this.#kept.count, this.#kept.group, sessions.length);
    }
    return groups;
  }

  async #keptFaults(moment: number): Promise<readonly string[]> {
    if (this.#kept === undefined) return [];
    const { group, count } = this.#kept;
    const { openCount, ends } = await this.#stage.clients<Outcome>("outcome", { names: [group], moment });
    return openCount === count ? [] : [`${count - openCount} connections of another session ended too (${JSON.stringify(ends)})`];
  }
}

/** What must hold after a receipt besides the figures. */
function faultsOf({ receipt }: Acknowledged, live: number, client: Outcome, app: Outcome, holds: boolean): readonly string[] {
  const faults: string[] = [];
  if (!holds && client.openCount > 0) faults.push(`${client.openCount} connections never ended at their clients: ${client.open.join(", ")}`);
  if (!holds && app.openCount > 0) faults.push(`${app.openCount} connections never ended at the app: ${app.open.join(", ")}`);
  if ((client.ends["whole"] ?? 0) > 0) faults.push(`${client.ends["whole"]} connections ended as if they were whole`);
  if (receipt !== undefined && (!receipt.complete || receipt.closed < live)) faults.push(`the receipt says found ${receipt.found}, closed ${receipt.closed} of ${live}, unconfirmed ${receipt.unconfirmed.length}`);
  return faults;
}

/** From now on: the answer says what was spent since, in milliseconds. */
function cpuOf(stage: Stage): () => Sample["cpuMs"] {
  const pids = { edge: stage.stack.edge().pid, connector: stage.connector().child.pid };
  const now = (): Sample["cpuMs"] => ({ edge: cpuMicroseconds(pids.edge) / 1_000, connector: cpuMicroseconds(pids.connector) / 1_000 });
  const before = now();
  return () => {
    const after = now();
    // A connector that was revoked has ended, and its counters with it.
    return { edge: Math.max(0, after.edge - before.edge), connector: Math.max(0, after.connector - before.connector) };
  };
}

/** Bytes that the connector has handed to the app so far; undefined when it is gone. */
async function handedOver(stage: Stage): Promise<number | undefined> {
  const answer = await loopbackFetch(`${stage.connector().metrics}/metrics`).catch(() => undefined);
  if (answer === undefined) return undefined;
  return [...answer.text.matchAll(/^postern_connector_bytes_total\{[^}]*direction="in"[^}]*\} (\d+)/gm)].reduce((sum, found) => sum + Number(found[1]), 0);
}
