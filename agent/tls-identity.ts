/** This agent's key as TLS wants it. */
import type { SecureContext } from "node:tls";
import { secureContext as contextOf } from "../channel/secure-stream.ts";
import type { ConnectorKey } from "../identity/connector-proof.ts";

export function secureContext({ privateJwk }: ConnectorKey): SecureContext {
  return contextOf(privateJwk);
}
