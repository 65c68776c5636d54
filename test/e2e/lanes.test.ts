/** A site gets more lanes, or fewer, by `apply`: its connectors follow without being enrolled again. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { canonical } from "../canonical.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { demoStack } from "../start/demo-stack.ts";
import { until } from "../start/running-stack.ts";

const STACK_MS = 60_000;
const demo = demoStack();

async function operate(path: string, body?: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${readFileSync(demo.stack.tokenFile, "utf8").trim()}`, "content-type": "application/json" };
  const answer = await loopbackFetch(`${demo.stack.launcher}/.postern/api/v1${path}`, body === undefined ? { headers } : { method: "POST", headers, body });
  expect(answer.status, answer.text).toBe(200);
  return JSON.parse(answer.text) as unknown;
}

async function connectedLanes(): Promise<number[]> {
  const status = (await operate("/edge-status")) as { lanes: { lane: number; connectors?: { draining: boolean }[] }[] };
  return status.lanes.filter((one) => one.connectors?.some((held) => !held.draining) === true).map((one) => one.lane);
}

describe("a site's lanes", () => {
  it.each([
    ["more", 4, [0, 1, 2, 3]],
    ["fewer", 1, [0]],
    ["as before", 2, [0, 1]],
  ])("%s: its connector holds a socket to each", async (_name, count, expected) => {
    const document = readFileSync(demo.stack.documentFile, "utf8").replace(/lanes: \d+/, `lanes: ${count}`);
    await operate("/policy", canonical(document));
    await until(async () => JSON.stringify(await connectedLanes()) === JSON.stringify(expected), "the lanes");
    expect(await connectedLanes()).toEqual(expected);
  }, STACK_MS);
});
