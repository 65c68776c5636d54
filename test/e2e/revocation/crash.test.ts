/**
 * What the edge acknowledged survives its sudden death: a revocation, a policy, an enrolment and
 * a service are there after `kill -9` right behind the 200, and a receipt is fetched again by its
 * id (promise 8, weaknesses F10).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ReceiptAnswer } from "../../../protocol/admin-api.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { plainEnvironment } from "../../../start/processes.ts";
import { sessionIdOf, signIn } from "../sign-in.ts";
import { EVERYBODY, type Stage, startStage } from "./stage.ts";

const PROGRAM = join(import.meta.dirname, "../../../bin/postern-connector.mjs");
const REPEATS = 10;

let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ lanes: 1 });
});
afterAll(async () => {
  await stage.end();
});

/** One enrolment by the connector's own program; resolves with what it said once it ended well. */
async function enrol(repeat: number): Promise<string> {
  const { stack, operator } = stage;
  const { token } = JSON.parse((await operator.call("POST", "/enroll-tokens", JSON.stringify({ site: "office" }))).text) as { token: string };
  const child = stack.processes.start({
    name: `crash-enroll-${repeat}`,
    argv: [process.execPath, PROGRAM, "enroll", stack.launcher, "--token-file", "-", "--allow-site-config", "--json", "--state", join(stack.stateDirectory, `crash-${repeat}`)],
    env: plainEnvironment(),
    input: `${token}\n`,
  });
  expect((await child.exited).code).toBe(0);
  return (/"connector":"([^"]+)"/.exec(readFileSync(child.logFile, "utf8"))?.[1]) ?? "";
}

const json = async <T>(path: string): Promise<T> => JSON.parse((await stage.operator.call("GET", path)).text) as T;

describe("kill -9 of the edge right behind an acknowledgement", () => {
  it(
    "loses none of them, ten times over (F10)",
    async () => {
      const receipts: ReceiptAnswer[] = [];
      const services: { name: string; token: string }[] = [];
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        const alice = await signIn(stage.stamps, "alice");
        const bob = await signIn(stage.stamps, "bob");
        // Each repeat kills behind another kind of change; all of them have happened by then.
        const changes: (() => Promise<void>)[] = [
          async () => void receipts.push(await stage.operator.revoke("session", sessionIdOf(alice, stage.stamps))),
          async () => {
            const policies = `${EVERYBODY}\n  - { id: round-${repeat}, effect: deny, apps: [other], when: { group: [nobody-${repeat}] } }`;
            receipts.push((await stage.operator.apply(stage.document(policies))).receipt);
          },
          async () => void services.push({ name: `batch-${repeat}`, token: await stage.operator.createService(`batch-${repeat}`) }),
        ];
        const last = repeat % (changes.length + 1);
        let connector: string | undefined;
        if (last === changes.length) connector = await enrol(repeat);
        else for (let n = 1; n <= changes.length; n++) await changes[(last + n) % changes.length]?.();
        await stage.stack.restartEdge();

        if (connector === undefined) {
          expect((await loopbackFetch(`${stage.stamps}/plain`, { headers: { ...alice.headers(stage.stamps), accept: "application/json" } })).status).toBe(401);
          expect(await json<{ text: string }>("/policy")).toMatchObject({ text: expect.stringContaining(`"round-${repeat}"`) });
        } else expect((await json<{ id: string; revoked_at: null }[]>("/connectors")).find((one) => one.id === connector)).toMatchObject({ revoked_at: null });
        const known = await json<{ name: string; revoked_at: string | null }[]>("/services");
        for (const { name, token } of services) {
          expect(known.find((one) => one.name === name), name).toMatchObject({ revoked_at: null });
          // 404: signed in, and no policy lets it in; a token that was lost would be 401.
          expect((await loopbackFetch(`${stage.stamps}/plain`, { headers: { host: new URL(stage.stamps).host, accept: "application/json", authorization: `Bearer ${token}` } })).status).toBe(404);
        }
        for (const receipt of receipts) expect(await stage.operator.receipt(receipt.id)).toEqual(receipt);
        expect((await loopbackFetch(`${stage.stack.launcher}/.postern/me`, { headers: { accept: "application/json", cookie: bob.browser.cookieHeader(stage.stack.launcher) } })).status).toBe(200);
      }
    },
    90_000,
  );
});
