/** Sign `byte_volume`: several times as many bytes in a day as on this person's busiest day. */
import { DAY_MS } from "../../../core/time.ts";
import { BYTES_WINDOW_MS } from "./history.ts";
import { outlier } from "./outlier.ts";
import type { Sign } from "./sign.ts";

/** Less than this is nobody's loss of everything, whatever is usual. */
const MIN_BYTES = 1_000_000_000;

export const byteVolume: Sign = { code: "byte_volume", weight: 30, lastsMs: DAY_MS, appears: outlier("bytes", BYTES_WINDOW_MS, MIN_BYTES) };
