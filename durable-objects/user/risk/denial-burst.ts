/** Sign `denial_burst`: refused again and again in a few minutes: somebody tries doors. */
import { HOUR_MS } from "../../../core/time.ts";
import { DENIALS_WINDOW_MS } from "./history.ts";
import type { Sign } from "./sign.ts";

const BURST_COUNT = 10;

export const denialBurst: Sign = {
  code: "denial_burst",
  weight: 30,
  lastsMs: HOUR_MS,
  appears: ({ kind, at, count = 1 }, { denials }) => kind === "denied" && denials.filter((one) => at < one + DENIALS_WINDOW_MS).length + count >= BURST_COUNT,
};
