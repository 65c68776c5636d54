/** What a good document becomes: every default filled in, every value in one spelling; and its own tests. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../core/time.ts";
import { schemaText } from "../../scripts/policy-schema.ts";
import { compile } from "../../policy/compile.ts";
import { canonicalDocument, hostOf } from "../../policy/document.ts";
import { parseDocument } from "../../policy/parse-document.ts";
import { runTests } from "../../policy/run-tests.ts";
import { readFriendlyFacts } from "../../policy/tests-facts.ts";
import { APPS, documentOf, effectOf, factsOf, HEAD, NOW, policyOf, STAFF, textOf, WIKI } from "./fixtures.ts";

const app = (fields: string) => {
  const [made] = documentOf(`${HEAD}apps:\n  - { id: wiki, site: berlin, ${fields} }\n`).apps;
  if (made === undefined) throw new Error("no app");
  return made;
};

describe("defaults", () => {
  it("the smallest document", () => {
    expect(documentOf("version: 1\ndomain: a.test\n")).toEqual({
      version: 1,
      domain: "a.test",
      providers: [],
      sites: [],
      apps: [],
      policies: [],
      defaults: { session: { max: DAY_MS, idle: 8 * HOUR_MS }, onLoss: { identity: { how: "keep" }, audit: { how: "keep" }, control: { how: "keep" } } },
      lists: {},
      conditions: {},
      tests: [],
    });
  });

  it("P22, P23, P24, P25: the smallest app", () => {
    expect(app('upstream: "http://10.0.0.5"')).toEqual({
      id: "wiki",
      site: "berlin",
      upstreams: ["http://10.0.0.5:80"],
      protocol: "http",
      tags: [],
      websocket: { origins: [] },
      host: "forwarded",
      headers: { request: { set: {}, remove: [] }, response: { set: {}, remove: [] } },
      tls: { pin: [], verify: true },
      insecurePaths: [],
      pathCase: "sensitive",
      timeouts: { connect: 5 * SECOND_MS, firstByte: MINUTE_MS },
      visible: false,
    });
  });

  it("the smallest provider and site", () => {
    const { providers, sites } = documentOf('version: 1\ndomain: a.test\nidentity: { providers: [{ id: corp, issuer: "https://a.test/x", client_id: c, client_secret: { secret: S } }] }\nsites: [{ id: berlin }]\n');
    expect(providers).toEqual([{ id: "corp", issuer: "https://a.test/x", clientId: "c", clientSecret: { secret: "S" }, clientAuth: "client_secret_basic", scopes: ["openid", "email", "profile"], emailDomains: [], trustEmail: false, acrValues: [], tokenAudiences: [] }]);
    expect(sites).toEqual([{ id: "berlin", lanes: 1 }]);
  });
});

describe("who tells of people", () => {
  it("what a first passkey needs is kept where it is not the default", () => {
    const passkeys = (said: string): unknown => documentOf(`version: 1\ndomain: a.test\n${said}`).passkeys;
    expect(["", "identity: { passkeys: after_sign_in }", "identity: { passkeys: after_mfa }", "identity: { passkeys: off }"].map(passkeys)).toEqual([undefined, undefined, "after_mfa", "off"]);
  });

  const withProvider = (fields: string, more = ""): string => `version: 1\ndomain: a.test\nidentity: { providers: [{ id: corp, issuer: "https://a.test/x", client_id: c, ${fields} }] }\n${more}`;

  it("a provider's directory", () => {
    expect(documentOf(withProvider("scim: { token: { secret: S } }")).providers[0]?.scim).toEqual({ token: { secret: "S" }, match: "sub" });
    expect(documentOf(withProvider("email_domains: a.test, scim: { token: { secret: S }, match: email }")).providers[0]?.scim).toEqual({ token: { secret: "S" }, match: "email" });
  });

  it("P14: a provider with a directory sends groups", () => {
    const two = `version: 1\ndomain: a.test\nidentity: { providers: [{ id: corp, issuer: "https://a.test/x", client_id: c, scim: { token: { secret: S } } }, { id: other, issuer: "https://b.test", client_id: c }] }\nsites: [{ id: s }]\napps: [{ id: a, site: s, upstream: "http://a:1" }]\npolicies: [{ id: p, effect: allow, apps: a, when: { group: staff } }]\n`;
    expect(documentOf(two).policies[0]?.when).toEqual({ group: ["corp:staff"] });
  });

  it("a source of security events", () => {
    const source = '{ id: feed, issuer: "https://ssf.a.test", jwks_uri: "https://ssf.a.test/jwks", audience: us, provider: corp';
    expect(documentOf(withProvider("", `signals: [${source} }]\n`)).signals).toEqual([{ id: "feed", issuer: "https://ssf.a.test", jwksUri: "https://ssf.a.test/jwks", audience: ["us"], provider: "corp" }]);
    expect(documentOf(withProvider("", `signals: [${source}, token: { secret: T } }]\n`)).signals?.[0]?.token).toEqual({ secret: "T" });
  });
});

describe("values in one spelling", () => {
  it("P21: cors", () => {
    expect(app('upstream: "http://a:1", cors: { origins: "https://b.test", headers: X-A, credentials: true }').cors).toEqual({ origins: ["https://b.test"], methods: ["GET", "HEAD", "POST"], headers: ["x-a"], credentials: true });
  });

  it("P22: websocket origins", () => {
    expect(app('upstream: "http://a:1", websocket: { origins: "https://b.test" }').websocket).toEqual({ origins: ["https://b.test"] });
  });

  it("P23: host and headers", () => {
    expect(app('upstream: "http://a:1", host: upstream').host).toBe("upstream");
    expect(app('upstream: "http://a:1", host: wiki.internal').host).toEqual({ literal: "wiki.internal" });
    expect(app('upstream: "http://a:1", host: { literal: upstream }').host).toEqual({ literal: "upstream" });
    expect(app('upstream: "http://a:1", headers: { request: { set: { X-User: "${user.sub}" }, remove: [Referer] } }').headers.request).toEqual({ set: { "x-user": "${user.sub}" }, remove: ["referer"] });
  });

  it("P24: tls and insecure_paths", () => {
    const made = app('upstream: "https://a", tls: { server_name: b.test, client_cert: { secret: CERT } }, insecure_paths: [encoded_slash, double_slash]');
    expect(made.tls).toEqual({ serverName: "b.test", pin: [], clientCert: { secret: "CERT" }, verify: true });
    expect(made.insecurePaths).toEqual(["double_slash", "encoded_slash"]);
  });

  it("P25: upstreams, health, timeouts, max_body", () => {
    const made = app('upstream: ["https://A.internal", "http://[2001:DB8::1]:8080/"], health: { path: /up, every: 30s, expect: [200, 204] }, timeouts: { connect: 1s, first_byte: 2m, idle: none }, max_body: 10MiB, visible: true');
    expect(made).toMatchObject({ upstreams: ["https://a.internal:443", "http://[2001:db8::1]:8080"], health: { path: "/up", every: 30 * SECOND_MS, expect: [200, 204] }, timeouts: { connect: SECOND_MS, firstByte: 2 * MINUTE_MS }, maxBody: 10 * 1_048_576, visible: true });
    expect(made.timeouts.idle).toBeUndefined();
    expect(app('upstream: "tcp://a:22", timeouts: { idle: 1h }')).toMatchObject({ protocol: "tcp", timeouts: { idle: HOUR_MS } });
  });

  it("P12, P14: criteria: lists, bare groups, emails, blocks and windows", () => {
    const { policies } = documentOf(textOf('[{ id: a, effect: allow, apps: wiki, when: { group: [staff, "corp:staff"], email: Ann@Example.com, ip_range: ["::ffff:10.0.0.0/104", "2001:DB8:0::/32"], time_window: { days: [sat-mon, mon], from: "22:00", to: "06:00", zone: UTC }, risk: { max: medium }, mfa: { methods: [otp, hwk], max_age: 12h } } }]'));
    expect(policies[0]?.when).toEqual({
      group: ["corp:staff"],
      email: ["ann@example.com"],
      ip_range: ["10.0.0.0/8", "2001:db8::/32"],
      time_window: [{ days: [0, 1, 6], from: 1_320, to: 360, zone: "UTC" }],
      risk: ["low", "medium"],
      mfa: { methods: ["hwk", "otp"], maxAge: 12 * HOUR_MS },
    });
  });

  it("P14: a group of one provider is never that of another", () => {
    const two = HEAD.replace("sites:", '    - { id: guests, issuer: "https://g.test", client_id: x, groups_claim: groups }\nsites:');
    const policy = compile(documentOf(`${two}${APPS}policies: [{ id: a, effect: allow, apps: wiki, when: { group: "guests:staff" } }]\n`), 1);
    const member = (group: string) => ({ ...STAFF, known: { ...STAFF.known, groups: { value: [group], source: "x", observedAt: NOW } } });
    expect(effectOf(policy, WIKI, member("corp:staff"))).toBe("deny");
    expect(effectOf(policy, WIKI, member("guests:staff"))).toBe("allow");
  });

  it("P16: lists are put in place, conditions are used where they stand", () => {
    const policy = policyOf('[{ id: a, effect: allow, apps: wiki, when: { group: ["$vendors", ops], use: strong } }]', "lists: { vendors: [acme, staff] }\nconditions:\n  strong: { use: [inner] }\n  inner: { user: ann }\n");
    expect(policy.document.policies[0]?.when).toEqual({ group: ["corp:acme", "corp:ops", "corp:staff"], use: ["strong"] });
    expect(effectOf(policy, WIKI, STAFF)).toBe("allow");
    expect(effectOf(policy, WIKI, factsOf({ user: "bob", groups: ["staff"] }))).toBe("deny");
  });

  it("P16: any of several conditions", () => {
    const policy = policyOf("[{ id: a, effect: allow, apps: wiki, when: { use: [x, y] } }]", "conditions:\n  x: { user: bob }\n  y: { user: ann }\n");
    expect(effectOf(policy, WIKI, STAFF)).toBe("allow");
  });

  it("hosts: <id>.<domain>, or the hostname", () => {
    expect(hostOf(app('upstream: "http://a:1"'), { domain: "access.example.com" })).toBe("wiki.access.example.com");
    expect(hostOf(app('upstream: "http://a:1", hostname: wiki.example.org'), { domain: "access.example.com" })).toBe("wiki.example.org");
  });

  it("the canonical text is the same for the same document, in YAML or JSON, whatever the order of keys", () => {
    const yaml = documentOf(textOf("[{ id: a, effect: allow, apps: [crm, wiki], when: { group: staff, user: ann } }]"));
    const json = documentOf(textOf('[{"when":{"user":["ann"],"group":["corp:staff"]},"apps":["wiki","crm"],"effect":"allow","id":"a"}]'));
    expect(canonicalDocument(json)).toBe(canonicalDocument(yaml));
    expect(canonicalDocument(documentOf(textOf("[]")))).not.toBe(canonicalDocument(yaml));
  });
});

describe("P26: the document's own tests", () => {
  const policies = `[{ id: staff, effect: allow, apps: "*", when: { group: staff, mfa: { max_age: 1h } } }, { id: office, effect: allow, apps: wiki, when: { group: ops, time_window: { from: "09:00", to: "17:00", zone: UTC } } }]`;
  const failuresOf = (tests: string) => runTests(compile(documentOf(textOf(policies, `tests:\n${tests}`)), 1), NOW);

  it("hold, each with its own facts and time", () => {
    expect(
      failuresOf(`  - { as: { user: ann, groups: [staff], mfa: { age: 5m } }, app: wiki, request: { method: GET, path: /x }, expect: allow, by: staff }
  - { as: { user: ann, groups: [staff], mfa: { age: 2h } }, app: wiki, expect: step_up }
  - { as: { user: ann, groups: [staff], facts: { mfa: { age: 0s } } }, app: pg, request: { protocol: tcp }, expect: allow }
  - { as: { user: bob, groups: [ops] }, app: wiki, at: 2026-11-20T16:59:59Z, expect: allow, by: office }
  - { as: { user: bob, groups: [ops] }, app: wiki, at: "2026-11-20T17:00:00Z", expect: deny }
  - { as: { user: eve }, app: wiki, expect: deny }
  - { as: {}, app: wiki, expect: deny }
`),
    ).toEqual([]);
  });

  it("tell the line, what was expected and who decided", () => {
    const failures = failuresOf(`  - { as: { user: ann, groups: [staff], mfa: true }, app: wiki, expect: deny }
  - as: { user: ann, groups: [staff], mfa: true }
    app: wiki
    expect: allow
    by: office
  - { as: { user: eve }, app: crm, expect: allow }
`);
    expect(failures.map(({ index, line, message }) => [index, line, message])).toEqual([
      [0, 15, "expected deny, got allow (allowed) by staff"],
      [1, 16, "expected allow by office, got it by staff"],
      [2, 20, "expected allow, got deny (no_allow) by no policy"],
    ]);
  });

  it("facts that are not given are unknown, never defaulted", () => {
    expect(factsOf({ user: "ann" })).toEqual({ subject: { kind: "user", id: "ann" }, known: { user: { value: "corp:ann", source: "corp", observedAt: NOW }, provider: { value: "corp", source: "postern", observedAt: NOW } } });
    expect(factsOf({})).toEqual({ subject: { kind: "anonymous", id: "" }, known: {} });
  });

  it("every key of the friendly form", () => {
    const facts = factsOf({ user: "ann", provider: "corp", email: "Ann@Example.com", groups: "staff", mfa: { methods: "hwk", age: "5m" }, auth_age: "1h", session_age: "2h", ip: "192.0.2.1", country: "DE", asn: 64_496, risk: "low", risk_reasons: ["second_session"], device: { id: "d1", registered: true, managed: false, tags: "lab", owner_is_user: true, os: "linux", age: "1m" } });
    expect(Object.fromEntries(Object.entries(facts.known).map(([name, { value, source, observedAt }]) => [name, [value, source, NOW - observedAt]]))).toEqual({
      user: ["corp:ann", "corp", 0],
      provider: ["corp", "postern", 0],
      email: ["ann@example.com", "corp", 0],
      groups: [["corp:staff"], "corp", 0],
      mfa: [{ methods: ["hwk"] }, "corp", 5 * MINUTE_MS],
      auth: [true, "corp", HOUR_MS],
      ip: ["192.0.2.1", "edge", 0],
      country: ["DE", "edge", 0],
      asn: [64_496, "edge", 0],
      risk: ["low", "postern", 0],
      "risk.reasons": [["second_session"], "postern", 0],
      "device.id": ["d1", "postern", MINUTE_MS],
      "device.registered": [true, "postern", MINUTE_MS],
      "device.managed": [false, "operator", MINUTE_MS],
      "device.tags": [["lab"], "operator", MINUTE_MS],
      "device.owner": ["ann", "postern", MINUTE_MS],
      "device.os": ["linux", "device:d1", MINUTE_MS],
    });
    expect(facts.session).toEqual({ startedAt: NOW - 2 * HOUR_MS, lastActiveAt: NOW });
  });

  it.each([
    ["a service", { service: "ci" }, { kind: "service", id: "ci" }],
    ["a device alone", { device: { id: "d1", registered: true } }, { kind: "device", id: "d1" }],
    ["a user with a device", { user: "ann", device: { registered: true } }, { kind: "user", id: "ann" }],
  ])("the subject is %s", (_, form, subject) => {
    expect(factsOf(form).subject).toEqual(subject);
  });

  it.each([
    ["an unknown key", { usr: "ann" }, 'unknown key "usr"', 'did you mean "user"?'],
    ["a group of nobody", { groups: ["x:staff"] }, '"x:staff" does not say whose group it is', "write provider:x:staff"],
    ["a provider of nobody", { user: "ann", provider: "crop" }, 'no provider "crop"', 'did you mean "corp"?'],
    ["a user who is a service", { user: "ann", service: "ci" }, "a subject is a user or a service, not both", undefined],
  ])("%s is refused", (_, form, message, fix) => {
    const read = readFriendlyFacts(form, [{ id: "corp", groupsClaim: "groups" } as never], NOW);
    expect(read.ok ? [] : read.error.map((finding) => [finding.message, finding.fix])).toEqual([[message, fix]]);
  });

  it("facts of a test are checked with the document, at their place", () => {
    const parsed = parseDocument(textOf(policies, "tests:\n  - { as: { usr: ann }, app: wiki, expect: deny }\n"));
    expect(parsed).toMatchObject({ ok: false, error: [{ code: "facts", line: 15, column: 13, path: "tests[0].as.usr", fix: 'did you mean "user"?' }] });
  });
});

describe("the JSON Schema for editors", () => {
  it("docs/postern.schema.json is what scripts/policy-schema.ts writes now", () => {
    expect(readFileSync(new URL("../../docs/postern.schema.json", import.meta.url), "utf8")).toBe(schemaText());
  });
});
