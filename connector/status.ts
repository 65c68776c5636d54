/** `postern-connector status`: reads runtime.json and asks the running process. Changes nothing. */
import { get } from "node:http";
import { Failure } from "./failure.ts";
import type { ConnectorKey } from "../identity/connector-proof.ts";
import { ownKey } from "./endorse.ts";
import { readStateFile } from "./state.ts";

/** Longest wait for the running connector's answer: bounds a hung process. */
const STATUS_MS = 3_000;

/** Prints the state of the running connector; true if every lane is ready. Throws Failure if none runs. */
export async function status(directory: string, json: boolean, print: (text: string) => void): Promise<boolean> {
  const runtime = readStateFile(directory, "runtime");
  const metrics = typeof runtime === "object" && runtime !== null && "metrics" in runtime ? runtime.metrics : undefined;
  const pid = typeof runtime === "object" && runtime !== null && "pid" in runtime ? runtime.pid : undefined;
  if (typeof metrics !== "string" || !/^http:\/\/127\.0\.0\.1:[0-9]+$/.test(metrics)) throw notRunning(directory);
  const text = await read(`${metrics}/ready`).catch(() => undefined);
  if (text === undefined) throw notRunning(directory);
  const answer = JSON.parse(text) as { readonly ready?: unknown; readonly lanes?: unknown };
  const lanes = Array.isArray(answer.lanes) ? (answer.lanes as readonly Readonly<Record<string, unknown>>[]) : [];
  const key = await ownKey(directory);
  if (json) print(`${JSON.stringify({ ready: answer.ready === true, pid, metrics, key: key.publicJwk.x, fingerprint: fingerprintOf(key), lanes })}\n`);
  else {
    print(`public key ${key.publicJwk.x}, fingerprint ${fingerprintOf(key)}\n`);
    print(`${answer.ready === true ? "ready" : "not ready"}, process ${String(pid)}, ${metrics}/metrics\n`);
    for (const { lane, state, streams, failure } of lanes) {
      print(`  lane ${String(lane)}: ${String(state)}, ${String(streams)} streams${failure === undefined ? "" : `, last failure: ${typeof failure === "string" ? failure : "unknown"}`}\n`);
    }
  }
  return answer.ready === true;
}

/** What people compare with what `postern tcp` and `postern ssh` show. */
export function fingerprintOf({ thumbprint }: ConnectorKey): string {
  return `SHA256:${thumbprint}`;
}

function read(url: string): Promise<string> {
  return new Promise((done, fail) => {
    const asked = get(url, { agent: false, timeout: STATUS_MS }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => (text += part));
      answer.once("end", () => done(text));
      answer.once("error", fail);
    });
    asked.once("timeout", () => asked.destroy(new Error("timeout")));
    asked.once("error", fail);
  });
}

function notRunning(directory: string): Failure {
  return new Failure("not_running", `no connector is running from ${directory}`, "runtime.json is absent, or nobody answers there", `postern-connector run --state ${directory}`);
}
