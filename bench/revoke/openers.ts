/** How a client opens one connection of each kind: resolves once its first stamped chunk has come. */
import { spawn } from "node:child_process";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { WebSocket } from "ws";
import { plainEnvironment } from "../../start/processes.ts";
import { monotonicMs, pause } from "./clock.ts";
import { Side } from "./sides.ts";
import { Pulse, stampedLine } from "./stamps.ts";

/** `ssh` is an OpenSSH login; what stands beside it at the same app is `tcp`. */
export type Way = "http" | "sse" | "websocket" | "tcp" | "ssh";

/** How somebody logs in at a port: program and options, who at which host, and what runs there with the connection's name behind it. */
export interface Login {
  readonly argv: readonly string[];
  readonly target: string;
  readonly remote: string;
}

export interface Plan {
  readonly group: string;
  readonly way: Way;
  readonly count: number;
  /** The edge's port, or the agent's. */
  readonly port: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** For `ssh`. */
  readonly login?: Login;
  /** How long a refusal is tried again; absent: OPEN_MS. */
  readonly patienceMs?: number;
}

export interface Opened {
  readonly side: Side;
  readonly abandon: () => void;
}

/** Longest wait for the first chunk; what was refused until then is tried again. */
const OPEN_MS = 20_000;
const AGAIN_MS = 25;
const CHUNKS_PER_S = 200;
const MAX_QUEUED_BYTES = 64 * 1024;
/** Time between two looks at whether a Close frame has come. */
const CLOSE_LOOK_MS = 2;

const pulse = new Pulse(CHUNKS_PER_S);

/** One try: what it made once the first chunk came, or why it did not. */
type Try = (plan: Plan, side: Side, first: () => void, fail: (why: string) => void) => () => void;

const body = (path: string): Try => (plan, side, first, fail) => {
  const call = httpRequest({ host: "127.0.0.1", port: plan.port, path: `${path}?name=${side.name}`, headers: { ...plan.headers }, agent: false }, (answer) => {
    if (answer.statusCode !== 200) {
      answer.resume();
      return fail(`status ${answer.statusCode}`);
    }
    answer.on("data", (chunk: Buffer) => {
      side.heard.feed(chunk.toString("latin1"));
      if (side.heard.count > 0) first();
    });
    answer.on("error", () => undefined);
    answer.on("close", () => {
      side.ended(answer.complete ? "whole" : "error");
      fail("it ended at once");
    });
  });
  call.on("error", (cause) => fail(cause.message));
  call.end();
  return () => call.destroy();
};

/** Sockets whose Close frame is waited for: it is the frame that counts, and `ws` tells only of the end of the connection behind it. */
const open = new Map<WebSocket, Side>();
setInterval(() => {
  for (const [socket, side] of open) {
    if (socket.readyState < socket.CLOSING) continue;
    open.delete(socket);
    side.ended("");
    socket.terminate();
  }
}, CLOSE_LOOK_MS).unref();

const websocket: Try = (plan, side, first, fail) => {
  const socket = new WebSocket(`ws://127.0.0.1:${plan.port}/socket?name=${side.name}`, { headers: { ...plan.headers }, perMessageDeflate: false, handshakeTimeout: OPEN_MS });
  let leave = (): void => undefined;
  socket.on("error", (cause) => fail(cause.message));
  socket.on("open", () => {
    open.set(socket, side);
    leave = pulse.join(() => {
      if (socket.readyState === socket.OPEN && socket.bufferedAmount < MAX_QUEUED_BYTES) socket.send(stampedLine());
    });
  });
  socket.on("message", (data: Buffer) => {
    side.heard.feed(data.toString("latin1"));
    if (side.heard.count > 0) first();
  });
  socket.on("close", (code) => {
    leave();
    open.delete(socket);
    side.ended(String(code));
    fail(`closed with ${code}`);
  });
  return () => socket.terminate();
};

const tcp: Try = (plan, side, first, fail) => {
  const socket = connect({ host: "127.0.0.1", port: plan.port, noDelay: true });
  let isBroken = false;
  socket.on("error", () => (isBroken = true));
  socket.write(`open ${side.name}\n`);
  const leave = pulse.join(() => {
    if (socket.writableLength < MAX_QUEUED_BYTES && socket.writable) socket.write(stampedLine(), "latin1");
  });
  socket.on("data", (chunk: Buffer) => {
    side.heard.feed(chunk.toString("latin1"));
    if (side.heard.count > 0) first();
  });
  socket.on("end", () => socket.destroy());
  socket.on("close", () => {
    leave();
    side.ended(isBroken ? "error" : "whole");
    fail("the agent hung up");
  });
  return () => socket.resetAndDestroy();
};

const ssh: Try = (plan, side, first, fail) => {
  const { argv: [command = "", ...options] = [], target = "", remote = "" } = plan.login ?? {};
  const child = spawn(command, [...options, "-p", String(plan.port), target, `${remote} ${side.name}`], { stdio: ["pipe", "pipe", "ignore"], env: plainEnvironment() });
  const leave = pulse.join(() => {
    if (child.stdin.writableLength < MAX_QUEUED_BYTES && child.stdin.writable) child.stdin.write(stampedLine(), "latin1");
  });
  child.stdin.on("error", () => undefined);
  child.on("error", (cause) => fail(cause.message));
  child.stdout.on("data", (chunk: Buffer) => {
    side.heard.feed(chunk.toString("latin1"));
    if (side.heard.count > 0) first();
  });
  child.on("exit", (code) => {
    leave();
    side.ended(code === 0 ? "whole" : "error");
    fail(`ssh ended with ${code}`);
  });
  return () => void child.kill("SIGKILL");
};

/** A refusal is tried again for a while: an agent may still hold a link of the session before. */
const patient = (once: Try) => async (plan: Plan, name: string): Promise<Opened> => {
  const deadline = monotonicMs() + (plan.patienceMs ?? OPEN_MS);
  for (let tries = 0; ; tries++) {
    const side = new Side(tries === 0 ? name : `${name}-${tries}`);
    let abandon: () => void = () => undefined;
    let timer: NodeJS.Timeout | undefined;
    const why = await new Promise<string | undefined>((done) => {
      timer = setTimeout(() => done("nothing came"), OPEN_MS);
      abandon = once(plan, side, () => done(undefined), done);
    });
    clearTimeout(timer);
    if (why === undefined) return { side, abandon };
    abandon();
    if (monotonicMs() > deadline) throw new Error(`${plan.way} ${name}: ${why}`);
    await pause(AGAIN_MS);
  }
};

export const openers: Readonly<Record<Way, (plan: Plan, name: string) => Promise<Opened>>> = {
  http: patient(body("/response")),
  sse: patient(body("/events")),
  websocket: patient(websocket),
  tcp: patient(tcp),
  ssh: patient(ssh),
};
