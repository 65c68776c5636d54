/** Sign `request_rate`: several times as many requests in ten minutes as in this person's busiest ten. */
import { paced, REQUESTS_WINDOW_MS } from "./history.ts";
import { HOUR_MS, type Sign } from "./sign.ts";

/** Fewer than this in ten minutes is a person who clicks. */
const MIN_REQUESTS_COUNT = 3_000;
const TIMES = 5;
const MIN_WINDOWS_COUNT = 3;

export const requestRate: Sign = {
  code: "request_rate",
  weight: 20,
  lastsMs: HOUR_MS,
  appears: ({ requests = 0, at }, before) => {
    const { now, most, windows } = paced(before.requests, requests, REQUESTS_WINDOW_MS, at);
    return requests > 0 && windows >= MIN_WINDOWS_COUNT && now > Math.max(MIN_REQUESTS_COUNT, TIMES * most);
  },
};
