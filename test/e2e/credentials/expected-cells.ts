/**
 * What must come of each check on each kind of credential: status, error code, and "+1" where the
 * app was asked. "– why" marks a cell in which there is nothing to do. Complete by its type.
 */
import type { CheckName } from "./checks.ts";
import type { KindName } from "./kinds.ts";

type Row = Readonly<Record<CheckName, string>>;

const NO_BROWSER = "– no browser keeps or sends it by itself";
const NO_SESSION = "– it belongs to no session";
const NO_PERSON = "– it belongs to no person";
const NO_SERVICE = "– it belongs to no service";
const STATELESS = "– verified without asking: its end is its revocation";

/** Wherever it is no credential at all. */
const NOBODY = "401 sign_in_required";
const INVALID = "401 token_invalid";
const UNENROLLED = "401 connector_unknown";
const NO_ENROLMENT = "401 enroll_token_invalid";

const COOKIE = {
  "at the connectors' door": UNENROLLED,
  "at the agents' door": NOBODY,
  "as an enrolment token": NO_ENROLMENT,
  "with one bit flipped": NOBODY,
  "truncated": NOBODY,
  "twice (tossed)": NOBODY,
  "after signing out": NOBODY,
  "after its session was revoked": NOBODY,
  "after its user was revoked": NOBODY,
  "at its end": NOBODY,
  "a second after its end": NOBODY,
  "under the scheme Foo": NOBODY,
  "as Basic without a name": NOBODY,
  "in the query": NOBODY,
  "20 times at once": "20 of 20",
  "as the app sees it": "200 unseen",
  "as the app sees it under our names": "200 unseen",
  "after its service was revoked": NO_SERVICE,
} as const;

const SERVICE: Row = {
  "at its own place": "200 +1",
  "at another app": "200 +1",
  "at the launcher, or from there at an app": "200",
  "at the admin API": "403 not_operator",
  "at the connectors' door": UNENROLLED,
  "at the agents' door": "101",
  "as an enrolment token": NO_ENROLMENT,
  "with one bit flipped": INVALID,
  "truncated": INVALID,
  "twice (tossed)": INVALID,
  "planted before a sign-in": NO_BROWSER,
  "after signing out": INVALID,
  "after its session was revoked": INVALID,
  "after its user was revoked": NO_PERSON,
  "a second before its end": "200 +1",
  "at its end": INVALID,
  "a second after its end": INVALID,
  "under the scheme Foo": INVALID,
  "as Basic without a name": INVALID,
  "beside another Authorization": INVALID,
  "in the query": NOBODY,
  "a second time": "200 +1",
  "20 times at once": "20 of 20",
  "as the app sees it": "200 unseen",
  "as the app sees it under our names": "200 unseen",
  "after its service was revoked": INVALID,
};

const APP_BEARER: Row = {
  ...SERVICE,
  "at another app": INVALID,
  "at the launcher, or from there at an app": NOBODY,
  "at the admin API": INVALID,
  "at the agents' door": INVALID,
  "after its user was revoked": INVALID,
  "after its service was revoked": NO_SERVICE,
};

/** Something that is presented nowhere but at its one place. */
const ELSEWHERE = {
  "at another app": NOBODY,
  "at the launcher, or from there at an app": NOBODY,
  "at the admin API": NOBODY,
  "at the connectors' door": UNENROLLED,
  "at the agents' door": NOBODY,
  "as an enrolment token": NO_ENROLMENT,
  "under the scheme Foo": NOBODY,
  "as Basic without a name": NOBODY,
  "beside another Authorization": NOBODY,
  "in the query": NOBODY,
  "as the app sees it under our names": "200 unseen",
  "after its service was revoked": NO_SERVICE,
} as const;

/** Ours by its prefix: refused in any Authorization. */
const PREFIXED = {
  ...ELSEWHERE,
  "at another app": INVALID,
  "at the launcher, or from there at an app": INVALID,
  "at the admin API": INVALID,
  "at the agents' door": INVALID,
  "under the scheme Foo": INVALID,
  "as Basic without a name": INVALID,
  "beside another Authorization": INVALID,
  "as the app sees it": INVALID,
} as const;

/** A random text that nobody can tell from an app's own: its holder must not send it to an app. */
const UNRECOGNISABLE = "– nothing tells it from an app's own bearer, which passes untouched";

const SIGNED: Row = {
  ...ELSEWHERE,
  "at its own place": "200",
  "with one bit flipped": "401 bad_signature",
  "truncated": "401 malformed",
  "twice (tossed)": NOBODY,
  "planted before a sign-in": NO_BROWSER,
  "after signing out": STATELESS,
  "after its session was revoked": STATELESS,
  "after its user was revoked": STATELESS,
  "a second before its end": "200",
  "at its end": "401 expired",
  "a second after its end": "401 expired",
  "a second time": "200",
  "20 times at once": "20 of 20",
  "as the app sees it": UNRECOGNISABLE,
};

const LONG = (how: string): Pick<Row, "a second before its end" | "at its end" | "a second after its end"> => {
  const why = `– it lives ${how}`;
  return { "a second before its end": why, "at its end": why, "a second after its end": why };
};

