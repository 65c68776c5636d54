/**
 * The raw shape of postern.yaml, key by key: what an operator may write. The JSON Schema for
 * editors is generated from it. What names and values mean is references.ts's and read-*.ts's.
 */
import * as z from "zod/mini";
import { MAX_LANES_COUNT } from "../core/site-config.ts";
import { BYTES_PATTERN, parseBytes } from "./quantity.ts";
import { CRITERIA, CRITERION_NAMES } from "./registry.ts";
import { duration, label, matching, name, oneOrMore, text } from "./shapes.ts";

/** Policies of one document: bounds compilation and a decision's work. */
export const MAX_POLICIES = 5_000;
/** Apps of one document. */
export const MAX_APPS = 2_000;
export const MAX_SITES = 500;
export const MAX_PROVIDERS = 20;
/** Nesting of any, all, not and use in one policy: bounds recursion. */
export const MAX_WHEN_DEPTH = 16;

const list = <T extends z.ZodMiniType>(item: T, most: number) => z.array(item).check(z.maxLength(most));

/** Not one of Postern's own: a document may not send the setup key to a provider of its choice. */
const secret = z.strictObject({ secret: matching(/^(?!POSTERN_)[A-Za-z_][A-Za-z0-9_]{0,127}$/, "the name of a secret, never its value, and none that begins with POSTERN_") });
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
const headerRules = z.strictObject({
  set: z.optional(z.record(headerName, z.string().check(z.maxLength(4_096)))),
  remove: z.optional(oneOrMore(headerName)),
});
const session = z.strictObject({ max: z.optional(duration), idle: z.optional(duration) });
const bytes = z.union([
  matching(BYTES_PATTERN, 'a size such as "10GB" or "100MiB"'),
  z.number().check(z.refine((value) => parseBytes(value) !== undefined, { error: "expected a positive whole number of bytes" })),
]);
const status = z.int().check(z.gte(100), z.lte(599));

const provider = z.strictObject({
  id: label,
  issuer,
  client_id: text,
  client_secret: z.optional(secret),
  client_auth: z.optional(z.enum(["client_secret_basic", "client_secret_post", "none"])),
  scopes: z.optional(oneOrMore(matching(/^[\x21\x23-\x5b\x5d-\x7e]+$/, "a scope (RFC 6749 §3.3)"))),
  groups_claim: z.optional(text),
  email_domains: z.optional(oneOrMore(hostname)),
  trust_email: z.optional(z.boolean()),
  acr_values: z.optional(oneOrMore(text)),
  token_audiences: z.optional(oneOrMore(text)),
});

const site = z.strictObject({
  id: label,
  region: z.optional(z.enum(["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"])),
  lanes: z.optional(z.int().check(z.gte(1), z.lte(MAX_LANES_COUNT))),
  trust_key: z.optional(matching(/^[A-Za-z0-9_-]{43}$/, "the base64url of a 32-byte public key")),
});

const app = z.strictObject({
  id: label,
  site: text,
  upstream: oneOrMore(upstream),
  hostname: z.optional(hostname),
  name: z.optional(matching(/^[^\p{Cc}]{1,100}$/u, "one line of at most 100 characters")),
  tags: z.optional(oneOrMore(label)),
  session: z.optional(session),
  cors: z.optional(
    z.strictObject({
      origins: oneOrMore(origin),
      methods: z.optional(oneOrMore(method)),
      headers: z.optional(oneOrMore(headerName)),
      credentials: z.optional(z.boolean()),
    }),
  ),
  websocket: z.optional(z.strictObject({ origins: oneOrMore(origin) })),
  host: z.optional(z.union([hostname, z.strictObject({ literal: hostname })])),
  headers: z.optional(z.strictObject({ request: z.optional(headerRules), response: z.optional(headerRules) })),
  tls: z.optional(
    z.strictObject({
      server_name: z.optional(hostname),
      ca: z.optional(z.string().check(z.maxLength(65_536), z.regex(/^\s*-----BEGIN CERTIFICATE-----/, { error: "expected PEM certificates" }))),
      pin: z.optional(oneOrMore(matching(/^sha256\/[A-Za-z0-9+/]{43}=$/, '"sha256/" and the base64 of a digest'))),
      client_cert: z.optional(secret),
      verify: z.optional(z.boolean()),
    }),
  ),
  insecure_paths: z.optional(oneOrMore(z.enum(["encoded_slash", "double_slash"]))),
  path_case: z.optional(z.enum(["sensitive", "insensitive"])),
  health: z.optional(z.strictObject({ path, every: z.optional(duration), expect: z.optional(oneOrMore(status)) })),
  timeouts: z.optional(
    z.strictObject({
      connect: z.optional(duration),
      first_byte: z.optional(duration),
      idle: z.optional(z.union([duration, z.literal("none")])),
    }),
  ),
  max_body: z.optional(bytes),
  visible: z.optional(z.boolean()),
});

