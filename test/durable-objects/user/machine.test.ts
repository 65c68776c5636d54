import { describe, expect, it } from "vitest";
import { EMPTY, ended, forget, MAX_SESSIONS_COUNT, register, revoke, type UserState } from "../../../durable-objects/user/machine.ts";
import { ATTEMPT_SKEW_MS } from "../../../durable-objects/user/rpc.ts";
import { HOUR, sidOf, T0 } from "../samples.ts";

const ENDS = T0 + 8 * HOUR;
const withSessions = (...sids: number[]): UserState =>
  sids.reduce((state, n) => {
    const registered = register(state, sidOf(n), T0, ENDS, T0);
    if (!registered.ok) throw new Error(registered.code);
    return registered.state;
  }, EMPTY);

describe("a sign-in begun before a revocation and finished after it is refused (CONTRACT, M9)", () => {
  const revoked = revoke(EMPTY, T0).state;
  const rows: readonly [string, UserState, number, boolean][] = [
    ["never revoked: however old the attempt", EMPTY, 0, true],
    ["begun before", revoked, T0 - 1, false],
    ["begun at the same instant", revoked, T0, false],
    ["begun after, within what the edge's clock may run ahead", revoked, T0 + ATTEMPT_SKEW_MS - 1, false],
    ["begun when no skew explains it", revoked, T0 + ATTEMPT_SKEW_MS, true],
    ["revoked again later: the later one counts", revoke(revoked, T0 + HOUR).state, T0 + HOUR, false],
    ["a clock that went back does not reopen what was barred", revoke(revoked, T0 - HOUR).state, T0 - 1, false],
  ];
  it.each(rows)("%s", (_title, state, attemptStartedAt, allowed) => {
    expect(register(state, sidOf(1), attemptStartedAt, ENDS, T0 + 2 * HOUR).ok).toBe(allowed);
  });
});

describe("revoking", () => {
  it("names every session, and empties the list", () => {
    const { state, ending } = revoke(withSessions(1, 2), T0 + 1);
    expect(ending).toEqual([sidOf(1), sidOf(2)]);
    expect(state).toMatchObject({ sessions: [], ending: [sidOf(1), sidOf(2)] });
  });

  it("repeated before the first was confirmed, asks the same sessions again", () => {
    const first = revoke(withSessions(1, 2), T0 + 1).state;
    expect(revoke(ended(first, [sidOf(2)]), T0 + 2).ending).toEqual([sidOf(1)]);
  });

  it("repeated after all confirmed, finds nothing", () => {
    const first = revoke(withSessions(1), T0 + 1);
    expect(revoke(ended(first.state, first.ending), T0 + 2).ending).toEqual([]);
  });

  it("a session that ended by itself stays on the list of an unfinished revocation", () => {
    const first = revoke(withSessions(1), T0 + 1).state;
    expect(forget(first, sidOf(1)).ending).toEqual([sidOf(1)]);
  });
});

describe("the list of sessions is bounded", () => {
  const full = { ...EMPTY, sessions: Array.from({ length: MAX_SESSIONS_COUNT }, (_, n) => ({ sid: sidOf(n + 1), endsAt: ENDS })) };
  it("refuses one too many", () => {
    expect(register(full, sidOf(9_999), T0, ENDS, T0)).toEqual({ ok: false, code: "full" });
  });
  it("takes the same session again", () => {
    expect(register(full, sidOf(1), T0, ENDS, T0).ok).toBe(true);
  });
  it("sessions that are over make room, at their end and not later", () => {
    expect(register(full, sidOf(9_999), T0, ENDS + HOUR, ENDS - 1).ok).toBe(false);
    const made = register(full, sidOf(9_999), T0, ENDS + HOUR, ENDS);
    expect(made.ok && made.state.sessions).toEqual([{ sid: sidOf(9_999), endsAt: ENDS + HOUR }]);
  });
});
