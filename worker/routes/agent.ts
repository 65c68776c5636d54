/**
 * GET /.postern/agent?app, an agent's WebSocket: decided for that app by the gate like any other
 * request, then it is the lane's. Each stream on it is decided again there (SPEC "AG").
 */
import { AGENT_SUBPROTOCOL } from "../../protocol/agent-link.ts";
import type { Exchange } from "../exchange.ts";
import { gate } from "../gate.ts";
import { socketFault } from "../program-socket.ts";

export async function agent(x: Exchange): Promise<Response> {
  return socketFault(x, AGENT_SUBPROTOCOL) ?? gate({ ...x, agentFor: new URLSearchParams(x.url.query).get("app") ?? "" });
}