export type RawWhen = { readonly [key: string]: unknown };

const criteria = Object.fromEntries(CRITERION_NAMES.map((key) => [key, z.optional(CRITERIA[key].shape)]));

/** All keys of a block must hold; at least one (P2). */
export const whenShape: z.ZodMiniType<RawWhen> = z.strictObject({
  ...criteria,
  any: z.optional(z.lazy(() => list(whenShape, 1_000).check(z.minLength(1)))),
  all: z.optional(z.lazy(() => list(whenShape, 1_000).check(z.minLength(1)))),
  not: z.optional(z.lazy(() => whenShape)),
  use: z.optional(oneOrMore(name)),
});

const policy = z.strictObject({
  id: name,
  effect: z.enum(["allow", "deny", "limit"]),
  apps: oneOrMore(text),
  except: z.optional(oneOrMore(text)),
  subject: z.optional(oneOrMore(z.enum(["user", "service", "device"]))),
  when: whenShape,
  http: z.optional(z.strictObject({ methods: z.optional(oneOrMore(method)), paths: z.optional(oneOrMore(path)) })),
  limits: z.optional(
    z.strictObject({
      session: z.optional(duration),
      idle: z.optional(duration),
      max_bytes: z.optional(bytes),
      read_only: z.optional(z.boolean()),
      role: z.optional(z.enum(["viewer", "responder", "operator"])),
    }),
  ),
});

const loss = z.optional(z.enum(["keep", "deny"]));

const test = z.strictObject({
  as: z.record(z.string(), z.unknown()),
  app: text,
  request: z.optional(
    z.strictObject({
      method: z.optional(method),
      path: z.optional(matching(/^\/[^\s?#]*$/, 'a path that starts with "/", without query')),
      protocol: z.optional(z.enum(["http", "websocket", "tcp"])),
    }),
  ),
  at: z.optional(matching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/, "an instant such as 2026-11-22T09:00:00Z")),
  expect: z.enum(["allow", "deny", "step_up"]),
  by: z.optional(text),
});

export const documentShape = z.strictObject({
  $schema: z.optional(z.string()),
  version: z.literal(1),
  domain: hostname,
  identity: z.optional(z.strictObject({ providers: z.optional(list(provider, MAX_PROVIDERS)) })),
  sites: z.optional(list(site, MAX_SITES)),
  apps: z.optional(list(app, MAX_APPS)),
  policies: z.optional(list(policy, MAX_POLICIES)),
  defaults: z.optional(z.strictObject({ session: z.optional(session), on_identity_loss: loss, on_audit_loss: loss })),
  lists: z.optional(z.record(name, oneOrMore(text))),
  conditions: z.optional(z.record(name, whenShape)),
  tests: z.optional(list(test, 1_000)),
});

export type RawDocument = z.infer<typeof documentShape>;
export type RawProvider = z.infer<typeof provider>;
export type RawSite = z.infer<typeof site>;
export type RawApp = z.infer<typeof app>;
export type RawPolicy = z.infer<typeof policy>;
export type RawTest = z.infer<typeof test>;
