/**
 * The shapes of the admin API's questions and answers, once: the types (admin-api.ts), the check
 * of an answer in the CLI and docs/openapi.json all come from here. The edge imports only the
 * types. Times are ISO 8601; what is null is known to be nothing.
 */
import * as z from "zod/mini";

const text = z.string();
const count = z.int().check(z.nonnegative());
const instant = z.string();
const many = <T extends z.ZodMiniType>(one: T) => z.readonly(z.array(one));

export const REVOKE_KINDS = ["session", "user", "device", "connector", "app", "grant", "service"] as const;

/** One place of a document (policy/problems.ts Problem). */
export const problem = z.object({
  code: text,
  message: text,
  fix: z.optional(text),
  file: z.optional(text),
  // None from the edge, which reads JSON: the command line adds them from the file.
  line: z.optional(count),
  column: z.optional(count),
  at: z.optional(z.literal("key")),
  path: text,
});

export const testFailure = z.object({
  index: count,
  line: z.optional(count),
  message: text,
  expected: text,
  got: text,
  decidedBy: many(text),
});

/** Every refusal of an API call. */
export const refusal = z.object({
  error: z.object({
    code: text,
    message: text,
    fix: many(text),
    request_id: text,
    login_url: z.optional(text),
    problems: z.optional(many(problem)),
    tests: z.optional(many(testFailure)),
  }),
});

export const receipt = z.object({
  id: text,
  kind: z.enum([...REVOKE_KINDS, "policy", "signal"]),
  target: text,
  version: count,
  at: instant,
  found: count,
  closed: count,
  frozen: count,
  kept: count,
  slowest_ms: z.number(),
  bytes_in_flight_at_cut: z.number(),
  unconfirmed: many(z.object({ site: text, lane: count, lease_ends_at: instant })),
  complete: z.boolean(),
});

export const applied = z.object({
  version: count,
  previous: count,
  receipt,
  warnings: many(problem),
  denied_by_unknown_facts: z.object({ cases: count, policies: many(z.object({ id: text, count })) }),
});

export const setUp = z.object({
  version: count,
  previous: count,
  /** Shown once. */
  token: text,
  token_expires_at: instant,
  service: text,
  setup_closed: z.boolean(),
  warnings: many(problem),
  receipt,
});

export const policyText = z.object({ version: count, digest: text, text });

export const versions = many(z.object({ version: count, digest: text, at: instant, by: text }));

export const revokeQuestion = z.object({ kind: z.enum(REVOKE_KINDS), id: text });

export const serviceQuestion = z.object({ name: text, expires: text });

export const serviceToken = z.object({
  id: text,
  name: text,
  client_id: text,
  /** The token again, for clients that send it as Postern-Client-Secret. */
  client_secret: text,
  /** Shown once. */
  token: text,
  expires_at: instant,
});

export const services = many(z.object({ id: text, name: text, created_at: instant, expires_at: instant, revoked_at: z.nullable(instant) }));

export const sealQuestion = z.union([z.object({ people: z.literal(2) }), z.object({ delay: text })]);

/** open: a token of it is valid. counting: a clock runs, or ran out and nobody took the token yet. */
export const breakGlass = z.object({
  state: z.enum(["none", "sealed", "counting", "open"]),
  people: count,
  delay_ms: count,
  sealed_at: z.nullable(instant),
  sealed_by: z.nullable(text),
  opens_at: z.nullable(instant),
  open_until: z.nullable(instant),
});

/** `opens`: what the live policy would let it open. */
export const sealed = z.object({ ...breakGlass.shape, codes: many(text), opens: many(text) });

/** POST /.postern/break-glass; not under the API's path. Without a token the clock runs until `opens_at`. */
export const opened = z.object({ token: z.nullable(text), expires_at: z.nullable(instant), opens_at: z.nullable(instant) });

export const enrollQuestion = z.object({ site: text });

/** `token` is shown once; `edge` is the origin to enrol at. */
export const enrollToken = z.object({ token: text, site: text, expires_at: instant, edge: text });

export const connectors = many(
  z.object({ id: text, site: text, name: text, thumbprint: text, enrolled_at: instant, revoked_at: z.nullable(instant) }),
);

export const edgeStatus = z.object({
  policy_version: count,
  // None from an older edge.
  break_glass: z.optional(breakGlass),
  lanes: many(
    z.object({
      site: text,
      lane: count,
      reachable: z.boolean(),
      policy_version: z.optional(count),
      /** `wakes`: how often the lane has woken from its sleep since this connector's hello. */
      connectors: z.optional(many(z.object({ id: text, streams: count, draining: z.boolean(), wakes: z.optional(count) }))),
      streams: z.optional(count),
      leases: z.optional(count),
      /** Since the lane woke: the connectors' frames (resets, overruns, ignored, pings …), and `closed_CODE` for each socket of one that ended so. */
      counters: z.optional(z.record(z.string(), count)),
      /** What keeps the lane from hibernating, in words. */
      awake: z.optional(many(text)),
    }),
  ),
});

