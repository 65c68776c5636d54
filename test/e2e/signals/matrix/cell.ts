/** Rows and cells of the matrix: their titles say what must come of each, and this judges it. */
import { beforeAll, describe, expect, it } from "vitest";
import { ENDED_WITHIN_MS, watchStalls } from "../../revocation/crowd.ts";
import { PROTOCOLS, type Protocol } from "./clients.ts";
import type { Ground } from "./ground.ts";
import { type Fate, type Outcome, play, type Played } from "./scenario.ts";
import type { Signal } from "./signals.ts";

/** Of a row with all that it opens, on a machine that does something else too. */
const ROW_MS = 120_000;

export interface Row {
  /** "SIGNAL · PROTOCOL, PROTOCOL: live before, OUTCOME after", together of all protocols. */
  readonly titles: readonly string[];
  readonly signal: Signal;
  /** What a write is answered once only reading may go on. */
  readonly refused?: number;
  /** What the client of a cut WebSocket, and of a cut TCP connection by its agent, is told. */
  readonly code?: { readonly websocket: string; readonly agent: readonly string[] };
}

/** What clients are told when they were signed out, and when a policy allows no more. */
export const SIGNED_OUT = { websocket: "4401", agent: ["revoked", "cut"] };
export const NOT_ALLOWED = { websocket: "4403", agent: ["policy", "cut"] };

interface Cell {
  readonly title: string;
  readonly outcome: Outcome;
}

function cellsOf(titles: readonly string[]): ReadonlyMap<Protocol, Cell> {
  const cells = new Map<Protocol, Cell>();
  for (const title of titles) {
    const [, signal = "", protocols = "", rest = "", outcome] = /^([a-z-]+) · ([a-z, ]+): (live before, (cut|frozen|limited|kept) after.*)$/.exec(title) ?? [];
    for (const protocol of protocols.split(", ") as Protocol[]) cells.set(protocol, { title: `${signal} · ${protocol}: ${rest}`, outcome: outcome as Outcome });
  }
  if (PROTOCOLS.some((one) => cells.get(one)?.outcome === undefined)) throw new Error(`a protocol has no cell: ${titles.join("; ")}`);
  return cells;
}

const outcomesOf = ({ titles }: Row): ((protocol: Protocol) => Outcome) => {
  const cells = cellsOf(titles);
  return (protocol) => cells.get(protocol)?.outcome ?? "cut";
};

export interface PlayedRow extends Played {
  /** How long this process itself did not run: what a client cannot be blamed for on a busy machine. */
  readonly stalledMs: number;
}

/** The five connections of a row, together. */
export async function playRow(ground: Ground, row: Row): Promise<PlayedRow> {
  const scene = await row.signal(ground);
  const stalls = watchStalls();
  let stalledMs = 0;
  const played = await play(ground, scene, outcomesOf(row)).finally(() => (stalledMs = stalls()));
  return { ...played, stalledMs };
}

/** One test a cell. */
export function rowOf(row: Row, playing: () => Promise<PlayedRow>): void {
  const { titles, code = NOT_ALLOWED, refused = 403 } = row;
  const outcomeOf = outcomesOf(row);
  describe(titles.join("; "), () => {
    let played: PlayedRow;
    beforeAll(async () => {
      played = await playing();
    }, ROW_MS);

    for (const [protocol, { title, outcome }] of cellsOf(titles)) {
      it(title, () => {
        const fate = played.fates.get(protocol);
        if (fate === undefined) throw new Error("it was not opened");
        expect(fate.before.down).toBeGreaterThan(0);
        if (fate.connection.said !== undefined) expect(fate.before.up).toBeGreaterThan(0);
        if (outcome === "cut") expectCut(fate, played, code);
        else if (outcome === "frozen") expectFrozen(fate, played);
        else expectGoesOn(fate, played, outcome === "kept" ? 200 : refused);
        expectCounted(played, outcomeOf);
      });
    }
  });
}

function expectCut({ connection: { protocol, said }, end: { end, endedAt, agentCode, appEndedAt }, after }: Fate, { at, stalledMs }: PlayedRow, code: NonNullable<Row["code"]>): void {
  expect(endedAt, "the client sees the end").toBeDefined();
  expect(appEndedAt, "the app sees the end").toBeDefined();
  expect(after.down, "nothing that the app wrote after the answer reached the client").toBeLessThanOrEqual(at);
  if (said !== undefined) expect(after.up, "nothing that the client wrote after the answer reached the app").toBeLessThanOrEqual(at);
  expect(end).toBe(protocol === "websocket" ? code.websocket : "broken");
  if (protocol === "tcp" || protocol === "ssh") expect(code.agent).toContain(agentCode);
  for (const [who, when = Infinity] of [["client", endedAt], ["app", appEndedAt]] as const) expect(when - at, `${who} in time`).toBeLessThan(ENDED_WITHIN_MS + stalledMs);
}

function expectFrozen({ connection, side, after, state, wentOn, misplaced }: Fate, { at }: Played): void {
  expect(state).toBe("frozen");
  expect(after.down, "nothing that the app wrote reached the client").toBeLessThanOrEqual(at);
  expect(side.said.lastAt, "the app wrote").toBeGreaterThan(at);
  if (connection.said !== undefined) {
    expect(after.up, "nothing that the client wrote reached the app").toBeLessThanOrEqual(at);
    expect(connection.said.lastAt, "the client wrote").toBeGreaterThan(at);
  }
  if (connection.notes !== undefined) expect(connection.notes, "the agent says what is wanted, and that it goes on").toEqual(expect.arrayContaining([expect.stringContaining("on hold"), expect.stringContaining("goes on")]));
  expect([wentOn, misplaced], "it goes on, and no line is missing").toEqual([true, 0]);
}

function expectGoesOn({ end, after }: Fate, { at, writes }: Played, refused: number): void {
  expect(end.end).toBeUndefined();
  expect(after.down, "what it reads goes on").toBeGreaterThan(at);
  expect(writes, "a write was let through before, and is refused after if it only may read").toEqual({ before: 200, after: refused });
}

/** The answer counts the five as what they became. */
function expectCounted({ answer }: Played, outcomeOf: (protocol: Protocol) => Outcome): void {
  if (answer === undefined) return;
  const count = (outcome: Outcome): number => PROTOCOLS.filter((one) => outcomeOf(one) === outcome).length;
  expect(answer).toMatchObject({ found: PROTOCOLS.length, closed: count("cut") });
  if (answer.unconfirmed !== undefined) expect(answer).toMatchObject({ frozen: count("frozen"), kept: count("limited"), unconfirmed: [] });
}
