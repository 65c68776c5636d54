/** Sign `new_network`: an autonomous system that this person never came from, or not for long. */
import { isKnown, isLearned } from "./history.ts";
import { DAY_MS, type Sign } from "./sign.ts";

export const newNetwork: Sign = { code: "new_network", weight: 10, lastsMs: DAY_MS, appears: ({ asn, at }, before) => isLearned(before) && !isKnown(before.networks, asn === undefined ? undefined : String(asn), at) };
