/**
 * What the two ends sign at the start of a tunnel, and which version they speak. Every field of
 * challenge and hello is in the transcript, each with its length, so that no two handshakes
 * share one; a label per signer keeps a signature of one side from serving as the other's.
 * Signing, verifying and the key agreement are done by whoever holds the keys.
 */
import { concat } from "../core/bytes.ts";
import type { Challenge, Hello } from "./control.ts";
import { writeU32 } from "./frames.ts";

/** Versions that this build speaks, newest first: the current one and, once there is one, the one before (HS3). */
export const SUPPORTED_VERSIONS: readonly number[] = [1];
/** Offered in Sec-WebSocket-Protocol, so that another wire can replace this one. */
export const SUBPROTOCOL = "postern.v1";

/** The newest version that both speak; undefined if there is none, and then the hello is refused. */
export function negotiateVersion(offered: readonly number[], supported: readonly number[] = SUPPORTED_VERSIONS): number | undefined {
  const common = supported.filter((version) => offered.includes(version));
  return common.length === 0 ? undefined : Math.max(...common);
}

const LABELS = { connector: "postern tunnel hello, connector", edge: "postern tunnel hello, edge" } as const;

/**
 * The bytes that `signer` signs: its label, then every field of challenge and hello but the
 * signature, in this order, each as [length u32be][UTF-8]; numbers in decimal, lists as their
 * count and then each item (HS1). The edge also covers the connector's signature (HS2).
 */
export function transcript(signer: "connector" | "edge", challenge: Challenge, hello: Hello): Uint8Array<ArrayBuffer> {
  const fields: (string | number)[] = [
    LABELS[signer],
    challenge.versions.length,
    ...challenge.versions,
    challenge.nonce,
    challenge.dh,
    challenge.site,
    challenge.lane,
    challenge.time,
    hello.v,
    hello.connector,
    hello.instance,
    hello.dh,
    hello.time,
    hello.versions.length,
    ...hello.versions,
    hello.software,
  ];
  if (signer === "edge") fields.push(hello.signature);
  return concat(fields.map(prefixed));
}

function prefixed(field: string | number): Uint8Array {
  const bytes = new TextEncoder().encode(String(field));
  const out = new Uint8Array(4 + bytes.length);
  writeU32(out, 0, bytes.length);
  out.set(bytes, 4);
  return out;
}
