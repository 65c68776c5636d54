/** What a request for a socket of one of our programs (connector, agent) must be. Not who may have one. */
import type { Exchange } from "./exchange.ts";
import { refuse } from "./respond.ts";

/** Why a request for one of our programs' sockets is none. */
export function socketFault(x: Exchange, subprotocol: string): Response | undefined {
  if (!x.framing.websocket) return refuse(x, "bad_argument", { detail: "This address speaks WebSocket only." });
  // A browser always says where it comes from; a program has no page.
  if (x.request.headers.get("origin") !== null) return refuse(x, "origin_not_allowed");
  const offered = (x.request.headers.get("sec-websocket-protocol") ?? "").split(",").map((one) => one.trim());
  return offered.includes(subprotocol) ? undefined : refuse(x, "bad_argument", { detail: `Offer the subprotocol ${subprotocol}.` });
}
