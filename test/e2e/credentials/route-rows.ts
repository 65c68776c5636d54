/**
 * The rows of the route matrix: what each route of the edge demands, and what it answers to
 * whom. A new route needs a row here before its tests pass.
 */
import { AGENT_SUBPROTOCOL } from "../../../protocol/agent-link.ts";
import { SUBPROTOCOL } from "../../../protocol/hello.ts";

export interface Caller {
  readonly user?: string;
  readonly token?: string;
  readonly origin?: string;
}

export const CALLERS = {
  "nobody": {},
  "alice's cookie": { user: "alice", origin: "own" },
  "carol's cookie without Origin": { user: "carol" },
  "carol's cookie from another site": { user: "carol", origin: "https://evil.example" },
  "carol's cookie": { user: "carol", origin: "own" },
  "a service without a role": { token: "plain" },
  "viewer service": { token: "viewer" },
  "responder service": { token: "responder" },
  "operator service": { token: "operator" },
  "the setup token": { token: "setup" },
  "an enrolment token": { token: "enrolment" },
  "a code of the seal": { token: "code" },
  "the broken seal's token": { token: "glass" },
} as const satisfies Record<string, Caller>;

export type CallerName = keyof typeof CALLERS;

export interface AdminRow {
  /** The least role; "setup key": that key and nothing else. */
  readonly least: "viewer" | "responder" | "operator" | "setup key";
  /** What somebody of that role gets; the requests are made so that they change nothing. */
  readonly good: string;
  readonly body?: string;
  /** Stands for :id. */
  readonly id?: string;
}

const api = (path: string): string => `/launcher/.postern/api/v1${path}`;

export const ADMIN_ROWS: Readonly<Record<string, AdminRow>> = {
  [`POST ${api("/setup")}`]: { least: "setup key", good: "403 setup_closed", body: "document" },
  [`POST ${api("/policy")}`]: { least: "operator", good: "200", body: "document" },
  [`GET ${api("/policy")}`]: { least: "viewer", good: "200" },
  [`GET ${api("/policy/history")}`]: { least: "viewer", good: "200" },
  [`POST ${api("/revoke")}`]: { least: "responder", good: "404 unknown_id", body: '{"kind":"service","id":"no-such"}' },
  [`GET ${api("/receipts/:id")}`]: { least: "viewer", good: "404 unknown_id", id: `rcpt_${"A".repeat(22)}` },
  [`GET ${api("/grants")}`]: { least: "viewer", good: "200" },
  [`POST ${api("/grants")}`]: { least: "operator", good: "404 unknown_id", body: '{"request":"g_none"}' },
  [`POST ${api("/grants/:id/deny")}`]: { least: "responder", good: "404 unknown_id", body: "{}", id: `g_${"A".repeat(22)}` },
  [`POST ${api("/services")}`]: { least: "operator", good: "201", body: '{"name":"made-by-CALLER","expires":"1d"}' },
  [`GET ${api("/services")}`]: { least: "viewer", good: "200" },
  // Too long a clock: nothing is sealed.
  [`POST ${api("/break-glass")}`]: { least: "operator", good: "400 bad_argument", body: '{"delay":"8d"}' },
  [`GET ${api("/break-glass")}`]: { least: "viewer", good: "200" },
  [`POST ${api("/break-glass/cancel")}`]: { least: "responder", good: "200" },
  [`POST ${api("/enroll-tokens")}`]: { least: "operator", good: "201", body: '{"site":"office"}' },
  [`GET ${api("/connectors")}`]: { least: "viewer", good: "200" },
  [`GET ${api("/edge-status")}`]: { least: "viewer", good: "200" },
  [`GET ${api("/sessions")}`]: { least: "viewer", good: "200" },
  [`GET ${api("/devices")}`]: { least: "viewer", good: "200" },
  [`POST ${api("/devices/:id")}`]: { least: "operator", good: "404 unknown_id", body: '{"tags":["lab"]}', id: `d_${"A".repeat(43)}` },
  [`POST ${api("/devices/:id/facts")}`]: { least: "responder", good: "404 unknown_id", body: '{"facts":{"edr":null}}', id: `d_${"A".repeat(43)}` },
  [`POST ${api("/users/:id/facts")}`]: { least: "responder", good: "400 bad_argument", body: '{"facts":{}}', id: `u_${"A".repeat(43)}` },
  [`GET ${api("/explain/:id")}`]: { least: "viewer", good: "404 unknown_id", id: `r_${"A".repeat(22)}` },
};

