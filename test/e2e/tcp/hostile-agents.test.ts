/** Agents that misbehave at a real edge with a real connector: who loses what. One stack for the file. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appConnection } from "./app-connection.ts";
import { startTcpStage, type TcpStage } from "./stage.ts";

let stage: TcpStage;
beforeAll(async () => {
  stage = await startTcpStage();
});
afterAll(() => stage.end());

describe("an agent that floods with opens", () => {
  it.each([["denied", "secret"], ["of no app", "nothing"], ["allowed", "echo"]])("that are %s: loses its socket with 4429, and another's stream goes on", async (_title, app) => {
    const good = await stage.connect({});
    const { local } = await appConnection(good, "echo");
    const bad = await stage.connect({});
    for (let i = 0; i < 3_000; i++) bad.socket.send(JSON.stringify({ t: "open", stream: 2 * i + 1, app }));
    expect(await bad.ended()).toBe(4429);
    const bytes = randomBytes(300_000);
    local.end(bytes);
    const parts: Buffer[] = [];
    for await (const part of local as AsyncIterable<Buffer>) parts.push(part);
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    good.close();
  });
});
