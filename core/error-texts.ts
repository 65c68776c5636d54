/**
 * The words of each error code, for people; they may be bettered. Not for causes: nothing here, and
 * nothing put beside it in an answer, names a policy, an allow-list value, an internal address or a
 * secret. `docs/errors.md` has one heading a code. The edge must not import this file: it reads the
 * same words from its assets (docs/decisions/0025).
 */
import type { ErrorCode } from "./errors.ts";

/** Who can end the trouble: the person who sees it, the team's operator, or either. */
export type ErrorActor = "user" | "operator" | "both";

export interface ErrorText {
  /** What happened, as a heading of a few words without a full stop. */
  readonly title: string;
  /** What happened, in one or two sentences. */
  readonly text: string;
  readonly who: ErrorActor;
  /** What to do, one step an entry, each a whole sentence, the likeliest first. */
  readonly fix: readonly string[];
}

const ASK_WITH_ID = "Give the request id to your administrator.";
const RETRY_SOON = "Try again in a moment.";
const START_AGAIN = "Open the app again and sign in from the start.";

const entry = (who: ErrorActor, title: string, text: string, fix: readonly string[]): ErrorText => ({ title, text, who, fix });

/** Total over ErrorCode. */
export const ERROR_TEXTS: Readonly<Record<ErrorCode, ErrorText>> = {
  // Who may pass. not_found is the blank answer: the same for an unknown host, an unknown app and
  // a forbidden one (POLICY "Explained or blank"), so its words must fit all three.
  not_found: entry("both", "Nothing to open here",
    "There is no page at this address that you can open.",
    ["Check the address for a typing mistake.", "If you expected an app here, ask your administrator for access and give them the request id."]),
  sign_in_required: entry("user", "Sign in to continue",
    "This request carried no valid sign-in.",
    ["Sign in and try again.", "In a terminal or a script, send a service token."]),
  denied: entry("both", "You cannot open this app right now",
    "You are signed in, but this app asks for something that is missing at the moment.",
    ["Follow the steps that are listed.", ASK_WITH_ID]),
  step_up_required: entry("user", "Confirm that it is you",
    "This app asks for a more recent or a stronger sign-in than the one you have (RFC 9470).",
    ["Sign in again and complete the extra step."]),
  read_only: entry("both", "You may look, but not change",
    "Your access to this app is read-only at the moment, and this request would have changed something or opened a live connection.",
    ["Use the app without saving, uploading or deleting.", ASK_WITH_ID]),
  limit_reached: entry("both", "You have used up your share",
    "A policy limits how many bytes one sign-in may move, and this one has moved them.",
    ["Sign in again later, or ask your administrator for more.", ASK_WITH_ID]),
  origin_not_allowed: entry("both", "Another site sent this request",
    "The request came from a page that this app accepts no requests from.",
    ["Open the app by its own address and do it there.", "An operator can allow the other site with `cors` or `websocket.origins` on the app."]),
  revoked: entry("both", "Your access was ended",
    "An operator or an automatic signal ended this session. Every connection that it had is closed.",
    ["Sign in again.", ASK_WITH_ID]),
  account_inactive: entry("both", "Your account is not active",
    "Your organisation's directory says that this account may not sign in.",
    ["Ask your administrator to activate your account, and give them the request id.", "An operator can see who is active where the directory is kept; Postern only follows it."]),
  too_many_sessions: entry("both", "You are signed in too many times",
    "As many of your sign-ins are live as one person may have at a time, so no new one was begun.",
    ["Sign out where you no longer need to be signed in, then sign in again.", "An operator can end all of them at once with `postern revoke user`."]),
  signed_out: entry("user", "You are signed out",
    "This session was ended by signing out.",
    ["Sign in again to continue."]),
  form_not_sent: entry("user", "Your form was not sent",
    "Your sign-in had ended when you sent the form. Nothing of it reached the app.",
    ["Sign in again in a new tab.", "Come back to this tab and reload it: the browser offers to send the form again."]),

  // Requests that cannot be passed on as they are.
  bad_request: entry("both", "This request cannot be read safely",
    "Its address or its headers can be read in more than one way, so it was not passed on.",
    ["Check the address: encoded slashes, backslashes, dot segments and control characters are refused.", "If the app needs such addresses, an operator can set `insecure_paths` on it."]),
  uri_too_long: entry("user", "The address is too long",
    "The address is longer than Postern accepts.",
    ["Send long data in the body of a POST request instead of the address."]),
  headers_too_large: entry("user", "The headers are too large",
    "The headers are larger than Postern accepts. Most often an app has stored too many cookies.",
    ["Delete the cookies of this site in your browser and sign in again."]),
  body_too_large: entry("both", "This upload is too large",
    "The body of this request is larger than this app accepts.",
    ["Send a smaller file, or send it in parts.", "An operator can raise `max_body` on the app."]),
  method_not_allowed: entry("user", "This address does not do that",
    "The address exists, but not for this kind of request.",
    ["Use a method that the `Allow` header of the answer names."]),

  // The way to the app.
  no_connector: entry("both", "The app's connector is away",
    "No connector of the app's site is connected at the moment. You are allowed in; the way there is down.",
    [RETRY_SOON, "An operator: `postern edge-status` shows the site's connectors; `postern-connector run` starts one."]),
  upstream_refused: entry("operator", "The app did not accept the connection",
    "The connector reached the app's machine, but nothing accepted the connection.",
    ["An operator should check that the app is running and that its port is the one in `upstream`."]),
  upstream_timeout: entry("operator", "The app took too long",
    "The app was sent the request but did not answer in time. Whether it did what was asked is not known.",
    ["Check in the app whether your change arrived before you repeat it.", "An operator can look at the app's load, and at `timeouts` on the app."]),
  upstream_tls: entry("operator", "The app's certificate was not accepted",
    "The connection to the app could not be secured, so nothing was sent to it.",
    ["An operator should check the certificate's date, name and issuer against `tls` on the app."]),
  upstream_name: entry("operator", "The app's name was not found",
    "The connector could not turn the app's host name into an address that it may dial.",
    ["An operator should check the host in `upstream`, the site's DNS and the connector's allow-list."]),
  upstream_reset: entry("operator", "The app broke off its answer",
    "The app, or the connector on the way to it, was gone before its answer was complete. Whether it did what was asked is not known.",
    ["Check in the app whether your change arrived before you repeat it.", "An operator should look for a crash or restart in the app's own log and the connector's."]),
  upstream_protocol: entry("operator", "The app's answer was not understood",
    "What the app sent is not a valid HTTP answer.",
    ["An operator should check that `upstream` names the right port and the right scheme, http or https."]),
  overloaded: entry("both", "Too busy right now",
    "A limit that protects everybody was reached, so this request was not started.",
    ["Try again in a few seconds.", "If it stays so, an operator can see what is full with `postern edge-status`."]),
  unavailable: entry("operator", "Postern cannot decide right now",
    "Something that is needed to decide about your access does not answer.",
    [RETRY_SOON, "An operator can run `postern status`."]),
  identity_lost: entry("both", "Your identity provider is away",
    "The provider that you signed in with does not answer, and this app is not open without it.",
    [RETRY_SOON, "An operator: `on_identity_loss` in the document says what an app allows meanwhile."]),
  audit_lost: entry("both", "Nothing can be put on record right now",
    "What cannot be recorded is not allowed, so this was not.",
    [RETRY_SOON, "An operator: `on_audit_loss` in the document says what an app allows meanwhile."]),
  control_lost: entry("both", "The policy cannot be asked for right now",
    "Which policy is live is not known, so this was not allowed.",
    [RETRY_SOON, "An operator: `on_control_loss` in the document says what an app allows meanwhile."]),
  internal: entry("operator", "Something went wrong in Postern",
    "The fault is ours, not yours. The request was not passed on any further.",
    ["Try once more.", ASK_WITH_ID]),

  // Signing in.
  too_many_bounces: entry("user", "Signing in goes round in circles",
    "You were signed in three times within half a minute, and each time the app's address did not see it.",
    ["Allow cookies for this site, and close private windows that block them.", "Check that your device's clock is right.", "Then sign in once more."]),
  cookies_blocked: entry("user", "Your browser did not keep a cookie",
    "Signing in needs one cookie for this address, and it did not come back.",
    ["Allow cookies for this site, or switch off the extension that blocks them.", START_AGAIN]),
  clock_wrong: entry("both", "A clock is wrong",
    "The sign-in is dated in the past or in the future by more than a small difference allows.",
    ["Set your device's clock to automatic, then sign in again.", "If others see this too, an operator should check the clock of the identity provider."]),
  callback_other_browser: entry("user", "The sign-in was begun elsewhere",
    "This answer of the identity provider belongs to a sign-in that was not begun in this browser.",
    ["Finish signing in in the browser and window where you began.", "If you did not begin a sign-in, close this page: somebody may have sent you their link."]),
  login_expired: entry("user", "The sign-in took too long",
    "A sign-in must be finished within a few minutes, and this one was not.",
    [START_AGAIN]),
  callback_replayed: entry("user", "This sign-in was already used",
    "Each sign-in counts once, and this one was already finished. Most often the page was reloaded.",
    ["Open the app again; you may well be signed in."]),
  consent_denied: entry("user", "The sign-in was cancelled",
    "The identity provider says that the sign-in was cancelled or not allowed for this account.",
    ["Sign in again and accept, or choose another account.", ASK_WITH_ID]),
  provider_unreachable: entry("operator", "The identity provider does not answer",
    "Your organisation's sign-in service could not be reached.",
    [RETRY_SOON, "An operator should check that the provider's address answers."]),
  provider_error: entry("operator", "The identity provider refused",
    "Your organisation's sign-in service answered with an error.",
    [START_AGAIN, ASK_WITH_ID]),
  provider_misconfigured: entry("operator", "Signing in is not set up correctly",
    "The identity provider's answer does not fit what was configured for it, so it was not trusted.",
    [ASK_WITH_ID, "An operator should compare issuer, client id, secret and redirect address at both ends."]),
  passkey_refused: entry("user", "This passkey was not accepted",
    "It is not one of yours, or it could not be verified in time.",
    ["Try once more, or sign in again at your provider.", "An operator can remove lost ones with `postern revoke user`."]),
  token_invalid: entry("both", "This token is not valid",
    "The token is unknown, has run out, was revoked, or is meant for something else.",
    ["Get a new one: `postern login` for a person, `postern service create` for a program."]),

  // Administration.
  not_operator: entry("both", "This needs an operator",
    "You are signed in, but your role does not allow this action.",
    ["Ask an operator to do it, or to give you the role in a policy for `postern:admin`."]),
  setup_closed: entry("operator", "Setup is over",
    "A document that names an operator is live, so the setup key opens nothing any more.",
    ["Run `postern login` as one of the operators that the document names, then `postern apply`."]),
  setup_key_wrong: entry("operator", "The setup key does not fit",
    "The key that was sent is not the one that this deployment was given.",
    ["Use the key that `postern init` wrote, or set a new one with `wrangler secret put POSTERN_SETUP_KEY`."]),
  document_invalid: entry("operator", "The document has errors",
    "The policy document was not accepted, and nothing was changed.",
    ["Correct the lines that are listed; `postern check FILE` finds the same ones without a deployment."]),
  version_conflict: entry("operator", "The document changed meanwhile",
    "The live document is not the version that this change was made from, and nothing was changed.",
    ["Look at `postern history`, take the other change in, then apply again."]),
  lockout: entry("operator", "This would lock you out",
    "Under the new document you would no longer be an operator, so it was not applied.",
    ["Keep yourself in a policy for `postern:admin`, or repeat with `--allow-lockout` if that is what you want."]),
  grant_refused: entry("both", "No access is given here",
    "There is no such app, it is open without a grant, or no policy lets this person be given access to it as they are signed in now, or for so long.",
    ["Ask for less time, or meet what else the app asks for first.", ASK_WITH_ID, "An operator: the person must be signed in; `postern explain` shows what their last denial lacked."]),
  own_grant: entry("operator", "Somebody else must say yes",
    "Nobody gives themselves access, whatever their role.",
    ["Ask another operator: `postern requests` shows them what waits."]),
  unknown_id: entry("operator", "No such id",
    "Nothing with this id exists, or it is no longer kept.",
    ["Look it up: `postern sessions`, `postern connectors` and `postern service list` show the ids in use."]),
  bad_argument: entry("operator", "An argument is not valid",
    "A value of the request is not of the right form.",
    ["Correct the value that is named; `postern COMMAND --help` shows the form."]),

  // Connectors.
  enroll_token_invalid: entry("operator", "The enrolment token is not valid",
    "The token has been used, has run out, or is for another site.",
    ["Make a new one with `postern enroll-token SITE` and use it within its time."]),
  device_barred: entry("both", "This device does not count",
    "Its key was revoked, used by two machines, or is somebody else's; or too many are enrolled.",
    ["Make a new key with `postern agent run --new-device`.", ASK_WITH_ID]),
  device_link_over: entry("user", "This link is over",
    "It counts once, for a minute, for the device's owner.",
    ["Make a new one with `postern posture --open`."]),
  report_refused: entry("user", "The device's report was refused",
    "Nothing of it counts.",
    ["Set the device's clock to automatic and report again."]),
  connector_unknown: entry("operator", "This connector is not known",
    "The connector's key is not enrolled here, or its enrolment was revoked.",
    ["Check that the connector runs with the state folder it was enrolled with.", "Enrol it anew with `postern enroll-token SITE` and `postern-connector enroll`."]),
};
