/**
 * One HTTP request to the edge, its headers in the order and number that a test gives them, and
 * the answer with its error code. Dials loopback with the name in Host; follows nothing.
 */
import { request } from "node:http";
import { WebSocket } from "ws";

export type HeaderLines = readonly (readonly [name: string, value: string])[];

export interface Asked {
  readonly url: string;
  readonly method?: string;
  readonly headers?: HeaderLines;
  readonly body?: string;
}

export interface Answered {
  readonly status: number;
  /** `error.code` of our JSON, or `error` of the token endpoint; "" without one. */
  readonly code: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Longest wait for one whole answer. */
const ANSWER_TIMEOUT_MS = 20_000;

function codeOf(text: string): string {
  try {
    const { error, error_description: more } = JSON.parse(text) as { error?: string | { code?: string }; error_description?: string };
    if (typeof error === "string") return more === undefined ? error : `${error}/${more}`;
    return error?.code ?? "";
  } catch {
    return "";
  }
}

export function ask({ url, method = "GET", headers = [], body }: Asked): Promise<Answered> {
  const target = new URL(url);
  const bytes = body === undefined ? undefined : Buffer.from(body);
  const lines = [["Host", target.host], ...headers, ...(bytes === undefined ? [] : [["Content-Length", String(bytes.length)]])];
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port: Number(target.port), path: target.pathname + target.search, method, headers: lines.flat() as never, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, code: codeOf(text), headers: answer.headers, text }));
      answer.on("error", reject);
    });
    call.setTimeout(ANSWER_TIMEOUT_MS, () => call.destroy(new Error(`${url} did not answer in time`)));
    // A refusal may come before the whole body was taken; the answer is read all the same.
    call.on("error", reject);
    call.end(bytes);
  });
}

export interface Upgraded {
  /** 101, or the status of the refusal. */
  readonly status: number;
  readonly code: string;
  readonly socket?: WebSocket;
  /** Every message so far, from the first on: one may come with the handshake's own answer. */
  readonly heard: readonly string[];
}

/** A WebSocket handshake; the caller closes what opened. */
export function upgrade(url: string, headers: HeaderLines, protocols: readonly string[] = []): Promise<Upgraded> {
  const target = new URL(url);
  return new Promise((resolve, reject) => {
    const lines = Object.fromEntries([["Host", target.host], ...headers]) as Record<string, string>;
    const socket = new WebSocket(`ws://127.0.0.1:${target.port}${target.pathname}${target.search}`, [...protocols], { headers: lines, perMessageDeflate: false, handshakeTimeout: ANSWER_TIMEOUT_MS });
    const heard: string[] = [];
    socket.on("message", (data: Buffer) => heard.push(data.toString()));
    socket.on("open", () => resolve({ status: 101, code: "", socket, heard }));
    socket.on("unexpected-response", (call, answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
      answer.on("end", () => {
        call.destroy();
        resolve({ status: answer.statusCode ?? 0, code: codeOf(text), heard });
      });
    });
    socket.on("error", (cause) => reject(cause));
  });
}
