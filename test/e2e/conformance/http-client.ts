/**
 * One HTTP request and its whole answer as the wire had it: no redirects, no decompression, raw
 * headers, interim answers and trailers. For comparing an app with itself through Postern.
 */
import { createHash } from "node:crypto";
import { request } from "node:http";

export interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent with a length unless `chunked`. */
  readonly body?: string | Uint8Array;
  readonly chunked?: boolean;
}

export interface Answered {
  readonly status: number;
  readonly reason: string;
  /** Lower-case names, sorted, repeats joined but for set-cookie; values in latin1. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly interim: readonly number[];
  readonly trailers: readonly string[];
  readonly bytes: number;
  readonly digest: string;
  /** The body as latin1. */
  readonly text: string;
}

const DEADLINE_MS = 20_000;

/** One line a name, as RFC 9110 §5.3 allows for all but set-cookie. */
function normalised(raw: readonly string[]): [string, string][] {
  const out: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? "").toLowerCase();
    const value = raw[i + 1] ?? "";
    const same = name === "set-cookie" ? undefined : out.find(([one]) => one === name);
    if (same === undefined) out.push([name, value]);
    else same[1] += `, ${value}`;
  }
  // Stable: several set-cookie keep their order.
  return out.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Sends to 127.0.0.1:`port` with this Host; rejects when the answer breaks off. */
export function ask(port: number, host: string, asked: Asked): Promise<Answered> {
  const { method = "GET", path, headers = {}, body, chunked = false } = asked;
  const bytes = body === undefined ? undefined : Buffer.from(body as Uint8Array);
  const framing: Record<string, string> = bytes === undefined ? {} : chunked ? { "transfer-encoding": "chunked" } : { "content-length": String(bytes.length) };
  return new Promise((resolve, reject) => {
    const interim: number[] = [];
    const call = request({ host: "127.0.0.1", port, method, path, agent: false, headers: { host, ...framing, ...headers } as Record<string, string>, maxHeaderSize: 512 * 1024, signal: AbortSignal.timeout(DEADLINE_MS) }, (answer) => {
      const hash = createHash("sha256");
      const parts: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => {
        hash.update(chunk);
        parts.push(chunk);
      });
      answer.on("error", reject);
      answer.on("end", () => {
        if (!answer.complete) return reject(new Error("the answer broke off"));
        const whole = Buffer.concat(parts);
        resolve({ status: answer.statusCode ?? 0, reason: answer.statusMessage ?? "", headers: normalised(answer.rawHeaders), interim, trailers: answer.rawTrailers, bytes: whole.length, digest: hash.digest("hex"), text: whole.toString("latin1") });
      });
    });
    call.on("information", ({ statusCode }) => interim.push(statusCode));
    call.on("error", reject);
    call.end(bytes);
  });
}

/** The value of a header, undefined when it is absent. */
export const headerOf = (answered: Answered, name: string): string | undefined => answered.headers.find(([one]) => one === name)?.[1];
