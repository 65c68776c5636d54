/** Sign `new_app`: an app that this person never used: nothing by itself, something beside others. */
import { HOUR_MS } from "../../../core/time.ts";
import { isKnown, isLearned } from "./history.ts";
import type { Sign } from "./sign.ts";

export const newApp: Sign = { code: "new_app", weight: 5, lastsMs: HOUR_MS, appears: ({ app, at }, before) => isLearned(before) && !isKnown(before.apps, app, at) };