const RANK = { viewer: 0, responder: 1, operator: 2 } as const;
const ROLE: Readonly<Partial<Record<CallerName, keyof typeof RANK>>> = {
  "carol's cookie without Origin": "operator",
  "carol's cookie from another site": "operator",
  "carol's cookie": "operator",
  "viewer service": "viewer",
  "responder service": "responder",
  "operator service": "operator",
  "the setup token": "operator",
  "the broken seal's token": "responder",
};

/** Status and code of an admin route for a caller. */
export function expectedOf(method: string, row: AdminRow, caller: CallerName): string {
  if (row.least === "setup key") return "401 setup_key_wrong";
  // A code is no credential: it is worth nothing until it is exchanged.
  if (caller === "nobody" || caller === "a code of the seal") return "401 sign_in_required";
  if (caller === "an enrolment token") return "401 token_invalid";
  const crossSite = caller === "carol's cookie without Origin" || caller === "carol's cookie from another site";
  if (crossSite && method !== "GET") return "403 origin_not_allowed";
  const role = ROLE[caller];
  return role !== undefined && RANK[role] >= RANK[row.least] ? row.good : "403 not_operator";
}

export interface OpenRow {
  /** By who calls and how, in words that the test reads: by alice, own Origin, as TYPE, as a WebSocket. */
  readonly cells: Readonly<Record<string, string>>;
  readonly query?: string;
  /** Offered by those who come as a WebSocket. */
  readonly subprotocol?: string;
  readonly body?: string;
  /** Content type of a POST that says nothing else. */
  readonly type?: string;
  /** A good call ends the caller's session. */
  readonly ends?: boolean;
}

const FORM = "application/x-www-form-urlencoded";
const anybody = (status: string): OpenRow => ({ cells: { "by nobody": status, "by alice": status } });

/** What a browser sends from a page of this host and from nowhere else, by whom somebody is; `nobody`: from that page, signed out. */
const fromOwnPageOnly = (good: string, nobody = "401 sign_in_required"): OpenRow["cells"] => ({
  "by nobody": "403 origin_not_allowed",
  "by nobody, own Origin": nobody,
  "by alice": "403 origin_not_allowed",
  "by alice, foreign Origin": "403 origin_not_allowed",
  "by alice, null Origin": "403 origin_not_allowed",
  "by alice, foreign Origin, as text/plain": "403 origin_not_allowed",
  "by alice, own Origin": good,
});

