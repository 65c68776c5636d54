/**
 * A drill: connections of every protocol to a canary, revoked round by round, each judged by its
 * receipt and by what came after it. Ends nothing but what it opened, and leaves no token behind.
 */
import type { ReceiptAnswer, RevokeQuestion } from "../../protocol/admin-api.ts";
import type { EdgeClient } from "../edge-client.ts";
import { type AgentOptions, agentFor } from "../app-connection.ts";
import { Failure } from "../failure.ts";
import type { Invocation } from "../invocation.ts";
import { askCanaries } from "./ask-canary.ts";
import { type CanaryApps, inUse, presentAt } from "./canary-apps.ts";
import { DRILL_SERVICE, type DrillToken, revoke } from "./drill-token.ts";
import { DRILL_PROTOCOLS, type DrillProtocol, type LiveStream, Transits } from "./live-stream.ts";
import { type Fault, faultsOf, reportOf, type Revoked, type RoundReport, type Subject } from "./measure.ts";
import { openStream, Speaker } from "./open-streams.ts";
import { watchStalls } from "./stalls.ts";

const SUBJECTS: readonly Subject[] = ["session", "service", "app"];
/** Handshakes under way at once. */
const AT_ONCE_COUNT = 16;
/** Longest wait for the ends of what a receipt closed. */
const END_MS = 5_000;
const LOOK_MS = 5;
/** No round begins later: what is slow is told, and does not go on for ever. */
const BEGIN_WITHIN_MS = 45_000;
const RUN_BYTES = 8;

