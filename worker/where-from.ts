/** Where a sign-in comes from, for the person's risk: as the platform places it, never as the client says. */
import type { SignIn } from "../durable-objects/user/rpc.ts";
import type { Exchange } from "./exchange.ts";

export function whereFrom({ connection, request }: Exchange): NonNullable<SignIn["from"]> {
  const { country, asn, user_agent: device } = connection;
  const { latitude, longitude } = (request.cf ?? {}) as { readonly latitude?: unknown; readonly longitude?: unknown };
  const place = { latitude: Number(latitude ?? Number.NaN), longitude: Number(longitude ?? Number.NaN) };
  return {
    country: typeof country?.value === "string" ? country.value : undefined,
    asn: typeof asn?.value === "number" ? asn.value : undefined,
    // A browser is the same one after its update.
    device: typeof device?.value === "string" ? device.value.replace(/[0-9._]+/g, "") : undefined,
    location: Number.isFinite(place.latitude) && Number.isFinite(place.longitude) ? place : undefined,
  };
}
