/**
 * Writes bytes to the edge as they are and reads every answer that comes back, so that no client
 * library repairs what a test wants to be broken. Plain HTTP/1.1 on loopback, with a deadline.
 */
import { createConnection } from "node:net";

export interface RawAnswer {
  readonly status: number;
  readonly reason: string;
  /** As on the wire (latin1). */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** False when the connection ended before the body was complete. */
  readonly complete: boolean;
}

export interface RawExchange {
  /** Final answers in order; interim ones (1xx) are in `interim`. */
  readonly answers: readonly RawAnswer[];
  readonly interim: readonly number[];
  /** The peer closed before the deadline. */
  readonly closed: boolean;
}

/** Longest wait for the edge to end one connection. */
const DEADLINE_MS = 15_000;

function parseOne(text: string, ended: boolean, head: boolean): { readonly answer: RawAnswer; readonly used: number } | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [first = "", ...lines] = text.slice(0, end).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 0);
  const headers = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()] as const);
  const value = (name: string): string | undefined => headers.find(([one]) => one.toLowerCase() === name)?.[1];
  const from = end + 4;
  const made = (body: string, used: number, complete = true) => ({ answer: { status, reason: first.slice(13), headers, body, complete }, used });
  if (head || status < 200 || status === 204 || status === 304) return made("", from);
  const length = value("content-length");
  if (length !== undefined) {
    const to = from + Number(length);
    return text.length >= to ? made(text.slice(from, to), to) : ended ? made(text.slice(from), text.length, false) : undefined;
  }
  if (value("transfer-encoding") !== "chunked") return ended ? made(text.slice(from), text.length) : undefined;
  let body = "";
  for (let at = from; ; ) {
    const line = text.indexOf("\r\n", at);
    const size = line < 0 ? Number.NaN : Number.parseInt(text.slice(at, line), 16);
    const to = line + 2 + size;
    if (Number.isNaN(size) || text.length < to + 2) return ended ? made(body, text.length, false) : undefined;
    body += text.slice(line + 2, to);
    at = to + 2;
    if (size === 0) return made(body, at);
  }
}

/** Parses as many answers as there are. `heads`: how many of them answer HEAD, from the first. */
export function parseAnswers(text: string, ended: boolean, heads = false): Pick<RawExchange, "answers" | "interim"> {
  const answers: RawAnswer[] = [];
  const interim: number[] = [];
  let rest = text;
  for (let one = parseOne(rest, ended, heads); one !== undefined; one = parseOne(rest, ended, heads)) {
    rest = rest.slice(one.used);
    if (one.answer.status >= 100 && one.answer.status < 200 && one.answer.status !== 101) interim.push(one.answer.status);
    else answers.push(one.answer);
  }
  return { answers, interim };
}

export interface SendOptions {
  /** Stop reading after this many final answers, instead of waiting for the peer to close. Default 1; Infinity: until it closes. */
  readonly answers?: number;
  readonly head?: boolean;
  /** Half-close after writing. */
  readonly halfClose?: boolean;
  readonly deadlineMs?: number;
}

/** Sends `bytes` (latin1) on a connection of its own and resolves with what came back; never rejects for what the peer does. */
export function sendRaw(port: number, bytes: string | readonly string[], options: SendOptions = {}): Promise<RawExchange> {
  const parts = typeof bytes === "string" ? [bytes] : bytes;
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port, allowHalfOpen: true });
    let text = "";
    let settled = false;
    const finish = (closed: boolean): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.destroy();
      resolve({ ...parseAnswers(text, closed, options.head === true), closed });
    };
    const timer = setTimeout(() => finish(false), options.deadlineMs ?? DEADLINE_MS);
    socket.on("connect", () => {
      for (const part of parts) socket.write(part, "latin1");
      if (options.halfClose === true) socket.end();
    });
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (parseAnswers(text, false, options.head === true).answers.length >= (options.answers ?? 1)) finish(false);
    });
    socket.on("error", () => finish(true));
    socket.on("end", () => finish(true));
    socket.on("close", () => finish(true));
  });
}

/** The values of a header of an answer. */
export const valuesOf = (answer: RawAnswer | undefined, name: string): string[] => (answer?.headers ?? []).filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
