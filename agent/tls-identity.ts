/** What a process that carries streams sets up once: this agent's key as TLS wants it, and how often memory is looked through. */
import type { SecureContext } from "node:tls";
import { secureContext as contextOf } from "../channel/secure-stream.ts";
import type { ConnectorKey } from "../identity/connector-proof.ts";

export { collectLessOften } from "../channel/fewer-collections.ts";

export function secureContext({ privateJwk }: ConnectorKey): SecureContext {
  return contextOf(privateJwk);
}
