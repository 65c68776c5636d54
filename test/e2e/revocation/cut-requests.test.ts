/**
 * Requests that are cut after their app saw them and before it answered (M16):
 * told, and never sent a second time, whatever the newest policy says of them.
 */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { loopbackFetch, type LoopbackAnswer } from "../../../start/loopback-http.ts";
import { until } from "../../start/running-stack.ts";
import { edgeUnderTest, type EdgeUnderTest } from "../corpus/edge-under-test.ts";
import { type Operator, operatorOf } from "./operator.ts";

let app: Server;
let edge: EdgeUnderTest;
let operator: Operator;
/** Requests that the app saw and has not answered. */
const held: ServerResponse[] = [];
let seen = 0;

beforeAll(async () => {
  app = createServer((asked, answer) => {
    seen++;
    held.push(answer);
    asked.on("error", () => undefined).resume();
  });
  app.listen(0, "127.0.0.1");
  await new Promise((up) => app.once("listening", up));
  const upstream = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
  edge = await edgeUnderTest({
    apps: `  - { id: held, site: office, upstream: "${upstream}" }\n  - { id: other, site: office, upstream: "${upstream}" }`,
    policies: "  - { id: all, effect: allow, apps: [held], when: { service: [probe] } }",
  });
  operator = operatorOf(edge.stack.launcher, edge.stack.tokenFile);
});
afterEach(() => {
  for (const answer of held.splice(0)) answer.destroy();
  seen = 0;
});
afterAll(async () => {
  await edge?.stop();
  app?.closeAllConnections();
  app?.close();
});

async function heldRequest(method: string, body?: string): Promise<{ readonly answer: Promise<LoopbackAnswer> }> {
  const answer = loopbackFetch(`http://${edge.hostOf("held")}/pay`, { method, headers: { authorization: `Bearer ${edge.token}`, accept: "application/json" }, ...(body === undefined ? {} : { body }), timeoutMs: 30_000 });
  await until(() => held.length === 1, "the app saw the request");
  return { answer };
}

const codeOf = ({ text }: LoopbackAnswer): string => (JSON.parse(text) as { error: { code: string } }).error.code;

describe("a request that its app saw and has not answered", () => {
  it.each([["GET", undefined], ["PUT", "twenty bytes of body"], ["POST", "twenty bytes of body"], ["POST", undefined]] as const)("%s with body %s: cut by `revoke app`, it fails, and the app sees it once (M16)", async (method, body) => {
    const { answer } = await heldRequest(method, body);
    expect(await operator.revoke("app", "held")).toMatchObject({ found: 1, closed: 1, complete: true });
    const told = await answer;
    expect(told.status).toBe(502);
    expect(codeOf(told)).toBe("upstream_reset");
    expect(seen).toBe(1);
  });

  it("cut by a policy that denies it: denied, seen once, and the denial is on record (M7)", async () => {
    const before = (await edge.api("/policy")).json["text"] as string;
    const { answer } = await heldRequest("POST", "twenty bytes of body");
    const denying = before.replace('"apps":["held"]', '"apps":["other"]');
    expect(denying).not.toBe(before);
    expect(await operator.apply(denying)).toMatchObject({ receipt: { found: 1, closed: 1 } });
    const told = await answer;
    // Nothing names the app to this caller any more: as if there were none.
    expect(told.status).toBe(404);
    expect(seen).toBe(1);
    const request = String(told.headers["postern-request-id"]);
    expect(await edge.recorded(request)).toMatchObject({ effect: "deny" });
    await operator.apply(before);
  });
});
