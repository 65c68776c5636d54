/**
 * How far a person is trusted now: the signs that still count, their sum, and the level that
 * policies ask for (`risk`); the worse of that and what another system reports. Pure; the user's
 * object stores and tells it.
 */
import type { Fact } from "../../../policy/facts.ts";
import type { Risk, RiskReason } from "../../../policy/when.ts";
import { byteVolume } from "./byte-volume.ts";
import { denialBurst } from "./denial-burst.ts";
import { elsewhere } from "./elsewhere.ts";
import type { RiskEvent } from "../rpc.ts";
import { NO_HISTORY, remember, type RiskHistory } from "./history.ts";
import { impossibleTravel } from "./impossible-travel.ts";
import { newApp } from "./new-app.ts";
import { newCountry } from "./new-country.ts";
import { newDevice } from "./new-device.ts";
import { newNetwork } from "./new-network.ts";
import { requestRate } from "./request-rate.ts";
import { secondSession } from "./second-session.ts";
import type { Sign } from "./sign.ts";
import { unusualHour } from "./unusual-hour.ts";

export const SIGNS: readonly Sign[] = [newCountry, newNetwork, newDevice, newApp, unusualHour, impossibleTravel, elsewhere, secondSession, denialBurst, byteVolume, requestRate];

/** The least sum of weights of each level. */
export const MEDIUM_WEIGHT = 20;
export const HIGH_WEIGHT = 50;

export interface RiskState {
  readonly history: RiskHistory;
  /** By code, until when the sign counts. */
  readonly active: { readonly [code: string]: number };
  /** What another system says of this person, until it takes it back or `until`. */
  readonly reported?: { readonly level: Risk; readonly until: number; readonly at: number };
}

const LEVELS: readonly Risk[] = ["low", "medium", "high"];
/** Among the reasons when another system's word is worse than our own. */
export const REPORTED: RiskReason = "reported";

export const NO_RISK: RiskState = { history: NO_HISTORY, active: {} };

export interface Assessment {
  readonly level: Risk;
  /** Codes, sorted. */
  readonly reasons: readonly string[];
  /** When the next of them stops to count; Infinity: none does. */
  readonly until: number;
}

/** An event came: what appears counts from now on, then the event is part of what is usual. */
export function heed({ history, active, ...rest }: RiskState, event: RiskEvent): RiskState {
  const next: Record<string, number> = Object.fromEntries(Object.entries(active).filter(([, until]) => event.at < until));
  // What a denial led to leads to denials: those do not prolong it.
  const counts = ({ code, appears }: Sign): boolean => (event.kind !== "denied" || next[code] === undefined) && appears(event, history);
  for (const sign of SIGNS.filter(counts)) next[sign.code] = Math.max(next[sign.code] ?? 0, event.at + sign.lastsMs);
  return { ...rest, history: remember(history, event), active: next };
}

/** What another system says; null: nothing any more, as of `when`. One that comes late changes nothing. */
export function report(state: RiskState, said: Fact | null, when: number): RiskState {
  const { reported, ...rest } = state;
  const observed = said?.observedAt ?? when;
  if (reported !== undefined && observed < reported.at) return state;
  const level = LEVELS.find((one) => one === said?.value);
  // A word that nobody knows is no reason to trust.
  return said === null ? rest : { ...rest, reported: { level: level ?? "high", until: said.expiresAt ?? Infinity, at: observed } };
}

/** Undefined: nobody knows anything of this person yet. */
export function assess({ active, history, reported }: RiskState, now: number): Assessment | undefined {
  const word = reported !== undefined && now < reported.until ? reported : undefined;
  if (history.signIns === 0 && word === undefined) return undefined;
  const counting = SIGNS.filter(({ code }) => now < (active[code] ?? 0));
  const sum = counting.reduce((total, { weight }) => total + weight, 0);
  const own = sum >= HIGH_WEIGHT ? "high" : sum >= MEDIUM_WEIGHT ? "medium" : "low";
  const isWorse = word !== undefined && LEVELS.indexOf(word.level) > LEVELS.indexOf(own);
  return {
    level: isWorse ? word.level : own,
    reasons: [...counting.map(({ code }) => code), ...(isWorse ? [REPORTED] : [])].sort(),
    until: Math.min(word?.until ?? Infinity, ...counting.map(({ code }) => active[code] ?? Infinity)),
  };
}