const subject = z.object({ kind: z.enum(["anonymous", "user", "service", "device"]), id: text });

export const sessions = many(
  z.object({
    id: text,
    subject: z.object({ ...subject.shape, name: z.optional(text), email: z.optional(text) }),
    started_at: instant,
    expires_at: instant,
    streams: many(
      z.object({
        id: text,
        app: text,
        protocol: z.enum(["http", "websocket", "tcp"]),
        bytes_in: count,
        bytes_out: count,
        state: z.enum(["open", "held", "frozen"]),
      }),
    ),
  }),
);

const scalar = z.union([text, z.number(), z.boolean(), many(text)]);

export const devices = many(
  z.object({
    id: text,
    owner: text,
    name: text,
    state: z.enum(["enrolled", "revoked", "cloned"]),
    enrolled_at: instant,
    reported_at: z.nullable(instant),
    /** As its sessions know them. */
    facts: z.record(z.string(), z.unknown()),
    sessions: count,
  }),
);

export const deviceQuestion = z.object({ tags: z.optional(many(text)), managed: z.optional(z.boolean()) });

/** null takes a fact back. */
export const factsQuestion = z.object({ facts: z.record(z.string(), z.nullable(z.object({ value: scalar, observed_at: z.optional(instant), expires_at: instant }))) });

/** What the new facts did to live streams. */
export const facts = z.object({ id: text, found: count, closed: count });

/** POST /.postern/devices and …/report; not under the API's path. */
export const enrolledDevice = z.object({ id: text });
export const reported = z.object({ seq: count, kept: text });

const outcome = z.enum(["true", "false", "unknown"]);

/** What explain() of policy/ answers. */
export const explanation = z.object({
  effect: z.enum(["allow", "deny", "step_up"]),
  reason: text,
  policy_version: count,
  decided_by: many(text),
  policies: many(
    z.object({
      id: text,
      effect: z.enum(["allow", "deny", "limit"]),
      result: z.enum([...outcome.options, "skipped"]),
      why: z.optional(z.enum(["subject", "http"])),
      criteria: many(
        z.object({
          path: text,
          result: outcome,
          reason: text,
          fact: z.nullable(text),
          value: z.unknown(),
          source: z.nullable(text),
          age_ms: z.nullable(z.number()),
        }),
      ),
    }),
  ),
  limits: z.object({
    session_ends_at: z.optional(instant),
    idle_ms: z.optional(z.number()),
    max_bytes: z.optional(z.number()),
    read_only: z.boolean(),
    role: z.optional(z.enum(["viewer", "responder", "operator"])),
  }),
  step_up: z.optional(z.object({ max_age_ms: z.number(), methods: many(text), mfa: z.boolean() })),
  redecide_at: z.nullable(instant),
  fix: many(text),
});

/** A recorded decision, made again. */
export const explainedRequest = z.object({
  ...explanation.shape,
  id: text,
  at: instant,
  recorded_effect: text,
  subject,
  ask: z.object({ app: text, protocol: text, method: text, path: text }),
});

/** Questions that wait (`given_at` null) and grants that live. `by`: "user:ID" or "service:NAME". */
export const grants = many(
  z.object({
    id: text,
    user: text,
    email: z.nullable(text),
    name: z.nullable(text),
    app: text,
    reason: text,
    lasting_ms: z.number(),
    asked_at: instant,
    given_at: z.nullable(instant),
    by: z.nullable(text),
    /** When it is over by itself. */
    until: instant,
  }),
);

/** What waits, by its id, for as long as it was asked for or else; or of one's own accord, to a user by id or verified email. */
export const grantQuestion = z.union([z.object({ request: text, for: z.optional(text) }), z.object({ user: text, app: text, for: text, reason: text })]);

/** A grant and its end; of a question asked at /.postern/request, when it is over. */
export const given = z.object({ id: text, until: instant });
export const deniedGrant = z.object({ id: text });

/** GET /.postern/me; not under the API's path, but what `whoami` reads. */
export const me = z.object({
  subject,
  name: z.optional(text),
  email: z.optional(text),
  provider: z.optional(text),
  groups: z.nullable(z.unknown()),
  signed_in_at: instant,
  expires_at: instant,
});

/** GET / at the launcher, as JSON: what `apps` reads. */
export const visibleApps = z.object({
  apps: many(z.object({ id: text, name: text, host: text, tags: many(text), stepUp: z.boolean(), url: z.optional(text) })),
  /** Those that a grant would open; a request asks for one. */
  askable: z.optional(many(z.object({ id: text, name: text }))),
});

/** GET /.postern/ready. */
export const readiness = z.object({ ready: z.boolean(), policy_version: count });
