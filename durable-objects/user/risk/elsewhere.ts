/** Sign `elsewhere`: a second session in use at once, from another country and network than the first (NIST SP 1800-35 B-3); or the same one, carried off. */
import { HOUR_MS } from "../../../core/time.ts";
import { fromOf, IN_USE_MS } from "./history.ts";
import type { Sign } from "./sign.ts";

export const elsewhere: Sign = {
  code: "elsewhere",
  weight: 30,
  lastsMs: HOUR_MS,
  appears: (event, { sessions }) => {
    const { at, country, asn } = event;
    if (country === undefined || asn === undefined) return false;
    const here = fromOf(event);
    const [ownCountry, ownNetwork] = here.split("/");
    return Object.values(sessions).some((one) => {
      const [otherCountry, otherNetwork] = one.from.split("/");
      return at < one.at + IN_USE_MS && otherCountry !== "?" && otherNetwork !== "?" && otherCountry !== ownCountry && otherNetwork !== ownNetwork;
    });
  },
};
