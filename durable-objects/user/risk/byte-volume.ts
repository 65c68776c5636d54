/** Sign `byte_volume`: several times as many bytes in a day as on this person's busiest day. */
import { BYTES_WINDOW_MS, paced } from "./history.ts";
import { DAY_MS, type Sign } from "./sign.ts";

/** Less than this is nobody's loss of everything, whatever is usual. */
const MIN_BYTES = 1_000_000_000;
const TIMES = 5;
const MIN_WINDOWS_COUNT = 3;

export const byteVolume: Sign = {
  code: "byte_volume",
  weight: 30,
  lastsMs: DAY_MS,
  appears: ({ bytes = 0, at }, before) => {
    const { now, most, windows } = paced(before.bytes, bytes, BYTES_WINDOW_MS, at);
    return bytes > 0 && windows >= MIN_WINDOWS_COUNT && now > Math.max(MIN_BYTES, TIMES * most);
  },
};
