/** Yardstick `workerd-proxy`: what workerd needs to pass a request on to an origin. No tunnel, no object, nobody asked. */
interface Env {
  readonly ORIGIN: string;
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    return fetch(env.ORIGIN + request.url.slice(request.url.indexOf("/", 8)), request);
  },
};
