/**
 * The hello of a connector on this lane: challenge, proof of the enrolled key, proof of the edge,
 * a MAC key that only the two know (M17, SPEC HS). Not the link that follows.
 */
import { createHash } from "node:crypto";
import { toBase64Url } from "../../core/bytes.ts";
import { deriveStreamMacKey, generateAgreementKey, verifyHello, type AgreementKey } from "../../identity/connector-proof.ts";
import type { Challenge } from "../../protocol/control.ts";
import { encodeControl, readConnectorMessage } from "../../protocol/control.ts";
import { negotiateVersion, SUPPORTED_VERSIONS, transcript } from "../../protocol/hello.ts";
import { MAX_HELLO_BYTES } from "../../protocol/limits.ts";
import { randomText } from "../random-text.ts";
import type { ConnectorAttachment } from "./attachments.ts";
import type { ConnectContext } from "./rpc.ts";

/** A connector's clock may be this far off; more would make every admission look expired. */
const MAX_CLOCK_SKEW_MS = 300_000;

export interface Handshake {
  readonly context: ConnectContext;
  readonly challenge: Challenge;
  readonly agreement: AgreementKey;
}

export async function beginHandshake(context: ConnectContext, now: number): Promise<Handshake> {
  const agreement = await generateAgreementKey(crypto.subtle);
  const challenge: Challenge = {
    t: "challenge",
    versions: [...SUPPORTED_VERSIONS],
    nonce: randomText(32),
    dh: agreement.publicKey,
    site: context.site,
    lane: context.lane,
    time: now,
  };
  return { context, challenge, agreement };
}

export type HandshakeResult =
  | { readonly ok: true; readonly attachment: ConnectorAttachment; readonly version: number; readonly transcript: string }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** Verifies a hello. Nothing is believed but the key that signed our nonce: id, site and lane are what it was enrolled for. */
export async function verifyHandshake(handshake: Handshake, raw: string, now: number): Promise<HandshakeResult> {
  const { context, challenge, agreement } = handshake;
  const read = readConnectorMessage(raw, MAX_HELLO_BYTES);
  if (read.type !== "message" || read.message.t !== "hello") return refuse("bad_hello", "expected a hello");
  const hello = read.message;
  const version = negotiateVersion(hello.versions);
  if (version === undefined || hello.v !== version) {
    return refuse("version_unsupported", `this edge speaks protocol ${SUPPORTED_VERSIONS.join(", ")}; update the connector`);
  }
  if (hello.connector !== context.connector) return refuse("wrong_connector", "the hello names another connector");
  if (Math.abs(hello.time - now) > MAX_CLOCK_SKEW_MS) {
    return refuse("clock_wrong", `the connector's clock is ${Math.round((hello.time - now) / 1000)} s off; set it by NTP`);
  }
  if (!(await verifyHello(transcript("connector", challenge, hello), hello.signature, context.publicKey))) {
    return refuse("bad_signature", "the hello is not signed by the key that was enrolled");
  }
  const edge = transcript("edge", challenge, hello);
  const mac = await deriveStreamMacKey(agreement.privateKey, hello.dh, edge);
  if (mac === undefined) return refuse("bad_key", "the key agreement failed");
  return {
    ok: true,
    version,
    transcript: createHash("sha256").update(edge).digest("base64url"),
    attachment: {
      v: 1,
      role: "connector",
      link: randomText(9),
      connector: context.connector,
      thumbprint: context.thumbprint,
      mac: toBase64Url(mac),
      idsUsed: 2,
      welcomedAt: now,
    },
  };
}

const refuse = (code: string, message: string): HandshakeResult => ({ ok: false, code, message });

export const refuseText = (code: string, message: string): string => encodeControl({ t: "refuse", code, message });

