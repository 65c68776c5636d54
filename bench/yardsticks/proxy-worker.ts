/** Yardstick `workerd-proxy`: what workerd needs to pass a request on to an origin. No tunnel, no object, nobody asked. */
interface Env {
  readonly ORIGIN: string;
  readonly WEBSOCKETS: string;
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    return fetch((request.headers.get("upgrade") === null ? env.ORIGIN : env.WEBSOCKETS) + request.url.slice(request.url.indexOf("/", 8)), request);
  },
};
