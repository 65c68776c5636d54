/** Sign `second_session`: two sessions of one person in use at the same time, at whatever place (NIST SP 1800-35 B-3.1). Many have a telephone too: it moves no level; a policy may name it. */
import { IN_USE_MS } from "./history.ts";
import type { Sign } from "./sign.ts";

export const secondSession: Sign = {
  code: "second_session",
  // All others are multiples of five, as the levels are: with it or without it the level is the same.
  weight: 1,
  lastsMs: IN_USE_MS,
  appears: ({ kind, at, sid, live = [] }, { sessions }) => kind !== "denied" && sid !== undefined && Object.entries(sessions).some(([other, one]) => other !== sid && at < one.at + IN_USE_MS && live.includes(other)),
};
