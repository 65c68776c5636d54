/** Sign `impossible_travel`: farther from where this person was last than anybody travels in that time. */
import { DAY_MS, HOUR_MS } from "../../../core/time.ts";
import type { Sign } from "./sign.ts";

/** An airliner's, in kilometres an hour. */
const MAX_SPEED_KMH = 1_000;
/** Addresses are placed no better than this, in kilometres. */
const NEAR_KM = 300;
const EARTH_KM = 6_371;

/** Great-circle distance in kilometres (haversine). */
function distanceKm(a: { latitude: number; longitude: number }, b: { latitude: number; longitude: number }): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const half = (from: number, to: number): number => Math.sin(radians(to - from) / 2) ** 2;
  const h = half(a.latitude, b.latitude) + Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * half(a.longitude, b.longitude);
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(h)));
}

export const impossibleTravel: Sign = {
  code: "impossible_travel",
  weight: 50,
  lastsMs: DAY_MS,
  appears: ({ at, location }, { placed }) => {
    if (location === undefined || placed === undefined) return false;
    const km = distanceKm(location, placed);
    return km > NEAR_KM && km > (MAX_SPEED_KMH * Math.max(0, at - placed.at)) / HOUR_MS;
  },
};
