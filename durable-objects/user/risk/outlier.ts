/** Several times as much in a window as in this person's busiest one: what the signs of volume have in common. */
import { paced } from "./history.ts";
import type { Sign } from "./sign.ts";

const TIMES = 5;
const MIN_WINDOWS_COUNT = 3;

/** `least`: no more than this is no outlier, whatever is usual. */
export const outlier = (of: "bytes" | "requests", windowMs: number, least: number): Sign["appears"] => ({ [of]: more = 0, at }, before) => {
  const { now, most, windows } = paced(before[of], more, windowMs, at);
  return more > 0 && windows >= MIN_WINDOWS_COUNT && now > Math.max(least, TIMES * most);
};
