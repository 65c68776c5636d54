/** What the codes of the edge and of the connector mean to whoever uses an app, and whether waiting helps. */
import { terminalText } from "../core/terminal-text.ts";
import { AgentFailure } from "./agent-failure.ts";

interface Meaning {
  readonly what: string;
  readonly why: string;
  readonly fix: readonly string[];
  /** It may pass by itself: the agent tries again while the stream lives. */
  readonly passes?: true;
}

const EXPLAIN = "whoever administers the edge sees why with: postern explain REQUEST";
const SIGN_IN = { what: "your sign-in no longer holds", why: "it ended, was revoked, or is too old for this app", fix: ["postern login"] };
const RULES = { what: "the connection broke", why: "one of its ends broke a rule of the stream", fix: ["connect anew; if it comes again: update the agent and the connector"] };
const NO_APP = "the app itself cannot be reached from its connector";

const MEANINGS: Readonly<Record<string, Meaning>> = {
  denied: { what: "access to this app is refused", why: "no policy allows it now", fix: [EXPLAIN] },
  policy: { what: "access to this app has ended", why: "it was decided again, and no policy allows it now", fix: [EXPLAIN] },
  revoked: { what: "access has ended", why: "the session, the user, the app or its connector was revoked", fix: ["connect anew, or postern login", EXPLAIN] },
  expired: SIGN_IN,
  step_up: { ...SIGN_IN, why: "this app wants a fresh sign-in" },
  limit: { what: "the limit of this app is used up", why: "a policy limits what may pass", fix: [EXPLAIN] },
  limit_reached: { what: "the limit of this app is used up", why: "a policy limits what may pass", fix: [EXPLAIN] },
  link: { what: "the connector was lost", why: "it reconnects, or the edge was restarted", fix: ["try again"], passes: true },
  no_connector: { what: "no connector of this site is there", why: "none is connected, or the one that held the stream is away", fix: ["postern edge-status shows the connectors"], passes: true },
  unavailable: { what: "the edge could not decide", why: "a part of it did not answer", fix: ["try again"], passes: true },
  identity_lost: { what: "this app cannot be used now", why: "your identity provider does not answer", fix: ["try again later"], passes: true },
  audit_lost: { what: "this app cannot be used now", why: "nothing can be put on record", fix: ["try again"], passes: true },
  control_lost: { what: "this app cannot be used now", why: "it is not known which policy is live", fix: ["try again"], passes: true },
  overloaded: { what: "there is too much to do", why: "the edge or the connector takes no more streams now", fix: ["try again later"], passes: true },
  flow: { what: "the edge gave the stream up", why: "an end broke a rule of the stream, or a part of the edge was lost", fix: ["try again; if it comes again: update the agent and the connector"], passes: true },
  stale: { what: "the edge has a newer policy", why: "it changed while it was asked", fix: ["try again"], passes: true },
  memory: { what: "the edge gave the stream up", why: "too much waited on it", fix: ["try again"], passes: true },
  unknown_stream: { what: "the connection could not be taken up again", why: "the connector does not hold it any more: it was restarted, or its access was cut", fix: ["connect anew"] },
  old_generation: { what: "the connection is taken up elsewhere", why: "the connector has heard of a newer attempt to go on with it", fix: ["try again"], passes: true },
  bad_frame: RULES,
  bad_offset: RULES,
  out_of_order: RULES,
  overrun: RULES,
  after_end: RULES,
  wrong_total: RULES,
  cut: { what: "access has ended", why: "the edge told the connector to end this connection: its session or app was revoked, or no policy allows it now", fix: ["postern login", EXPLAIN] },
  stopped: { what: "the connector ended the connection", why: "it was stopped", fix: ["connect anew: another connector may take it"] },
  upstream_refused: { what: NO_APP, why: "it does not accept the connection", fix: ["is it running? the app's upstream is in postern.yaml"] },
  upstream_timeout: { what: NO_APP, why: "it did not answer in time", fix: ["is it running? the app's upstream is in postern.yaml"] },
  upstream_tls: { what: NO_APP, why: "its certificate was not accepted", fix: ["the app's tls is in postern.yaml"] },
  upstream_protocol: { what: NO_APP, why: "what was said on the way to it cannot be read", fix: ["see the connector's log; update the connector"] },
  upstream_name: { what: NO_APP, why: "its name does not resolve there", fix: ["the app's upstream is in postern.yaml"] },
  upstream_reset: { what: "the app broke the connection", why: "it reset it", fix: ["see the app's own log"] },
  wrong_app: { what: "the edge led this connection to another app", why: "the connector was asked for another app than this agent asked for; nothing was sent to it", fix: ["ask whoever administers the edge"] },
  not_allowed: { what: NO_APP, why: "the connector's own list does not name it", fix: ["postern-connector enroll … --allow HOST:PORT"] },
  bad_open: { what: "the connector did not accept the connection", why: "it could not read or serve what the edge asked of it", fix: ["see the connector's log; update the connector"] },
  bad_admission: { what: "the connector did not accept the edge's word", why: "it ran out on the way", fix: ["try again"], passes: true },
  detached_too_long: { what: "the connection was away for too long", why: "it could not be taken up again within 60 s", fix: ["connect anew"] },
  edge_silent: { what: "the connector ended the connection", why: "it heard nothing from the edge for 30 s", fix: ["connect anew"] },
};

/** The code is somebody else's word: "constructor" is none of ours. */
function meaningOf(code: string): Meaning | undefined {
  return Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : undefined;
}

/** A refusal or an end by one of these codes, in words. */
export function refusedBecause(code: string, requestId?: string, detail?: string): AgentFailure {
  const { what, why, fix, passes } = meaningOf(code) ?? { what: "the stream was refused", why: `the code is ${code}`, fix: [EXPLAIN] };
  const said = detail === undefined ? why : `${why} (${terminalText(detail, 200)})`;
  return new AgentFailure(code, what, said, fix, { requestId, isPassing: passes === true });
}
