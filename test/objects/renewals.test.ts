/** Facts that are renewed move deadlines in the session and nothing else: no lane is told, and none that sleeps wakes (M5). */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { ConnectorLinks } from "../../durable-objects/tunnel/connector-links.ts";
import { cookieOf, HASH, laneStub, openRequest, sessionOf, setUp, signedIn, userId, wipe } from "./deployment.ts";
import { connected } from "./test-connector.ts";

const SESSIONS_COUNT = 50;
const RENEWALS_COUNT = 1_000;
/** So many calls into objects, on a machine that does something else too. */
const RENEWALS_MS = 90_000;

beforeEach(() => setUp());
afterEach(wipe);

const renew = (sid: SessionId, provider: string): Promise<boolean> =>
  sessionOf(sid).refresh(
    { facts: { provider: { value: provider, source: "corp", observedAt: at(Date.now()) } }, display: { sub: "ann", provider: "corp" }, endsAt: Date.now() + 8 * 3_600_000 },
    cookieOf("wiki", HASH),
  );

describe("a lane that sleeps with open WebSockets of many sessions", () => {
  it(`is not woken by ${RENEWALS_COUNT} renewals, and is by the first fact that changed`, async () => {
    await connected();
    const sids = await Promise.all(Array.from({ length: SESSIONS_COUNT }, (_, number) => signedIn(userId(number))));
    for (const sid of sids) {
      const answer = await laneStub().fetch(openRequest(sid, "wiki", "websocket"));
      expect(answer.status).toBe(101);
      answer.webSocket?.accept();
    }
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    // Every constructor of a lane restores its links.
    const constructed = vi.spyOn(ConnectorLinks.prototype, "restore");
    for (let renewals = 0; renewals < RENEWALS_COUNT; renewals += SESSIONS_COUNT) {
      expect(await Promise.all(sids.map((sid) => renew(sid, "corp")))).not.toContain(false);
    }
    expect(constructed).not.toHaveBeenCalled();
    expect(await renew(sids[0] as SessionId, "other")).toBe(true);
    expect(constructed).toHaveBeenCalledTimes(1);
  }, RENEWALS_MS);
});
