/** Where a subject of a scenario is: what the platform says of its connection. Countries and networks differ, as those of a company's offices may. */
export type Place = "office" | "branch" | "remote" | "cloud";

export const PLACES: Readonly<Record<Place, { readonly clientIp: string; readonly country: string; readonly asn: number }>> = {
  office: { clientIp: "192.0.2.10:1", country: "US", asn: 64_500 },
  branch: { clientIp: "198.51.100.10:1", country: "CA", asn: 64_501 },
  remote: { clientIp: "203.0.113.10:1", country: "FR", asn: 64_502 },
  cloud: { clientIp: "233.252.0.10:1", country: "IE", asn: 64_503 },
};

/** "branch>cloud": the subject's place, and where the resource is. */
export function pairOf(text: string): { readonly from: Place; readonly to: "office" | "cloud" } {
  const [from = "", to = "office"] = text.split(">");
  if (!(from in PLACES) || (to !== "office" && to !== "cloud")) throw new Error(`${text} is no pair of places`);
  return { from: from as Place, to };
}
