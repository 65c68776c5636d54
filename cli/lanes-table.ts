/** The lanes of an edge for people. */
import type { EdgeStatusAnswer } from "../protocol/admin-api.ts";
import { table } from "./table.ts";

export function lanesTable(lanes: EdgeStatusAnswer["lanes"]): string {
  const rows = lanes.map((one) => {
    if (!one.reachable) return [one.site, `${one.lane}`, "unreachable", "", "", "", ""];
    const held = (one.connectors ?? []).map((connector) => `${connector.id}${connector.draining ? " (draining)" : ""}`);
    return [one.site, `${one.lane}`, held.join(" ") || "none", `${one.streams ?? 0}`, `${one.leases ?? 0}`, `${one.policy_version ?? 0}`, (one.awake ?? []).join("; ") || "nothing"];
  });
  return table(["SITE", "LANE", "CONNECTORS", "STREAMS", "LEASES", "POLICY", "KEPT AWAKE BY"], rows, "no lane has been opened yet: no connector has ever connected");
}