export interface DrillParts {
  readonly client: EdgeClient;
  readonly apps: CanaryApps;
  readonly token: DrillToken;
  readonly streams: number;
  readonly force: boolean;
  readonly agent: AgentOptions;
  readonly invocation: Invocation;
  /** Hangs everything up. */
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export interface DrillReport {
  readonly ok: boolean;
  readonly app: string;
  readonly tcp_app: string | null;
  /** Of each protocol. */
  readonly streams: number;
  readonly rounds: readonly RoundReport[];
  /** What was not tried, or not looked at, and why. */
  readonly left_out: readonly string[];
  readonly faults: readonly Fault[];
}

interface Crowd {
  readonly run: string;
  readonly streams: readonly LiveStream[];
  readonly end: () => Promise<void>;
}

const clock = (): number => performance.now();
const pause = (ms: number): Promise<void> => new Promise((over) => setTimeout(over, ms));

/** Rejects with Failure or AgentFailure when it could not be tried; what was tried and is not as promised is in the report. */
export async function drill(parts: DrillParts): Promise<DrillReport> {
  const { apps, streams, say } = parts;
  const rounds: RoundReport[] = [];
  const leftOut = [...(apps.tcp === undefined ? ["tcp: the document has no TCP app for the canary"] : []), "ssh: to edge, agent and connector it is bytes of a TCP app, and is covered by tcp; the canary speaks no ssh"];
  let faults: readonly Fault[] = [];
  const began = clock();
  for (const [number, subject] of SUBJECTS.entries()) {
    const why = subject === "app" ? await reasonAgainst(parts) : undefined;
    if (why !== undefined) {
      leftOut.push(`${subject}: ${why}`);
      continue;
    }
    if (clock() - began > BEGIN_WITHIN_MS) {
      leftOut.push(`${subject}: the rounds before took too long`);
      continue;
    }
    const crowd = await gather(parts);
    try {
      say(`round ${number + 1} of ${SUBJECTS.length}, ${subject}: ${crowd.streams.length} connections are live; revoking`);
      const { report, isAsked } = await play(subject, crowd, parts);
      rounds.push(report);
      if (!isAsked) leftOut.push(`${subject}: what the canary heard could not be asked`);
      faults = faultsOf(report);
    } finally {
      await crowd.end();
    }
    if (faults.length === 0) continue;
    leftOut.push(...SUBJECTS.slice(number + 1).map((left) => `${left}: not tried, since ${subject} was not as promised`));
    break;
  }
  if (rounds.length === 0) throw new Failure("drill_empty", "nothing could be tried", leftOut.join("; "), ["--force drills the app all the same"]);
  return { ok: faults.length === 0, app: apps.web, tcp_app: apps.tcp ?? null, streams, rounds, left_out: leftOut, faults };
}

/** Why revoking the apps might end what is not the drill's own. Throws Failure when others are there for sure. */
async function reasonAgainst({ client, apps, force }: DrillParts): Promise<string | undefined> {
  if (force) return undefined;
  const present = await presentAt(client, apps);
  if (present.others > 0) throw inUse(apps, present);
  return present.isPartial ? "the edge does not list all sessions, so others may be there; --force ends them too" : undefined;
}

/** So many connections of each protocol, all live. */
async function gather({ apps, token, streams, invocation, agent: options, signal }: DrillParts): Promise<Crowd> {
  const run = Buffer.from(invocation.io.random(RUN_BYTES)).toString("hex");
  const [secret, transits, hangUp] = [await token.valid(), new Transits(), new AbortController()];
  const agent = apps.tcp === undefined ? undefined : await agentFor(apps.tcp, options, invocation, secret);
  const speaker = new Speaker(clock);
  const end = async (): Promise<void> => {
    hangUp.abort();
    speaker.hush();
    await agent?.close();
  };
  try {
    // A refusal is heard before anything waits for it.
    await agent?.probe();
    const wanted = DRILL_PROTOCOLS.filter((protocol) => protocol !== "tcp" || agent !== undefined).flatMap((protocol) => Array.from({ length: streams }, (_, n): [DrillProtocol, string] => [protocol, `${run}.${protocol}-${n}`]));
    const next = wanted.values();
    const opened: LiveStream[] = [];
    const both = AbortSignal.any([signal, hangUp.signal]);
    const work = async (): Promise<void> => {
      for (const [protocol, name] of next) opened.push(await openStream(protocol, name, { web: apps.route, token: secret, agent, transits, speaker, clock }, both));
    };
    await Promise.all(Array.from({ length: AT_ONCE_COUNT }, work));
    return { run, streams: opened, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** What a round revokes, and which connections each revocation is about. */
async function targetsOf(subject: Subject, { streams }: Crowd, { client, apps }: DrillParts): Promise<readonly { readonly kind: RevokeQuestion["kind"]; readonly id: string; readonly streams: readonly LiveStream[] }[]> {
  if (subject === "service") return [{ kind: "service", id: DRILL_SERVICE, streams }];
  if (subject === "app") {
    const web = { kind: "app" as const, id: apps.web, streams: streams.filter(({ protocol }) => protocol !== "tcp") };
    return apps.tcp === undefined ? [web] : [web, { kind: "app", id: apps.tcp, streams: streams.filter(({ protocol }) => protocol === "tcp") }];
  }
  const { own } = await presentAt(client, apps);
  const [id] = own;
  if (id === undefined || own.length > 1) throw new Failure("session_unknown", `the edge lists ${own.length} sessions of the service ${DRILL_SERVICE}`, "the drill's own is needed to revoke it; a list that is not whole may lack it", ["postern sessions"]);
  return [{ kind: "session", id, streams }];
}

async function play(subject: Subject, crowd: Crowd, parts: DrillParts): Promise<{ readonly report: RoundReport; readonly isAsked: boolean }> {
  const { client, apps, token } = parts;
  const targets = await targetsOf(subject, crowd, parts);
  const stalls = watchStalls(clock);
  const revoked = await Promise.all(
    targets.map(async ({ kind, id, streams }): Promise<Revoked> => {
      const askedAt = clock();
      const receipt: ReceiptAnswer = await revoke(client, kind, id);
      const readAt = clock();
      for (const stream of streams) stream.receiptRead(readAt);
      return { receipt, askedAt, readAt, streams };
    }),
  ).catch((error: unknown) => {
    stalls();
    throw error;
  });
  const deadline = clock() + END_MS;
  while (crowd.streams.some(({ end }) => end === undefined) && clock() < deadline) await pause(LOOK_MS);
  const stalledMs = stalls();
  if (subject !== "app") token.spent();
  const canaries = new Set(crowd.streams.flatMap(({ canary }) => canary ?? []));
  // Who did not confirm may not answer either, and would only be waited for.
  const isComplete = revoked.every(({ receipt }) => receipt.complete);
  const heard = isComplete ? await askCanaries(apps.route, await token.valid(), crowd.run, canaries) : undefined;
  return { report: reportOf({ subject, revoked, stalledMs, heard }), isAsked: heard !== undefined };
}