export const EXPECTED: Readonly<Record<KindName, Row>> = {
  "launcher cookie": {
    ...COOKIE,
    "at its own place": "200",
    "at another app": NOBODY,
    "at the launcher, or from there at an app": NOBODY,
    "at the admin API": "403 not_operator",
    "planted before a sign-in": NOBODY,
    "a second before its end": "200",
    "beside another Authorization": "200",
    "a second time": "200",
  },
  "app cookie": {
    ...COOKIE,
    "at its own place": "200 +1",
    "at another app": NOBODY,
    "at the launcher, or from there at an app": NOBODY,
    "at the admin API": INVALID,
    // It goes on being Mallory's own, and opens nothing of the victim's.
    "planted before a sign-in": "200 +1",
    "a second before its end": "200 +1",
    "beside another Authorization": "200 +1",
    "a second time": "200 +1",
  },
  "service token as Bearer": SERVICE,
  "service token as Basic password": SERVICE,
  // A foreign Authorization beside our own pair of headers is the app's business.
  "service token with its id": { ...SERVICE, "beside another Authorization": "200 +1" },
  "service token with its name": { ...SERVICE, "beside another Authorization": "200 +1" },
  "app bearer by the demo provider": { ...APP_BEARER, ...LONG("as long as the provider's ID token, an hour") },
  "app bearer by a second issuer": APP_BEARER,
  "operator token": {
    ...PREFIXED,
    "at its own place": "200",
    "at the launcher, or from there at an app": INVALID,
    "at the admin API": "200",
    "at the agents' door": "101",
    "with one bit flipped": INVALID,
    "truncated": INVALID,
    "twice (tossed)": INVALID,
    "planted before a sign-in": NO_BROWSER,
    "after signing out": INVALID,
    "after its session was revoked": INVALID,
    "after its user was revoked": INVALID,
    "a second before its end": "200",
    "at its end": INVALID,
    "a second after its end": INVALID,
    "a second time": "200",
    "20 times at once": "20 of 20",
  },
  "setup key": {
    ...ELSEWHERE,
    // The start of this edge used it; a document that names operators is live, so it opens nothing any more.
    "at its own place": "403 setup_closed",
    "with one bit flipped": "401 setup_key_wrong",
    "truncated": "401 setup_key_wrong",
    "twice (tossed)": "401 setup_key_wrong",
    "planted before a sign-in": NO_BROWSER,
    "after signing out": NO_SESSION,
    "after its session was revoked": NO_SESSION,
    "after its user was revoked": NO_PERSON,
    ...LONG("until an operator is named"),
    "a second time": "403 setup_closed",
    "20 times at once": "0 of 20",
    "as the app sees it": UNRECOGNISABLE,
  },
  "enrolment token": {
    ...PREFIXED,
    "at its own place": "200",
    "as an enrolment token": "200",
    "with one bit flipped": NO_ENROLMENT,
    "truncated": NO_ENROLMENT,
    "twice (tossed)": INVALID,
    "planted before a sign-in": NO_BROWSER,
    "after signing out": NO_SESSION,
    "after its session was revoked": NO_SESSION,
    "after its user was revoked": NO_PERSON,
    ...LONG("an hour"),
    "a second time": NO_ENROLMENT,
    "20 times at once": "1 of 20",
  },
  "device code": {
    ...ELSEWHERE,
    "at its own place": "200",
    "with one bit flipped": "400 expired_token",
    "truncated": "400 invalid_request",
    "twice (tossed)": "400 invalid_request",
    "planted before a sign-in": NO_BROWSER,
    "after signing out": "400 expired_token",
    "after its session was revoked": "400 expired_token",
    "after its user was revoked": "400 expired_token",
    ...LONG("ten minutes"),
    "a second time": "400 expired_token",
    "20 times at once": "1 of 20",
    "as the app sees it": UNRECOGNISABLE,
  },
  "hand-off code": {
    ...PREFIXED,
    "at its own place": "302",
    "with one bit flipped": "400 callback_replayed",
    "truncated": "400 callback_replayed",
    "twice (tossed)": "400 callback_replayed",
    "planted before a sign-in": "400 callback_replayed",
    "after signing out": "400 callback_replayed",
    "after its session was revoked": "400 callback_replayed",
    "after its user was revoked": "400 callback_replayed",
    "a second before its end": "302",
    "at its end": "400 callback_replayed",
    "a second after its end": "400 callback_replayed",
    "a second time": "400 callback_replayed",
    "20 times at once": "1 of 20",
  },
  "login-state cookie": {
    ...ELSEWHERE,
    "at its own place": "200",
    "with one bit flipped": "400 callback_other_browser",
    "truncated": "400 callback_other_browser",
    "twice (tossed)": "400 callback_other_browser",
    "planted before a sign-in": "400 callback_other_browser",
    "after signing out": NO_SESSION,
    "after its session was revoked": NO_SESSION,
    "after its user was revoked": "401 revoked",
    ...LONG("ten minutes"),
    "a second time": "400 callback_replayed",
    "20 times at once": "1 of 20",
    "as the app sees it": "200 unseen",
  },
  "assertion at an origin": SIGNED,
  "admission": SIGNED,
  "lane welcome": { ...SIGNED, ...LONG("for one hello, whatever the clocks say") },
  "setup token": {
    ...PREFIXED,
    "at its own place": "200",
    "at another app": "404 not_found",
    "at the launcher, or from there at an app": "404 not_found",
    "at the admin API": "200",
    "at the agents' door": "404 not_found",
    "with one bit flipped": INVALID,
    "truncated": INVALID,
    "twice (tossed)": INVALID,
    "planted before a sign-in": NO_BROWSER,
    "after signing out": "– there is one only; the last check of this row ends it",
    "after its session was revoked": "– there is one only; the last check of this row ends it",
    "after its user was revoked": NO_PERSON,
    ...LONG("eight hours"),
    "a second time": "200",
    "20 times at once": "20 of 20",
    "as the app sees it": "404 not_found",
    "after its service was revoked": INVALID,
  },
};
