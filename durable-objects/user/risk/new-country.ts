/** Sign `new_country`: a country that this person never came from, or not for long. */
import { DAY_MS } from "../../../core/time.ts";
import { isKnown, isLearned } from "./history.ts";
import type { Sign } from "./sign.ts";

export const newCountry: Sign = { code: "new_country", weight: 25, lastsMs: DAY_MS, appears: ({ country, at }, before) => isLearned(before) && !isKnown(before.countries, country, at) };
