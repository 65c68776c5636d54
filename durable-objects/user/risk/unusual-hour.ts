/** Sign `unusual_hour`: a sign-in at an hour at which, and around which, this person never signs in. */
import { HOUR_MS } from "../../../core/time.ts";
import { hourOf } from "./history.ts";
import type { Sign } from "./sign.ts";

/** Sign-ins after which hours say something. */
const MIN_SIGN_INS_COUNT = 20;

export const unusualHour: Sign = {
  code: "unusual_hour",
  weight: 10,
  lastsMs: 8 * HOUR_MS,
  appears: ({ kind, at }, { signIns, hours }) => kind === "sign_in" && signIns >= MIN_SIGN_INS_COUNT && [23, 0, 1].every((by) => hours[(hourOf(at) + by) % 24] === 0),
};
