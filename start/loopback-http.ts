/**
 * HTTP to our own listeners: `*.localhost` is dialled at 127.0.0.1 with the name in the Host
 * header (RFC 6761 §6.3; getaddrinfo does not do it on plain Debian). Not a general client:
 * plain http only, no redirects, whole bodies.
 */
import { request } from "node:http";

export interface LoopbackRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs?: number;
}

export interface LoopbackAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Longest wait for one whole answer; bounds a start against an edge that accepts and never answers. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Largest answer read; the demo's own answers are a few KiB. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

const isLoopbackName = (host: string): boolean => host === "localhost" || host.endsWith(".localhost");

/** Sends one request to a loopback URL and resolves with status, headers and text; rejects when nothing answers. */
export function loopbackFetch(url: string, options: LoopbackRequest = {}): Promise<LoopbackAnswer> {
  const target = new URL(url);
  if (target.protocol !== "http:") return Promise.reject(new Error(`${target.origin} is not a plain http address`));
  const body = options.body === undefined ? undefined : Buffer.from(options.body);
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: isLoopbackName(target.hostname) ? "127.0.0.1" : target.hostname.replace(/^\[|\]$/g, ""),
        port: target.port === "" ? 80 : Number(target.port),
        path: target.pathname + target.search,
        method: options.method ?? "GET",
        headers: {
          host: target.host,
          ...options.headers,
          ...(body === undefined ? {} : { "content-length": String(body.length) }),
        },
        agent: false,
      },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER_BYTES) call.destroy(new Error(`the answer of ${target.host} is larger than ${MAX_ANSWER_BYTES} bytes`));
          else chunks.push(chunk);
        });
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString("utf8") }));
        answer.on("error", reject);
      },
    );
    call.setTimeout(options.timeoutMs ?? ANSWER_TIMEOUT_MS, () => call.destroy(new Error(`${target.host} did not answer in time`)));
    call.on("error", reject);
    call.end(body);
  });
}
