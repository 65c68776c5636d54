/**
 * `postern-connector status --endorse KEY`: this connector's signed word, or the offline key's,
 * that KEY is another connector's of the same site, for agents that know the one that signs.
 */
import { createPrivateKey } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { parseSiteId } from "../core/ids.ts";
import { at } from "../core/time.ts";
import { parseConnectorKey } from "../identity/connector-proof.ts";
import type { ConnectorKey } from "../identity/connector-proof.ts";
import { ed25519Jwk, signEndorsement } from "../identity/endorsement.ts";
import { parseEdgeUrl } from "./edge-route.ts";
import { Failure, usageFailure } from "./failure.ts";
import { loadState, readStateFile, requirePrivate } from "./state.ts";

export interface EndorseRequest {
  /** The endorsed public key, base64url. */
  readonly key: string;
  /** The offline key's file, PEM; then `edge` and `site` say what for, else the state does. */
  readonly signWith: string | undefined;
  readonly edge: string | undefined;
  readonly site: string | undefined;
  readonly state: string;
}

/** The endorsement, one line. Throws Failure. */
export async function endorse(asked: EndorseRequest, now: () => number): Promise<string> {
  const endorsed = await ed25519Jwk(asked.key);
  if (endorsed === undefined) throw usageFailure("--endorse takes a connector's public key", "43 characters, as enroll and status show it on the new connector's machine");
  const { signer, edge, site } = asked.signWith === undefined ? await ownWord(asked) : await offlineWord(asked, asked.signWith);
  if (signer.publicJwk.x === asked.key) throw usageFailure("that is this connector's own key", "an endorsement is for another connector: run this on one that agents know");
  return signEndorsement({ edge, site, key: endorsed.x }, signer, at(now()));
}

async function ownWord({ state: directory, edge, site }: EndorseRequest) {
  if (edge !== undefined || site !== undefined) throw usageFailure("--edge and --site go with --sign-with", "a connector endorses for its own edge and site");
  const state = loadState(directory);
  return { signer: await ownKey(directory), edge: state.edge.origin, site: state.site };
}

async function offlineWord(asked: EndorseRequest, file: string) {
  const site = asked.site === undefined ? undefined : parseSiteId(asked.site);
  if (site === undefined || asked.edge === undefined) throw usageFailure("--sign-with needs --edge URL and --site SITE", "the offline key is nobody's connector: the endorsement says for which edge and site it is");
  return { signer: await offlineKey(file), edge: parseEdgeUrl(asked.edge).origin, site };
}

/** This connector's key. Throws Failure. */
export async function ownKey(directory: string): Promise<ConnectorKey> {
  requirePrivate(directory, "key");
  const key = await parseConnectorKey(readStateFile(directory, "key"));
  if (key === undefined) throw new Failure("key_damaged", "key.json holds no Ed25519 key", "it is damaged or was replaced", "enrol anew: postern-connector enroll … --replace");
  return key;
}

async function offlineKey(file: string): Promise<ConnectorKey> {
  let stored: unknown;
  try {
    if (process.platform !== "win32" && (statSync(file).mode & 0o077) !== 0) throw new Failure("key_exposed", `${file} can be read by other users`, "a private key must be readable by its owner only", `chmod 600 ${file}`);
    stored = createPrivateKey(readFileSync(file, "utf8")).export({ format: "jwk" });
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure("offline_key", `${file} holds no private key`, "it must be an Ed25519 key in PEM without a passphrase", "openssl genpkey -algorithm ed25519 -out FILE");
  }
  const key = await parseConnectorKey(stored);
  if (key === undefined) throw new Failure("offline_key", `${file} holds no Ed25519 key`, "another kind of key cannot endorse", "openssl genpkey -algorithm ed25519 -out FILE");
  return key;
}
