/** What must hold when news was told: what it forbids is over, or held, at both ends by the time of the answer; what it does not touch goes on. */
import { expect } from "vitest";
import { until } from "../../start/running-stack.ts";
import { ENDED_WITHIN_MS, isOver, watchStalls } from "../revocation/crowd.ts";
import type { Connected } from "./person.ts";
import type { SignalStage } from "./stage.ts";

type Told = Promise<{ readonly status: number }>;
/** At the cut so much may be on its way between the agent's ends. */
const IN_FLIGHT_BYTES = 65_536;

async function told(tell: () => Told): Promise<number> {
  const { status } = await tell();
  expect(status).toBeLessThan(300);
  return performance.now();
}

/** Something new has arrived on all of it. */
async function goesOn({ clients, received, login, tcp }: Connected): Promise<void> {
  const [at, bytes, lines] = [performance.now(), received(), login?.lines() ?? 0];
  expect(clients.filter((client) => client.endedAt !== undefined).map((client) => client.kind), "ended without need").toEqual([]);
  expect([tcp.stream.end, login?.exit()]).toEqual(["open", undefined]);
  await until(() => clients.every((client) => client.lastStamp > at) && received() > bytes && (login === undefined || login.lines() > lines), "the others go on", 10_000);
}

/** Carries out what is told, and expects all of `cut` over: the app's sockets too, and no byte of it after the answer. */
export async function cuts(stage: SignalStage, cut: Connected, kept: Connected, closeCode: string, tell: () => Told): Promise<void> {
  const held = stage.echo.sockets.size;
  const stalls = watchStalls();
  const at = await told(tell);
  const given = cut.received();
  await until(() => cut.clients.every((client) => isOver(client, stage.origin)) && cut.tcp.stream.end !== "open" && (cut.login === undefined || cut.login.exit() !== undefined), "all of it is over", 5_000);
  const stalledMs = stalls();
  for (const client of cut.clients) {
    expect(client.end, client.kind).toBe(client.kind === "websocket" ? closeCode : "error");
    expect((client.endedAt ?? Infinity) - at, client.kind).toBeLessThan(ENDED_WITHIN_MS + stalledMs);
    expect(client.lastStamp, client.kind).toBeLessThanOrEqual(at);
  }
  if (cut.login !== undefined) expect(cut.login.exit(), "ssh says that its connection broke").toBe(255);
  expect(cut.received() - given).toBeLessThan(IN_FLIGHT_BYTES);
  await until(() => stage.echo.sockets.size === held - 1, "the app's TCP connection is closed", 5_000);
  await goesOn(kept);
}

/** Carries out what is told, and expects that nothing moves on `held` from the answer on: held where it can be, cut where not. */
export async function holds(held: Connected, kept: Connected, tell: () => Told): Promise<void> {
  const at = await told(tell);
  await goesOn(kept);
  // What was on its way at the answer has arrived while the others went on.
  const [bytes, lines] = [held.received(), held.login?.lines()];
  await goesOn(kept);
  for (const client of held.clients) expect(client.lastStamp, client.kind).toBeLessThanOrEqual(at);
  expect([held.received(), held.login?.lines()]).toEqual([bytes, lines]);
  const { clients, tcp, login } = held;
  expect([...clients.filter(({ kind }) => kind !== "download").map(({ end }) => end), tcp.stream.end, login?.exit()], "held, not ended").toEqual([undefined, undefined, "open", undefined]);
}
