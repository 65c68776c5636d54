import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Session } from "../../durable-objects/session/session.ts";
import { Tunnel } from "../../durable-objects/tunnel/tunnel.ts";
import { LeaseTable } from "../../durable-objects/tunnel/lease-table.ts";
import { REFUSAL_HEADER } from "../../durable-objects/tunnel/rpc.ts";
import { laneOf, laneStub, openRequest, sessionOf, setUp, signedIn, wipe } from "./deployment.ts";
import { connected } from "./test-connector.ts";

const RUNS = 50;
const MAX_DELAY_MS = 20;

beforeEach(() => setUp());
afterEach(wipe);

/** Every answer between session and lane comes up to 20 ms late, each by its own measure, so that they overtake each other. */
function delayReplies(seed: number): void {
  let state = seed;
  const later = async <T>(answer: Promise<T>): Promise<T> => {
    const value = await answer;
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    await new Promise((resolve) => setTimeout(resolve, state % (MAX_DELAY_MS + 1)));
    return value;
  };
  const lease = Reflect.get(Session.prototype, "lease") as Session["lease"];
  const endSession = Reflect.get(Tunnel.prototype, "endSession") as Tunnel["endSession"];
  vi.spyOn(Session.prototype, "lease").mockImplementation(function (this: Session, question) {
    return later(lease.call(this, question));
  });
  vi.spyOn(Tunnel.prototype, "endSession").mockImplementation(function (this: Tunnel, sid, epoch, reason) {
    return later(endSession.call(this, sid, epoch, reason));
  });
}

/** Opens three streams of one session and ends the session meanwhile; how many live on after its receipt. */
async function survivors(run: number): Promise<number> {
  const sid = await signedIn();
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const opens = [0, 1, 2].map(async (n) => {
    await wait((run * 7 + n * 3) % 12);
    return laneStub().fetch(openRequest(sid, n === 1 ? "crm" : "wiki"));
  });
  await wait(run % 12);
  const report = await sessionOf(sid).end("revoked", "self");
  const { streams } = await laneOf().streams(sid);
  expect(report.unconfirmed).toEqual([]);
  const answers = await Promise.all(opens);
  const later = await laneOf().streams(sid);
  for (const answer of answers) {
    if (!answer.headers.has(REFUSAL_HEADER)) await answer.text().catch(() => undefined);
  }
  return streams.length + later.streams.length;
}

describe("streams that open while their session ends, on workerd with every reply late (M1)", () => {
  it(`of ${RUNS} runs, none survives its own receipt`, async () => {
    const connector = await connected();
    delayReplies(1);
    let survived = 0;
    for (let run = 0; run < RUNS; run++) survived += await survivors(run);
    expect(survived).toBe(0);
    expect((await laneOf().status())?.streams).toBe(0);
    connector.leave();
  });

  it("would, if replies below the pushed epoch counted", async () => {
    const connector = await connected();
    delayReplies(1);
    vi.spyOn(LeaseTable.prototype, "push").mockImplementation(function (this: LeaseTable, sid) {
      this.drop(sid);
    });
    let survived = 0;
    for (let run = 0; run < RUNS && survived === 0; run++) {
      const sid = await signedIn();
      const open = laneStub().fetch(openRequest(sid));
      await new Promise((resolve) => setTimeout(resolve, run % 20));
      await sessionOf(sid).end("revoked", "self");
      await new Promise((resolve) => setTimeout(resolve, MAX_DELAY_MS * 2));
      survived += (await laneOf().streams(sid)).streams.length;
      const answer = await open;
      if (survived > 0) await answer.body?.cancel().catch(() => undefined);
    }
    expect(survived).toBeGreaterThan(0);
    connector.leave();
  });
});
