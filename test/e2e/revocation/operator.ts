/** An operator's calls for tests: the admin API with the stack's own token. Not the CLI. */
import { readFileSync } from "node:fs";
import { canonical } from "../../canonical.ts";
import type { AppliedAnswer, ReceiptAnswer, ServiceTokenAnswer, SessionsAnswer } from "../../../protocol/admin-api.ts";
import { ADMIN_API } from "../../../protocol/paths.ts";
import { loopbackFetch, type LoopbackAnswer } from "../../../start/loopback-http.ts";

export interface Operator {
  readonly revoke: (kind: string, id: string) => Promise<ReceiptAnswer>;
  readonly apply: (document: string) => Promise<AppliedAnswer>;
  readonly receipt: (id: string) => Promise<ReceiptAnswer>;
  readonly sessions: () => Promise<SessionsAnswer>;
  /** Resolves with the token, which is shown once. */
  readonly createService: (name: string) => Promise<string>;
  readonly call: (method: "GET" | "POST", path: string, body?: string, type?: string) => Promise<LoopbackAnswer>;
}

/** The operator whose token is in `tokenFile`, at the edge whose launcher is at this origin. */
export function operatorOf(launcher: string, tokenFile: string): Operator {
  const token = readFileSync(tokenFile, "utf8").trim();
  const call: Operator["call"] = (method, path, body, type = "application/json") =>
    loopbackFetch(`${launcher}${ADMIN_API}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": type }) },
      ...(body === undefined ? {} : { body }),
      timeoutMs: 45_000,
    });
  const good = async <T>(answer: Promise<LoopbackAnswer>): Promise<T> => {
    const { status, text } = await answer;
    if (status < 200 || status > 299) throw new Error(`the admin API answered ${status}: ${text.slice(0, 500)}`);
    return JSON.parse(text) as T;
  };
  return {
    call,
    revoke: (kind, id) => good(call("POST", "/revoke", JSON.stringify({ kind, id }))),
    apply: (document) => good(call("POST", "/policy", canonical(document))),
    receipt: (id) => good(call("GET", `/receipts/${id}`)),
    sessions: () => good(call("GET", "/sessions")),
    createService: async (name) => (await good<ServiceTokenAnswer>(call("POST", "/services", JSON.stringify({ name, expires: "1d" })))).token,
  };
}
