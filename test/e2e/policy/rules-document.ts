/**
 * One document with an app for each rule that a user can notice, so that every case runs against
 * the same edge. Times are relative to its making. Data for rules.test.ts.
 */
import { ownProvider } from "../credentials/people-edge.ts";

const HOUR_MS = 3_600_000;
/** "HH:MM" in UTC, `hours` from now. */
const clock = (hours: number): string => new Date(Date.now() + hours * HOUR_MS).toISOString().slice(11, 16);

/** Bytes that a session may move to and from the app `bytes`. */
export const MAX_BYTES = 65_536;

const APPS = [
  "geo", "nets", "banned", "badnet", "shut", "open", "reading", "methods", "paths", "params", "public", "robots",
  "hidden", "named", "bytes", "short", "denied", "stronger", "limited",
] as const;

const allow = (id: string, when: string, more = ""): string => `  - { id: ${id}, effect: allow, apps: [${id}], when: ${when}${more} }`;
const deny = (id: string, app: string, when: string, more = ""): string => `  - { id: ${id}, effect: deny, apps: [${app}], when: ${when}${more} }`;

/** `more`: further policies, a list item a line. */
export const rulesDocument = (more = ""): string => `version: 1
domain: postern.localhost
identity: { providers: [${ownProvider()}] }
sites: [{ id: office }]
apps:
${APPS.map((id) => `  - { id: ${id}, site: office, upstream: "ORIGIN" }`).join("\n")}
  - { id: nocase, site: office, upstream: "ORIGIN", path_case: insensitive }
  - { id: shown, site: office, upstream: "ORIGIN", visible: true }
policies:
${allow("geo", "{ group: staff, country: [DE] }")}
${allow("nets", "{ group: staff, ip_range: [192.0.2.0/24] }")}
${allow("banned", "{ group: staff }")}
${deny("ban-country", "banned", "{ country: [RU] }")}
${allow("badnet", "{ group: staff }")}
${deny("ban-net", "badnet", "{ ip_range: [203.0.113.0/24] }")}
${allow("shut", `{ group: staff, time_window: { from: "${clock(2)}", to: "${clock(3)}", zone: UTC } }`)}
${allow("open", `{ group: staff, time_window: { from: "${clock(-1)}", to: "${clock(1)}", zone: UTC } }`)}
${allow("reading", "{ group: staff }", ", limits: { read_only: true }")}
${allow("methods", "{ group: staff }", ", http: { methods: [GET] }")}
${allow("paths", "{ group: staff }", ', http: { paths: ["/open/**", "/one/*/end"] }')}
${allow("params", "{ group: staff }")}
${deny("no-admin", "params", "{ anyone: true }", ', http: { paths: ["/admin/**"] }')}
${allow("nocase", "{ group: staff }")}
${deny("no-admin-nocase", "nocase", "{ anyone: true }", ', http: { paths: ["/admin/**"] }')}
${allow("public", "{ anyone: true }", ', http: { paths: ["/pub/**"] }')}
  - { id: public-staff, effect: allow, apps: [public], when: { group: staff } }
${allow("robots", "{ service: [robot] }")}
${allow("hidden", "{ group: admins }")}
${allow("shown", "{ group: admins }")}
${allow("named", '{ group: "own:staff" }')}
${allow("bytes", "{ group: staff }", `, limits: { max_bytes: ${MAX_BYTES} }`)}
${allow("short", "{ group: staff }", ", limits: { session: 5s }")}
${allow("denied", "{ group: staff }")}
${deny("no-mallory", "denied", '{ user: "own:mallory" }')}
${allow("stronger", "{ group: staff, mfa: { max_age: 1h } }")}
${allow("limited", "{ group: staff }")}
  - { id: limit-all, effect: limit, apps: [limited], when: { country: [DE] }, limits: { read_only: true } }
  - { id: operators, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
${more}`;

/** Requests at which an app may let somebody in, one of which every allow of the document matches. */
export const SAMPLE_PATHS = ["/", "/open/a", "/one/x/end", "/pub/a"];
