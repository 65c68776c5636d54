/** Sign `new_network`: an autonomous system that this person never came from, or not for long. */
import { DAY_MS } from "../../../core/time.ts";
import { isKnown, isLearned } from "./history.ts";
import type { Sign } from "./sign.ts";

export const newNetwork: Sign = { code: "new_network", weight: 10, lastsMs: DAY_MS, appears: ({ asn, at }, before) => isLearned(before) && !isKnown(before.networks, asn === undefined ? undefined : String(asn), at) };
