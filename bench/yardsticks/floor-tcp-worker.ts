/**
 * Yardstick `floor-tcp`: an object that hands every message of the agent's WebSocket to the
 * connector's and back, untouched. Nobody is asked, nothing is counted or bounded. Never deploy it.
 */
import { DurableObject } from "cloudflare:workers";

interface Env {
  readonly FLOOR_TCP: DurableObjectNamespace;
}

export class FloorTcp extends DurableObject {
  readonly #ends = new Map<string, WebSocket>();

  override fetch(request: Request): Response {
    const end = request.url.endsWith("/agent") ? "agent" : "connector";
    const other = end === "agent" ? "connector" : "agent";
    const pair = new WebSocketPair();
    pair[1].accept();
    pair[1].binaryType = "arraybuffer";
    this.#ends.set(end, pair[1]);
    pair[1].addEventListener("message", ({ data }) => this.#ends.get(other)?.send(data as ArrayBuffer));
    return new Response(null, { status: 101, webSocket: pair[0] });
  }
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    return env.FLOOR_TCP.getByName("one").fetch(request);
  },
};
