/** Yardstick `do-hello`: what one hop from a Worker to an object costs when the object answers 1 KiB by itself. */
import { DurableObject } from "cloudflare:workers";

interface Env {
  readonly HELLO: DurableObjectNamespace;
}

const BODY = new Uint8Array(1024).fill(0x78);

export class Hello extends DurableObject {
  override fetch(): Response {
    return new Response(BODY);
  }
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    return env.HELLO.getByName("one").fetch(request);
  },
};
