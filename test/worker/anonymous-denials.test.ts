import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { StoredEvent } from "../../durable-objects/audit/rpc.ts";
import { edgeAuditName } from "../../durable-objects/bindings.ts";
import { handle } from "../../worker/app.ts";
import type { Env } from "../../worker/env.ts";
import { objects, setUp, wipe } from "../objects/deployment.ts";

/** Longer than any wait that the edge may arm for its own work. */
const LONG_MS = 30_000;

beforeEach(() => setUp());
afterEach(async () => {
  vi.useRealTimers();
  await wipe();
});

const recorded = async (): Promise<readonly StoredEvent[]> => {
  const events = await objects.AUDIT.getByName(edgeAuditName("anonymous")).since(0, 1_000);
  return events.filter((one) => one.kind === "anonymous_denials");
};

it("the last anonymous denials of a burst are written without another request (M20)", async () => {
  // Handles of its own, so that no other test's count is in this one.
  const own = { ...(env as unknown as Env), AUDIT: { getByName: (name: string) => objects.AUDIT.getByName(name) } } as unknown as Env;
  const work: Promise<unknown>[] = [];
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  for (const path of ["/a", "/b", "/c"]) {
    const answer = await handle(new Request(`https://wiki.access.example.com${path}`, { headers: { accept: "application/json" } }), own, (one) => void work.push(one));
    expect(answer.status).toBe(401);
  }
  vi.advanceTimersByTime(LONG_MS);
  vi.useRealTimers();
  await Promise.all(work);
  expect((await recorded()).map((one) => one.data["total"])).toEqual([3]);
});
