/**
 * An operator who loses trust while a change of theirs is still being sent: it is not carried out,
 * whatever was decided when the request began.
 */
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canonical } from "../../canonical.ts";
import { ADMIN_API } from "../../../protocol/paths.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { EVERYBODY, type Stage, startStage } from "./stage.ts";

const OPERATES = `${EVERYBODY}
  - { id: batch-operates, effect: allow, apps: ["postern:admin"], when: { service: [batch] }, limits: { role: operator } }`;
/** Other requests of the same operator that are answered before the trust is taken: the held one was decided by then. */
const ANSWERED_MEANWHILE_COUNT = 20;

let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ policies: OPERATES });
});
afterAll(async () => {
  await stage.end();
});

interface Held {
  readonly finish: () => Promise<number>;
}

/** Sends the head and half of the body; `finish` sends the rest and resolves with the status. */
function hold(token: string, path: string, body: string, type: string): Held {
  const { host, pathname } = new URL(`${stage.stack.launcher}${ADMIN_API}${path}`);
  const bytes = Buffer.from(body);
  const half = Math.floor(bytes.length / 2);
  const sent = request({ host: "127.0.0.1", port: stage.stack.port, path: pathname, method: "POST", headers: { host, authorization: `Bearer ${token}`, "content-type": type, "content-length": bytes.length } });
  const status = new Promise<number>((resolve, reject) => {
    sent.on("error", reject);
    sent.on("response", (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
  });
  status.catch(() => undefined);
  sent.write(bytes.subarray(0, half));
  return {
    finish: () => {
      sent.end(bytes.subarray(half));
      return status;
    },
  };
}

const history = async (): Promise<number> => (JSON.parse((await stage.operator.call("GET", "/policy/history")).text) as unknown[]).length;

async function meanwhile(token: string): Promise<void> {
  for (let i = 0; i < ANSWERED_MEANWHILE_COUNT; i++) {
    const { status } = await loopbackFetch(`${stage.stack.launcher}${ADMIN_API}/sessions`, { headers: { authorization: `Bearer ${token}` }, timeoutMs: 10_000 });
    expect(status).toBe(200);
  }
}

const CHANGES = [
  ["a document", "/policy", (): string => canonical(stage.document(OPERATES)), "application/json"],
  ["a revocation", "/revoke", (): string => JSON.stringify({ kind: "app", id: "stamps" }), "application/json"],
  ["a service's token", "/services", (): string => JSON.stringify({ name: "batch", expires: "1d" }), "application/json"],
  ["an enrolment token", "/enroll-tokens", (): string => JSON.stringify({ site: "office" }), "application/json"],
] as const;

describe("a change whose body arrives after its operator lost trust", () => {
  it.each(CHANGES)("is carried out while they have it: %s", async (_title, path, body, type) => {
    const token = await stage.operator.createService("batch");
    const held = hold(token, path, body(), type);
    await meanwhile(token);
    expect(await held.finish()).toBeLessThan(300);
    await stage.operator.revoke("service", "batch");
  });

  it.each(CHANGES)("is refused once they are revoked: %s", async (_title, path, body, type) => {
    const token = await stage.operator.createService("batch");
    const before = await history();
    const held = hold(token, path, body(), type);
    await meanwhile(token);
    await stage.operator.revoke("service", "batch");
    expect(await held.finish()).toBe(401);
    expect(await history()).toBe(before);
  });

  it.each(CHANGES)("is refused once a document no longer names them: %s", async (_title, path, body, type) => {
    const token = await stage.operator.createService("batch");
    const held = hold(token, path, body(), type);
    await meanwhile(token);
    await stage.operator.apply(stage.document(EVERYBODY));
    const before = await history();
    expect(await held.finish()).toBe(403);
    expect(await history()).toBe(before);
    await stage.operator.apply(stage.document(OPERATES));
    await stage.operator.revoke("service", "batch");
  });
});
