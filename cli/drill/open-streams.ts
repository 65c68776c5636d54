/** How a drill opens a connection of each protocol to the canary. What went wrong is a Failure or an AgentFailure. */
import type { IncomingMessage } from "node:http";
import { duplexPair } from "node:stream";
import { AgentFailure } from "../../agent/agent-failure.ts";
import { openAppSocket } from "../../agent/edge-socket.ts";
import type { TcpAgent } from "../../agent/tcp-agent.ts";
import { Turns } from "../../core/turns.ts";
import { CANARY_PATHS, LINES_UPGRADE } from "../../protocol/canary.ts";
import { stampedLine } from "../../protocol/stamped-lines.ts";
import { refusedBy } from "../edge-client.ts";
import type { EdgeRoute } from "../edge-route.ts";
import { Failure } from "../failure.ts";
import { send } from "../http.ts";
import { type DrillProtocol, LiveStream, type Transits } from "./live-stream.ts";

/** Handshake and first lines. */
const OPEN_MS = 15_000;
/** No connection of a drill lives longer, whatever happens. */
const LIFE_MS = 110_000;
/** What we write where there is a way back, on all connections together: a drill must not be a load. */
const LINES_PER_S = 200;
const TICK_MS = 10;
const MAX_QUEUED_BYTES = 64 * 1024;
/** Time between two looks at whether a Close frame has come: it is the frame that counts, and `ws` tells only of the end of the connection behind it. */
const CLOSE_LOOK_MS = 5;
/** A refusal is one small JSON object. */
const MAX_REFUSAL_BYTES = 64 * 1024;

export interface Ground {
  /** The canary's http app at its own address. */
  readonly web: EdgeRoute;
  readonly token: string;
  /** For its tcp app, if it has one. */
  readonly agent: TcpAgent | undefined;
  readonly transits: Transits;
  readonly speaker: Speaker;
  readonly clock: () => number;
}

/** Opens one and waits until bytes flow; it is hung up when `signal` says so. Rejects with Failure or AgentFailure. */
export async function openStream(protocol: DrillProtocol, name: string, ground: Ground, signal: AbortSignal): Promise<LiveStream> {
  const stream = new LiveStream(protocol, name, ground.transits, ground.clock);
  let late: NodeJS.Timeout | undefined;
  try {
    const opening = WAYS[protocol](stream, ground, signal).then(() => stream.live);
    await Promise.race([opening, new Promise<never>((_done, fail) => (late = setTimeout(() => fail(silent(protocol)), OPEN_MS)))]);
    return stream;
  } catch (error) {
    throw error instanceof Failure || error instanceof AgentFailure ? error : silent(protocol);
  } finally {
    clearTimeout(late);
  }
}

const silent = (protocol: DrillProtocol): Failure =>
  new Failure("no_canary", `a ${protocol} connection to the canary was opened, and no canary spoke on it`, "what answers at the app's upstream is no canary, or something on the way holds its bytes", ["postern-connector run --canary HOST:PORT, the upstream of the canary's apps", "postern edge-status"]);

type Way = (stream: LiveStream, ground: Ground, signal: AbortSignal) => Promise<void>;

const body = (path: string): Way => async (stream, ground, signal) => {
  const answer = await send(ground.web, { method: "GET", path: `${path}?name=${stream.name}`, headers: { authorization: `Bearer ${ground.token}`, accept: "*/*" }, deadlineMs: LIFE_MS, signal });
  if (answer.statusCode !== 200) throw await refusalOf(answer, ground.web);
  answer.setEncoding("latin1");
  answer.on("data", (text: string) => stream.hear(text));
  answer.on("error", () => undefined);
  answer.on("close", () => stream.over(answer.complete ? "whole" : "broken"));
};

/** What answered instead of the canary. */
export async function refusalOf(answer: IncomingMessage, route: EdgeRoute): Promise<Failure> {
  let text = "";
  answer.setEncoding("utf8");
  try {
    for await (const part of answer as AsyncIterable<string>) {
      text += part;
      if (text.length > MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // What has come so far may be enough.
  }
  return refusedBy({ status: answer.statusCode ?? 0, headers: answer.headers, text }, route);
}

/** Writes lines on all connections of a round, in turn, for as long as they live. */
export class Speaker {
  readonly #clock: () => number;
  readonly #turns: Turns<() => void>;
  readonly #timer: NodeJS.Timeout;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.#turns = new Turns(LINES_PER_S, clock());
    this.#timer = setInterval(() => {
      for (const write of this.#turns.due(clock())) write();
    }, TICK_MS);
  }

  join(stream: LiveStream, write: (line: string) => void): void {
    const leave = this.#turns.join(() => (stream.endedAt === undefined ? write(stampedLine(this.#clock())) : leave()));
  }

  hush(): void {
    clearInterval(this.#timer);
  }
}

const webSocket: Way = async (stream, ground, signal) => {
  const socket = await openAppSocket(ground.web, `${CANARY_PATHS.socket}?name=${stream.name}`, ground.token);
  const look = setInterval(() => {
    if (socket.readyState < socket.CLOSING) return;
    clearInterval(look);
    stream.over("");
    socket.terminate();
  }, CLOSE_LOOK_MS);
  socket.on("message", (data: Buffer) => stream.hear(data.toString("latin1")));
  socket.on("close", (code) => {
    clearInterval(look);
    stream.over(String(code));
  });
  ground.speaker.join(stream, (line) => {
    if (socket.readyState === socket.OPEN && socket.bufferedAmount < MAX_QUEUED_BYTES) socket.send(line);
  });
  const hangUp = (): void => socket.terminate();
  if (signal.aborted) hangUp();
  signal.addEventListener("abort", hangUp);
  socket.resume();
};

/** A local program's connection, without the port in between: what `postern tcp` carries is carried here. */
const tcp: Way = (stream, ground, signal) => {
  if (ground.agent === undefined) return Promise.reject(new Error("no agent"));
  const [ours, theirs] = duplexPair();
  ours.on("error", () => undefined);
  ours.on("data", (chunk: Buffer) => stream.hear(chunk.toString("latin1")));
  ours.write(`GET ${CANARY_PATHS.lines}?name=${stream.name} HTTP/1.1\r\nHost: canary\r\nConnection: Upgrade\r\nUpgrade: ${LINES_UPGRADE}\r\n\r\n`);
  ground.speaker.join(stream, (line) => {
    if (ours.writable && ours.writableLength < MAX_QUEUED_BYTES) ours.write(line, "latin1");
  });
  signal.addEventListener("abort", () => theirs.destroy());
  ground.agent.carry(theirs).then(
    () => stream.over("whole"),
    (why: unknown) => stream.over(why instanceof AgentFailure ? why.code : "broken", why),
  );
  return Promise.resolve();
};

const WAYS: Readonly<Record<DrillProtocol, Way>> = { http: body(CANARY_PATHS.response), sse: body(CANARY_PATHS.events), websocket: webSocket, tcp };
