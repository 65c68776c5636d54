/** Yardstick of open WebSockets: a Worker, one hop to one of eight objects, which holds them hibernatable and echoes. */
import { DurableObject } from "cloudflare:workers";

interface Env {
  readonly SOCKETS: DurableObjectNamespace;
}

const OBJECTS_COUNT = 8;

export class Sockets extends DurableObject {
  override fetch(): Response {
    const pair = new WebSocketPair();
    this.ctx.acceptWebSocket(pair[1]);
    return new Response(null, { status: 101, webSocket: pair[0] });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    socket.send(message);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    socket.close(code === 1005 || code === 1006 ? 1000 : code);
  }
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const number = Number(new URL(request.url).pathname.slice(1));
    return env.SOCKETS.getByName(`object ${number % OBJECTS_COUNT}`).fetch(request);
  },
};
