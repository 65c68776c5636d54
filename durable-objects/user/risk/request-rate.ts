/** Sign `request_rate`: several times as many requests in ten minutes as in this person's busiest ten. */
import { HOUR_MS } from "../../../core/time.ts";
import { REQUESTS_WINDOW_MS } from "./history.ts";
import { outlier } from "./outlier.ts";
import type { Sign } from "./sign.ts";

/** Fewer than this in ten minutes is a person who clicks. */
const MIN_REQUESTS_COUNT = 3_000;

export const requestRate: Sign = { code: "request_rate", weight: 20, lastsMs: HOUR_MS, appears: outlier("requests", REQUESTS_WINDOW_MS, MIN_REQUESTS_COUNT) };
