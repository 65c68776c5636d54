/**
 * The raw shape of postern.yaml, key by key: what an operator may write. The JSON Schema for
 * editors is generated from it. What names and values mean is references.ts's and read-*.ts's.
 */
import * as v from "valibot";
import { MAX_LANES_COUNT } from "../core/site-config.ts";
import { keys, list, record, type Shape } from "./containers.ts";
import { LOSS_WORDS } from "./losses.ts";
import { BYTES_PATTERN, parseBytes } from "./quantity.ts";
import { CRITERIA, CRITERION_NAMES } from "./registry.ts";
import { duration, label, matching, name, oneOrMore, text } from "./shapes.ts";

/** Policies of one document: bounds compilation and a decision's work. */
export const MAX_POLICIES = 5_000;
/** Apps of one document. */
export const MAX_APPS = 2_000;
export const MAX_SITES = 500;
export const MAX_PROVIDERS = 20;
export const MAX_SIGNAL_SOURCES = 20;
/** Nesting of any, all, not and use in one policy: bounds recursion. */
export const MAX_WHEN_DEPTH = 16;

/** Not one of Postern's own: a document may not send the setup key to a provider of its choice. */
const secret = keys({ secret: matching(/^(?!POSTERN_)[A-Za-z_][A-Za-z0-9_]{0,127}$/, "the name of a secret, never its value, and none that begins with POSTERN_") });
const hostname = matching(
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/,
  "a lower-case host name",
);
const upstream = matching(
  /^(?:https?|tcp):\/\/(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\/?$/,
  "http://host:port, https://host:port or tcp://host:port, without path, query or user",
);
const issuer = matching(/^https?:\/\/[^\s?#@]{1,512}$/, "an issuer URL without query, fragment or user");
const origin = matching(/^https?:\/\/[A-Za-z0-9.\-[\]:]{1,253}$/, "an origin such as https://app.example.com");
const method = matching(/^[A-Z][A-Z-]{0,31}$/, "an upper-case method such as GET (methods are exact)");
const path = matching(/^\/[^\s?#\\]*$/, 'a path pattern that starts with "/", without query');
const headerName = matching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, "a header name");
const headerRules = keys({
  set: v.optional(record(headerName, v.pipe(v.string(), v.maxLength(4_096)))),
  remove: v.optional(oneOrMore(headerName)),
});
const session = keys({ max: v.optional(duration), idle: v.optional(duration) });
const bytes = v.union([
  matching(BYTES_PATTERN, 'a size such as "10GB" or "100MiB"'),
  v.pipe(v.number(), v.check((value) => parseBytes(value) !== undefined, "expected a positive whole number of bytes")),
]);
const status = v.pipe(v.number(), v.integer(), v.minValue(100), v.maxValue(599));

const loss = v.picklist(LOSS_WORDS);
/** What may be done while a part is down (P19). The identity provider is waited for longer than the others, so for how long can be said. */
const losses = {
  on_identity_loss: v.optional(v.union([loss, keys({ keep: duration }), keys({ read_only: duration })])),
  on_audit_loss: v.optional(loss),
  on_control_loss: v.optional(loss),
};

const provider = keys({
  id: label,
  issuer,
  client_id: text,
  client_secret: v.optional(secret),
  client_auth: v.optional(v.picklist(["client_secret_basic", "client_secret_post", "none"])),
  scopes: v.optional(oneOrMore(matching(/^[\x21\x23-\x5b\x5d-\x7e]+$/, "a scope (RFC 6749 §3.3)"))),
  groups_claim: v.optional(text),
  email_domains: v.optional(oneOrMore(hostname)),
  trust_email: v.optional(v.boolean()),
  acr_values: v.optional(oneOrMore(text)),
  token_audiences: v.optional(oneOrMore(text)),
  scim: v.optional(keys({ token: secret, match: v.optional(v.picklist(["sub", "email"])) })),
});

const signalSource = keys({
  id: label,
  issuer,
  jwks_uri: matching(/^https?:\/\/[^\s#@]{1,512}$/, "the URL of a key set"),
  audience: oneOrMore(text),
  provider: text,
  token: v.optional(secret),
});

const site = keys({
  id: label,
  region: v.optional(v.picklist(["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"])),
  lanes: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_LANES_COUNT))),
  trust_key: v.optional(matching(/^[A-Za-z0-9_-]{43}$/, "the base64url of a 32-byte public key")),
});

const app = keys({
  id: label,
  site: text,
  upstream: oneOrMore(upstream),
  hostname: v.optional(hostname),
  name: v.optional(matching(/^[^\p{Cc}]{1,100}$/u, "one line of at most 100 characters")),
  tags: v.optional(oneOrMore(label)),
  session: v.optional(session),
  ...losses,
  cors: v.optional(
    keys({
      origins: oneOrMore(origin),
      methods: v.optional(oneOrMore(method)),
      headers: v.optional(oneOrMore(headerName)),
      credentials: v.optional(v.boolean()),
    }),
  ),
  websocket: v.optional(keys({ origins: oneOrMore(origin) })),
  host: v.optional(v.union([hostname, keys({ literal: hostname })])),
  headers: v.optional(keys({ request: v.optional(headerRules), response: v.optional(headerRules) })),
  tls: v.optional(
    keys({
      server_name: v.optional(hostname),
      ca: v.optional(v.pipe(v.string(), v.maxLength(65_536), v.regex(/^\s*-----BEGIN CERTIFICATE-----/, "expected PEM certificates"))),
      pin: v.optional(oneOrMore(matching(/^sha256\/[A-Za-z0-9+/]{43}=$/, '"sha256/" and the base64 of a digest'))),
      client_cert: v.optional(secret),
      verify: v.optional(v.boolean()),
    }),
  ),
  insecure_paths: v.optional(oneOrMore(v.picklist(["encoded_slash", "double_slash"]))),
  path_case: v.optional(v.picklist(["sensitive", "insensitive"])),
  health: v.optional(keys({ path, every: v.optional(duration), expect: v.optional(oneOrMore(status)) })),
  timeouts: v.optional(
    keys({
      connect: v.optional(duration),
      first_byte: v.optional(duration),
      idle: v.optional(v.union([duration, v.literal("none")])),
    }),
  ),
  max_body: v.optional(bytes),
  visible: v.optional(v.boolean()),
});

export type RawWhen = { readonly [key: string]: unknown };

const criteria = Object.fromEntries(CRITERION_NAMES.map((key) => [key, v.optional(CRITERIA[key].shape)]));

/** All keys of a block must hold; at least one (P2). */
export const whenShape: Shape<RawWhen> = keys({
  ...criteria,
  any: v.optional(v.lazy(() => list(whenShape, 1_000, 1))),
  all: v.optional(v.lazy(() => list(whenShape, 1_000, 1))),
  not: v.optional(v.lazy(() => whenShape)),
  use: v.optional(oneOrMore(name)),
});

const policy = keys({
  id: name,
  effect: v.picklist(["allow", "deny", "limit"]),
  apps: oneOrMore(text),
  except: v.optional(oneOrMore(text)),
  subject: v.optional(oneOrMore(v.picklist(["user", "service", "device"]))),
  when: whenShape,
  http: v.optional(keys({ methods: v.optional(oneOrMore(method)), paths: v.optional(oneOrMore(path)) })),
  limits: v.optional(
    keys({
      session: v.optional(duration),
      idle: v.optional(duration),
      max_bytes: v.optional(bytes),
      read_only: v.optional(v.boolean()),
      role: v.optional(v.picklist(["viewer", "responder", "operator"])),
    }),
  ),
});

const test = keys({
  as: record(v.string(), v.unknown()),
  app: text,
  request: v.optional(
    keys({
      method: v.optional(method),
      path: v.optional(matching(/^\/[^\s?#]*$/, 'a path that starts with "/", without query')),
      protocol: v.optional(v.picklist(["http", "websocket", "tcp"])),
    }),
  ),
  at: v.optional(matching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/, "an instant such as 2026-11-22T09:00:00Z")),
  expect: v.picklist(["allow", "deny", "step_up"]),
  by: v.optional(text),
});

export const documentShape = keys({
  $schema: v.optional(v.string()),
  version: v.literal(1),
  domain: hostname,
  identity: v.optional(keys({ providers: v.optional(list(provider, MAX_PROVIDERS)), passkeys: v.optional(v.picklist(["after_sign_in", "after_mfa", "off"])) })),
  signals: v.optional(list(signalSource, MAX_SIGNAL_SOURCES)),
  sites: v.optional(list(site, MAX_SITES)),
  apps: v.optional(list(app, MAX_APPS)),
  policies: v.optional(list(policy, MAX_POLICIES)),
  defaults: v.optional(keys({ session: v.optional(session), ...losses })),
  lists: v.optional(record(name, oneOrMore(text))),
  conditions: v.optional(record(name, whenShape)),
  tests: v.optional(list(test, 1_000)),
});

export type RawDocument = v.InferOutput<typeof documentShape>;
export type RawProvider = v.InferOutput<typeof provider>;
export type RawSignalSource = v.InferOutput<typeof signalSource>;
export type RawSite = v.InferOutput<typeof site>;
export type RawApp = v.InferOutput<typeof app>;
export type RawPolicy = v.InferOutput<typeof policy>;
export type RawTest = v.InferOutput<typeof test>;
