/**
 * TLS 1.3 between agent and connector inside one stream, both with keys of their own: proves to
 * each who holds the other's key, and hides everything from whoever carries the stream. Which key
 * is the right one is the caller's question, before it writes anything.
 */
import type { Duplex } from "node:stream";
import { TLSSocket, connect, createSecureContext } from "node:tls";
import type { SecureContext } from "node:tls";
import { SECURE_MS } from "../protocol/deadlines.ts";
import { ownCertificate } from "./own-certificate.ts";
import type { OwnKey } from "./own-certificate.ts";

/** Names what is spoken inside, so that a later version can be told from this one. */
const SPOKEN = "postern-tcp/1";
/** AES-128-GCM first: the cheapest that is strong enough, where the processor knows AES. */
const CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

export interface SecureStream {
  readonly socket: TLSSocket;
  /** The Ed25519 public key that the other end proved to hold, base64url of 32 bytes. */
  readonly peerKey: string;
}

/** What an end brings to every handshake; made once a process. */
export function secureContext(key: OwnKey): SecureContext {
  return createSecureContext({ ...ownCertificate(key), minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: CIPHERS });
}

/** The agent's side. Rejects, with `under` destroyed, if it does not come about in SECURE_MS. */
export function secureClient(under: Duplex, context: SecureContext): Promise<SecureStream> {
  // No authority stands behind either key: the handshake proves possession, the caller compares.
  const socket = connect({ socket: under, secureContext: context, rejectUnauthorized: false, checkServerIdentity: () => undefined, ALPNProtocols: [SPOKEN] });
  return proven(socket, under, "secureConnect");
}

/** The connector's side; the same. */
export function secureServer(under: Duplex, context: SecureContext): Promise<SecureStream> {
  const socket = new TLSSocket(under, { isServer: true, secureContext: context, requestCert: true, rejectUnauthorized: false, ALPNProtocols: [SPOKEN] });
  return proven(socket, under, "secure");
}

function proven(socket: TLSSocket, under: Duplex, event: "secure" | "secureConnect"): Promise<SecureStream> {
  return new Promise((done, fail) => {
    const failed = (): void => {
      clearTimeout(timer);
      socket.destroy();
      under.destroy();
      fail(new Error("no secure stream"));
    };
    const timer = setTimeout(failed, SECURE_MS);
    // Stays for the socket's life: a late error must never be unhandled; "close" follows it.
    socket.on("error", failed);
    socket.once("close", failed);
    socket.once(event, () => {
      const peerKey = peerKeyOf(socket);
      if (peerKey === undefined || socket.alpnProtocol !== SPOKEN) return failed();
      clearTimeout(timer);
      socket.off("close", failed);
      socket.off("error", failed);
      socket.on("error", () => undefined);
      done({ socket, peerKey });
    });
  });
}

function peerKeyOf(socket: TLSSocket): string | undefined {
  const key = socket.getPeerX509Certificate()?.publicKey;
  if (key?.asymmetricKeyType !== "ed25519") return undefined;
  return key.export({ format: "jwk" }).x;
}
