/** TCP through the whole product by a bare agent: upgrade, streams, half-close, refusals. One stack for the file. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTcpStage, type TcpStage } from "./stage.ts";
import { UpgradeRefused } from "./agent-client.ts";
import { appConnection } from "./app-connection.ts";

let stage: TcpStage;
beforeAll(async () => {
  stage = await startTcpStage();
});
afterAll(() => stage.end());

const refusal = async (options: Parameters<TcpStage["connect"]>[0]): Promise<[number, string]> => {
  const error = await stage.connect(options).then(() => undefined, (cause: unknown) => cause);
  if (!(error instanceof UpgradeRefused)) throw new Error(`not refused: ${String(error)}`);
  return [error.status, error.code];
};

describe("a TCP stream", () => {
  it("carries bytes both ways and half-closes, through one socket with others", async () => {
    const agent = await stage.connect({});
    const bytes = randomBytes(3_000_000);
    const connections = await Promise.all([1, 2, 3].map(() => appConnection(agent, "echo")));
    await Promise.all(
      connections.map(async ({ local, stream, over }) => {
        local.end(bytes);
        const parts: Buffer[] = [];
        for await (const part of local as AsyncIterable<Buffer>) parts.push(part);
        expect(Buffer.concat(parts).equals(bytes)).toBe(true);
        expect(await over).toEqual({ whole: true });
        await agent.until(() => stream.end !== "open");
        expect([stream.end, stream.answered]).toEqual(["fin", 101]);
      }),
    );
    agent.close();
  });
});

describe("the agent's upgrade is refused", () => {
  it.each([
    ["without a token", { token: undefined }, 401, "sign_in_required"],
    ["with a token that is not ours", { token: `pst_${"A".repeat(22)}.${"A".repeat(43)}` }, 401, "token_invalid"],
    ["from a browser's page", { headers: { origin: "http://postern.localhost" } }, 403, "origin_not_allowed"],
    ["without the subprotocol", { subprotocol: "postern.v1" }, 400, "bad_argument"],
    ["for an app that does not exist", { app: "nothing" }, 404, "not_found"],
    ["for an app that is not theirs", { app: "secret" }, 404, "not_found"],
    ["for an HTTP app", { app: "web" }, 404, "not_found"],
    ["for the administration", { app: "postern:admin" }, 404, "not_found"],
  ])("%s", async (_title, options, status, code) => {
    expect(await refusal(options as never)).toEqual([status, code]);
  });
});
