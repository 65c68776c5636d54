/**
 * The start of a tunnel: challenge, hello, welcome. The connector proves its key over both sides'
 * words, and believes the edge only by a signature of a pinned key over the same words (class L).
 */
import { toBase64Url } from "../core/bytes.ts";
import { at } from "../core/time.ts";
import { deriveStreamMacKey, generateAgreementKey, signHello, transcriptHash, verifyLaneWelcome } from "../identity/connector-proof.ts";
import type { ConnectorKey } from "../identity/connector-proof.ts";
import type { Challenge, EdgeMessage, Hello } from "../protocol/control.ts";
import { encodeControl } from "../protocol/control.ts";
import { SUPPORTED_VERSIONS, negotiateVersion, transcript } from "../protocol/hello.ts";
import { diagnoseClock } from "./diagnose.ts";
import { EdgeClock } from "./edge-clock.ts";
import { Failure } from "./failure.ts";
import type { PinnedKeys } from "./pinned-keys.ts";
import type { ConnectorState } from "./state.ts";

export interface Identity {
  readonly state: ConnectorState;
  readonly key: ConnectorKey;
  readonly keys: PinnedKeys;
  /** Random per process, base64url: tells the edge a restart from a reconnect. */
  readonly instance: string;
}

interface Welcomed {
  /** The socket's MAC key for stream-opens (M17). Secret. */
  readonly macKey: Uint8Array;
  readonly clock: EdgeClock;
  /** The site's signed configuration, not yet verified. */
  readonly config: string;
}

/** What the handshake does with the socket: controls in and out, one at a time. */
export interface ControlPort {
  next(): Promise<EdgeMessage>;
  send(text: string): void;
}

const SOFTWARE = "postern-connector/0.1.0";

/** Carries the handshake through. Throws Failure; the caller closes the socket and sets the deadline. */
export async function shakeHands(port: ControlPort, lane: number, identity: Identity, now: () => number): Promise<Welcomed> {
  const challenge = await port.next();
  if (challenge.t === "refuse") throw refused(challenge.code, challenge.message);
  if (challenge.t !== "challenge") throw outOfOrder(challenge.t);
  const { state } = identity;
  if (challenge.site !== state.site || challenge.lane !== lane) {
    throw new Failure("wrong_lane", "the edge speaks for another site or lane", "a route between the edge and its tunnel objects is wrong", "see the edge's logs");
  }
  const clock = new EdgeClock(challenge.time);
  const skewed = diagnoseClock(challenge.time, now());
  if (skewed !== undefined) throw skewed;
  const agreement = await generateAgreementKey(crypto.subtle);
  const hello = await signedHello(challenge, identity, agreement.publicKey, now());
  port.send(encodeControl(hello));
  const answer = await nextAfterKeys(port, identity.keys);
  if (answer.t === "refuse") throw refused(answer.code, answer.message);
  if (answer.t !== "welcome") throw outOfOrder(answer.t);
  clock.answered();
  if (answer.v !== hello.v) throw outOfOrder("welcome of another version");
  const words = transcript("edge", challenge, hello);
  const expected = { transcript: toBase64Url(await transcriptHash(words)), site: state.site, lane };
  const proof = await verifyLaneWelcome(answer.signature, identity.keys.current, expected, at(now()));
  if (!proof.ok) {
    if (proof.error === "clock_wrong") throw clockFailure();
    throw new Failure("edge_unproven", `the edge cannot prove that it is this connector's edge (${proof.error})`,
      "its welcome is not signed by a key pinned at enrolment: another deployment, or somebody in between", "if the deployment was made anew, enrol anew with --replace");
  }
  const macKey = await deriveStreamMacKey(agreement.privateKey, challenge.dh, words);
  if (macKey === undefined) throw outOfOrder("challenge with an unusable key");
  return { macKey, clock, config: answer.config };
}

async function signedHello(challenge: Challenge, { state, key, instance }: Identity, dh: string, now: number): Promise<Hello> {
  const v = negotiateVersion(challenge.versions);
  if (v === undefined) {
    throw new Failure("version", "the edge does not speak this connector's protocol version", `it offers ${challenge.versions.join(", ")}, this program ${SUPPORTED_VERSIONS.join(", ")}`, "update the older of the two");
  }
  const unsigned: Hello = { t: "hello", v, connector: state.connector, instance, dh, time: Math.max(0, Math.floor(now)), versions: SUPPORTED_VERSIONS, software: SOFTWARE, signature: "unsigned" };
  return { ...unsigned, signature: await signHello(transcript("connector", challenge, unsigned), key) };
}

/** A connector that was away for some turns of the keys is shown the chain first. */
async function nextAfterKeys(port: ControlPort, keys: PinnedKeys): Promise<EdgeMessage> {
  for (;;) {
    const message = await port.next();
    if (message.t !== "keys") return message;
    const problem = await keys.accept(message.jws);
    if (problem !== undefined && problem !== "older_version") throw new Failure("key_set", `the edge shows a key set that nothing known vouches for (${problem})`, "another deployment, or somebody in between", "if the deployment was made anew, enrol anew with --replace");
  }
}

function refused(code: string, message: string): Failure {
  return new Failure(code, "the edge refused the hello", message.replace(/[^\x20-\x7e]/g, "?"), "`postern connectors` says whether it was revoked; to enrol anew: postern enroll-token SITE");
}

function outOfOrder(what: string): Failure {
  return new Failure("handshake", `the handshake went wrong at "${what}"`, "the edge is of another version, or something in between answers", "update the connector");
}

function clockFailure(): Failure {
  return new Failure("clock", "this machine's clock and the edge's differ by minutes", "signatures are only valid for seconds, so the clocks must agree", "set the clock: timedatectl set-ntp true");
}