export const OPEN_ROWS: Readonly<Record<string, OpenRow>> = {
  "GET /:place/.postern/jwks.json": anybody("200"),
  "GET /:place/.postern/ready": anybody("200"),
  "GET /launcher/": { cells: { "by nobody": "401 sign_in_required", "by alice": "200", "by alice, foreign Origin": "200" } },
  "GET /launcher/.postern/login": { cells: { "by nobody": "200", "by alice": "302" } },
  "GET /launcher/.postern/callback": anybody("400 callback_other_browser"),
  "GET /launcher/.postern/signed-out": anybody("200"),
  "POST /launcher/.postern/device/begin": { cells: { "by nobody": "200", "by nobody, foreign Origin": "200" }, type: FORM, body: "client_id=rows" },
  "POST /launcher/.postern/device": {
    type: FORM,
    body: "user_code=BCDF-GHJK&decision=approve",
    // A code that nobody showed: the form again.
    cells: fromOwnPageOnly("400"),
  },
  "POST /launcher/.postern/devices": { cells: { "by nobody": "401 sign_in_required", "by alice": "401 sign_in_required", "by alice, own Origin": "401 sign_in_required" }, type: "application/json", body: "{}" },
  "GET /launcher/.postern/devices/bind": { cells: { "by nobody": "302", "by alice": "200" } },
  "POST /launcher/.postern/devices/bind": {
    type: FORM,
    body: `device=d_${"A".repeat(43)}&code=x`,
    cells: fromOwnPageOnly("400 device_link_over"),
  },
  "POST /launcher/.postern/devices/:id/report": { cells: { "by nobody": "400 bad_argument", "by alice": "400 bad_argument" }, type: "application/jose", body: "a.b.c" },
  "GET /launcher/.postern/passkeys": { cells: { "by nobody": "302", "by alice": "200" } },
  "POST /launcher/.postern/passkeys": {
    type: "application/json",
    body: '{"act":"use"}',
    cells: fromOwnPageOnly("200"),
  },
  "POST /launcher/.postern/passkeys/remove": {
    type: FORM,
    body: "id=none",
    cells: fromOwnPageOnly("303"),
  },
  "GET /launcher/.postern/device": { cells: { "by nobody": "302", "by alice": "200" } },
  "POST /launcher/.postern/token": {
    type: FORM,
    body: "grant_type=password",
    cells: {
      "by nobody": "400 unsupported_grant_type",
      "by alice": "400 unsupported_grant_type",
      "by nobody, as application/json": "400 invalid_request",
      "by nobody, as text/plain": "400 invalid_request",
      "by nobody, as multipart/form-data": "400 invalid_request",
    },
  },
  "POST /:place/.postern/request": {
    type: FORM,
    body: "app=alpha&for=1h&reason=an+incident",
    // The app is open to her without.
    cells: fromOwnPageOnly("403 grant_refused"),
  },
  "GET /:place/.postern/me": { cells: { "by nobody": "401 sign_in_required", "by alice": "200" } },
  "GET /:place/.postern/logout": anybody("200"),
  "POST /:place/.postern/logout": {
    type: FORM,
    ends: true,
    cells: fromOwnPageOnly("200", "200"),
  },
  "GET /app/.postern/sign-in": anybody("302"),
  // Carol holds the nonce of her own sign-in, and there is no code.
  "GET /app/.postern/continue": { cells: { "by nobody": "400 callback_other_browser", "by carol": "400 callback_replayed" } },
  "GET /launcher/.postern/connector.mjs": anybody("200"),
  "GET /launcher/.postern/connector.mjs.sha256": anybody("200"),
  "POST /launcher/.postern/connectors/enroll": {
    type: "application/json",
    body: '{"token":"pen_none","public_key":{},"proof":""}',
    cells: { "by nobody": "401 enroll_token_invalid", "by carol, own Origin": "401 enroll_token_invalid" },
  },
  "GET /launcher/.postern/agent": {
    query: "?app=alpha",
    subprotocol: AGENT_SUBPROTOCOL,
    cells: {
      "by nobody": "400 bad_argument",
      "by carol": "400 bad_argument",
      "as a WebSocket by nobody": "401 sign_in_required",
      // No page opens an agent's socket: a browser's cookie counts for nobody here.
      "as a WebSocket by carol": "401 sign_in_required",
      "as a WebSocket by carol, own Origin": "403 origin_not_allowed",
      "as a WebSocket by nobody, foreign Origin": "403 origin_not_allowed",
      "as a WebSocket by nobody, null Origin": "403 origin_not_allowed",
    },
  },
  "POST /launcher/.postern/break-glass": {
    type: "application/json",
    body: `{"codes":["pbg_${"A".repeat(43)}"]}`,
    cells: {
      "by nobody": "403 break_glass_refused",
      "by alice": "403 break_glass_refused",
      "by nobody, own Origin": "403 origin_not_allowed",
      "by alice, foreign Origin": "403 origin_not_allowed",
      "by nobody, null Origin": "403 origin_not_allowed",
    },
  },
  // The document names nobody who may push: there is nothing here.
  "POST /launcher/.postern/backchannel/:provider": { ...anybody("404 not_found"), type: FORM, body: "logout_token=a.b.c" },
  "POST /launcher/.postern/ssf/:source": { ...anybody("404 not_found"), type: "application/secevent+jwt", body: "a.b.c" },
  "GET /launcher/.postern/scim/v2/*": anybody("404 not_found"),
  "POST /launcher/.postern/scim/v2/*": { ...anybody("404 not_found"), type: "application/scim+json", body: "{}" },
  "PUT /launcher/.postern/scim/v2/*": anybody("404 not_found"),
  "PATCH /launcher/.postern/scim/v2/*": anybody("404 not_found"),
  "DELETE /launcher/.postern/scim/v2/*": anybody("404 not_found"),
  // Whoever asks, without a ticket there is nothing here.
  "GET /launcher/.postern/bulk/:at": { cells: { "by nobody": "404 not_found", "by alice": "404 not_found", "by alice, own Origin": "404 not_found" } },
  "POST /launcher/.postern/bulk/:at": { type: "application/octet-stream", body: "bytes", cells: { "by nobody": "404 not_found", "by alice": "404 not_found", "by alice, foreign Origin": "404 not_found" } },
  "GET /launcher/.postern/connect": {
    subprotocol: SUBPROTOCOL,
    query: `?connector=c_${"A".repeat(22)}&lane=0`,
    cells: {
      "by nobody": "400 bad_argument",
      "as a WebSocket by nobody": "401 connector_unknown",
      "as a WebSocket by carol": "401 connector_unknown",
      "as a WebSocket by carol, own Origin": "403 origin_not_allowed",
      "as a WebSocket by nobody, foreign Origin": "403 origin_not_allowed",
      "as a WebSocket by nobody, null Origin": "403 origin_not_allowed",
    },
  },
};
