/** What a wrong document is told: the place, to the column, and what to write instead. */
import { describe, expect, it } from "vitest";
import { located } from "../../cli/written-document.ts";
import { parseCanonical } from "../../policy/canonical-text.ts";
import { parseDocument, writtenSource } from "../../policy/parse-document.ts";
import { formatProblem } from "../../policy/problems.ts";
import { APPS, HEAD, textOf } from "./fixtures.ts";

const PROVIDER = '    - { id: corp, issuer: "https://login.example.com", client_id: postern, groups_claim: groups, email_domains: [example.com] }\n';
const ok = "{ id: a, effect: allow, apps: wiki, when: { group: staff } }";

/** What the file's reader finds; the edge, which sees no line of it, must find the same, and the command line must know where. */
function parsedTwice(text: string): ReturnType<typeof parseDocument> {
  const here = parseDocument(text);
  const source = writtenSource(text);
  if (!source.ok) {
    expect(here).toEqual(source);
    return here;
  }
  const there = parseCanonical(source.value.canonical);
  expect(there.ok).toBe(here.ok);
  const [seen, expected] = [there, here].map((read) => (read.ok ? read.value.warnings : read.error));
  expect((seen ?? []).filter(({ line }) => line !== undefined)).toEqual([]);
  expect(located(source.value, seen ?? [])).toEqual(expected);
  return here;
}

/** Each problem as "code line:column [fix]"; warnings of a good document as "warning: …". */
function problemsOf(text: string): string[] {
  const parsed = parsedTwice(text);
  const list = parsed.ok ? parsed.value.warnings : parsed.error;
  return list.map(({ code, line, column, fix }) => `${parsed.ok ? "warning: " : ""}${code} ${line}:${column}${fix === undefined ? "" : ` [${fix}]`}`);
}

/** The same with the words that stand at the place: "code @words [fix]". */
function faultsOf(text: string): string[] {
  const parsed = parsedTwice(text);
  const list = parsed.ok ? parsed.value.warnings : parsed.error;
  const lines = text.split("\n");
  return list.map(({ code, line, column, fix }) => {
    const words = /^(?:"[^"]*"|[^\s,:}\]{[]+|.)/.exec(lines[(line ?? 0) - 1]?.slice((column ?? 0) - 1) ?? "")?.[0] ?? "";
    return `${parsed.ok ? "warning: " : ""}${code} @${words}${fix === undefined ? "" : ` [${fix}]`}`;
  });
}

const base = (more: string): string => `${HEAD}${more}`;
const policies = (list: string): string => textOf(list);
const provider = (fields: string): string => HEAD.replace(PROVIDER, `    - { id: corp, client_id: postern, ${fields} }\n`);
const app = (fields: string): string => base(`apps:\n  - { id: wiki, site: berlin, ${fields} }\n`);
const up = 'upstream: "http://10.0.0.5:8080"';

const KNOWN = "known keys: $schema, version, domain, identity, signals, sites, apps, policies, defaults, lists, conditions, tests";

describe("the text", () => {
  it.each<[string, string, string[]]>([
    ["a duplicate key", "version: 1\ndomain: a.test\nversion: 1\n", ["duplicate_key 3:1 [remove one of the two]"]],
    ["an unknown key", base("polices: []\n"), ['unknown_key 8:1 [did you mean "policies"?]']],
    ["unknown keys that look like paths", base('sites[0]: 1\napps.a: 2\n"tests[1].as": { x: [1] }\n'), [`unknown_key 8:1 [${KNOWN}]`, 'unknown_key 9:1 [did you mean "apps"?]', `unknown_key 10:1 [${KNOWN}]`]],
    ["half a character", 'version: 1\ndomain: "\\ud800"\n', ["text 2:9"]],
    ["a number that is none", "version: .inf\ndomain: a.test\n", ["number 1:10"]],
    ["an unknown key inside", policies("[{ id: a, effect: allow, apps: wiki, wen: { group: x } }]"), ["missing 13:12", 'unknown_key 13:48 [did you mean "when"?]']],
    ["a missing section", "version: 1\n", ["missing 1:1"]],
    ["another version", "version: 2\ndomain: a.test\n", ["value 1:10"]],
    ["a tab", "version: 1\napps:\n\t- id: a\n", ["tab 3:1 [use spaces]"]],
    ["a number where text belongs", policies('[{ id: a, effect: allow, apps: wiki, when: { user: 8412 } }]'), ['type 13:62 [write "8412" in quotes]']],
    ["two documents", "version: 1\ndomain: a.test\n---\nversion: 1\n", ["yaml 3:1 [remove the line ---]"]],
    ["YAML that ends too early", "version: [1\n", ["yaml 2:1"]],
    ["an explicit tag", "version: !!int 1\ndomain: a.test\n", ["tag 1:16 [remove the tag]"]],
    ["an unknown tag", "version: 1\ndomain: !env X\n", ["yaml 2:9"]],
    ["a key that is no text", "version: 1\ndomain: a.test\n2: x\n", ["key 3:1 [quote it]"]],
  ])("%s", (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });

  it("names the file when it knows it, in a line that editors understand", () => {
    const parsed = parseDocument("version: 1\n", { file: "team/postern.yaml" });
    expect(parsed.ok ? [] : parsed.error.map(formatProblem)).toEqual(['team/postern.yaml:1:1: "domain" is missing']);
  });

  it("reads JSON as well", () => {
    expect(parseDocument('{"version": 1, "domain": "a.test"}')).toMatchObject({ ok: true, value: { document: { domain: "a.test" }, warnings: [] } });
  });
});

describe("names that lead nowhere", () => {
  it.each<[string, string, string[]]>([
    ["an app", policies("[{ id: a, effect: allow, apps: [wikki], when: { group: x } }]"), ['dangling @wikki [did you mean "wiki"?]']],
    ["a tag", policies('[{ id: a, effect: allow, apps: "tag:internl", when: { group: x } }]'), ['dangling @"tag:internl" [did you mean "tag:internal"?]']],
    ["a tag written as an app", policies("[{ id: a, effect: allow, apps: money, when: { group: x } }]"), ['dangling @money [did you mean "tag:money"?]']],
    ["an app in except", policies('[{ id: a, effect: allow, apps: "*", except: [crn], when: { group: x } }]'), ['dangling @crn [did you mean "crm"?]']],
    ["a site", base('apps:\n  - id: wiki\n    site: berlim\n    upstream: "http://a:1"\n'), ['dangling @berlim [did you mean "berlin"?]']],
    ["a provider", policies("[{ id: a, effect: allow, apps: wiki, when: { provider: crop } }]"), ['dangling @crop [did you mean "corp"?]']],
    ["a group's provider (P14)", policies('[{ id: a, effect: allow, apps: wiki, when: { group: ["crop:x"] } }]'), ['dangling @"crop:x" [did you mean "corp"?]']],
    ["a list (P16)", textOf('[{ id: a, effect: allow, apps: wiki, when: { group: ["$vendor"] } }]', "lists: { vendors: [x] }\n"), ['dangling @"$vendor" [did you mean "vendors"?]', "unused @vendors [remove it]"]],
    ["a condition (P16)", textOf("[{ id: a, effect: allow, apps: wiki, when: { use: strng } }]", "conditions: { strong: { mfa: true } }\n"), ['dangling @strng [did you mean "strong"?]', "unused @strong [remove it]"]],
    ["a test's app and policy (P26)", textOf(`[${ok}]`, "tests:\n  - { as: { user: ann }, app: wkii, expect: allow, by: b }\n"), ['dangling @wkii [did you mean "wiki"?]', "dangling @b"]],
  ])("%s", (_, text, expected) => {
    expect(faultsOf(text)).toEqual(expected);
  });

  it("P16: unused lists and conditions, and circles, are errors", () => {
    expect(faultsOf(textOf(`[${ok}]`, "lists: { vendors: [x] }\nconditions: { strong: { mfa: true } }\n"))).toEqual(["unused @vendors [remove it]", "unused @strong [remove it]"]);
    const circle = textOf("[{ id: a, effect: allow, apps: wiki, when: { use: x } }]", "conditions:\n  x: { use: y }\n  y: { any: [{ not: { use: x } }] }\n");
    expect(faultsOf(circle)).toEqual(["cycle @x"]);
  });

  it("P16: a list that another list is to hold", () => {
    expect(faultsOf(textOf('[{ id: a, effect: allow, apps: wiki, when: { group: ["$v"] } }]', 'lists: { v: ["$w"] }\n'))).toContain('list @"$w" [write the values]');
  });
});

describe("ids and hosts", () => {
  it.each<[string, string, string[]]>([
    ["two policies of one id", policies(`[${ok}, ${ok}]`), ["duplicate_id @a [rename one of them]"]],
    ["two apps of one id", base(`${APPS}  - { id: wiki, site: berlin, upstream: "http://b:1" }\n`), ["duplicate_id @wiki [rename one of them]"]],
    ["two providers of one id", HEAD.replace(PROVIDER, PROVIDER + PROVIDER.replace("https://login.example.com", "https://other.example.com")), ["duplicate_id @corp [rename one of them]"]],
    ["two providers of one issuer: whose groups would count?", HEAD.replace(PROVIDER, PROVIDER + PROVIDER.replace("id: corp", "id: second")), ['duplicate_issuer @"https://login.example.com" [keep one of them]']],
    ["two sites of one id", HEAD.replace("{ id: berlin }", "{ id: berlin }\n  - { id: berlin }"), ["duplicate_id @berlin [rename one of them]"]],
    ["two apps with one host", base('apps:\n  - { id: wiki, site: berlin, upstream: "http://a:1" }\n  - { id: b, site: berlin, upstream: "http://a:1", hostname: wiki.access.example.com }\n'), ["host_conflict @wiki.access.example.com [choose another hostname]"]],
    ["the launcher's host", base('apps:\n  - { id: b, site: berlin, upstream: "http://a:1", hostname: access.example.com }\n'), ["host_conflict @access.example.com [choose another hostname]"]],
    ["an id of Postern's own", base('apps:\n  - { id: postern-x, site: berlin, upstream: "http://a:1" }\n'), ["reserved @postern-x [choose another id]"]],
    ["a service of Postern's own", policies('[{ id: a, effect: allow, apps: wiki, when: { service: "postern:setup" } }]'), ['reserved @"postern:setup" [write lower-case letters, digits, - and _]']],
    ["a policy id of Postern's own", policies('[{ id: "postern:setup", effect: allow, apps: wiki, when: { group: x } }]'), ['format @"postern:setup"']],
    ["an upper-case app id", base('apps:\n  - { id: Wiki, site: berlin, upstream: "http://a:1" }\n'), ['format @Wiki [write "wiki"]']],
  ])("%s", (_, text, expected) => {
    expect(faultsOf(text)).toEqual(expected);
  });
});

describe("rules of one policy", () => {
  const one = (fields: string): string => policies(`[{ id: a, ${fields} }]`);
  it.each<[string, string, string[]]>([
    ["P2: an empty when", one("effect: allow, apps: wiki, when: {}"), ["empty_when @{ [write anyone: true if that is meant]"]],
    ["P2: an empty block inside", one("effect: allow, apps: wiki, when: { any: [{}] }"), ["empty_when @{ [write anyone: true if that is meant]"]],
    ["P2: anyone: false", one("effect: allow, apps: wiki, when: { anyone: false }"), ["value @false"]],
    ["P5: a limit policy without limits", one("effect: limit, apps: wiki, when: { group: x }"), ["limits @{ [write for example limits: { read_only: true }]"]],
    ["P5: a deny with limits", one("effect: deny, apps: wiki, when: { group: x }, limits: { session: 1h }"), ["limits @limits [write effect: limit]"]],
    ["P6: a role away from postern:admin", one("effect: allow, apps: wiki, when: { group: x }, limits: { role: viewer }"), ['role @viewer [apps: ["postern:admin"]]']],
    ["P8: a lower-case method", one("effect: allow, apps: wiki, when: { group: x }, http: { methods: [get] }"), ['format @get [did you mean "GET"?]']],
    ["P8: http that narrows nothing", one("effect: allow, apps: wiki, when: { group: x }, http: {}"), ["empty @{ [name methods or paths, or leave it out]"]],
    ["P9: a path without slash", one("effect: allow, apps: wiki, when: { group: x }, http: { paths: [admin] }"), ['format @admin [write "/admin"]']],
    ["P9: a path with dots", one("effect: allow, apps: wiki, when: { group: x }, http: { paths: [/a/../b] }"), ["path @/a/../b"]],
    ["P9: ** inside a segment", one("effect: allow, apps: wiki, when: { group: x }, http: { paths: [/a**] }"), ["path @/a**"]],
    ["P10: http on a tcp app named by id", one("effect: allow, apps: pg, when: { group: x }, http: { methods: [GET] }"), ["tcp_http @http [remove http, or the app]"]],
    ["P10: http on a tcp app reached by \"*\"", one('effect: allow, apps: "*", when: { group: x }, http: { methods: [GET] }'), ["warning: tcp_http @http [write except: [pg] if that is meant]"]],
    ["P11: except everything", one('effect: allow, apps: "*", except: "*", when: { group: x }'), ['except @"*"']],
    ["P12: a CIDR with bits behind its prefix", one('effect: allow, apps: wiki, when: { ip_range: 10.0.0.5/8 }'), ['cidr @10.0.0.5/8 [write "10.0.0.0/8"]']],
    ["P12: no CIDR", one('effect: allow, apps: wiki, when: { ip_range: 10.0.0.256 }'), ['cidr @10.0.0.256 [write for example "192.0.2.0/24"]']],
    ["P12: a country that ISO does not know", one('effect: allow, apps: wiki, when: { country: [DE, UK] }'), ['country @UK [did you mean "GB"?]']],
    ["P12: a lower-case country", one('effect: allow, apps: wiki, when: { country: de }'), ['country @de [did you mean "DE"?]']],
    ["P12: no time zone", one('effect: allow, apps: wiki, when: { time_window: { from: "07:00", zone: Berlin } }'), ['timezone @Berlin [write for example "Europe/Berlin"]']],
    ["P12: a window of nothing", one('effect: allow, apps: wiki, when: { time_window: { from: "07:00", to: "07:00", zone: UTC } }'), ["time_window @{ [leave both out for the whole day]"]],
    ["P13: services in subject, but not in when", one("effect: allow, apps: wiki, subject: [service], when: { group: x }"), ["service @[ [add a service criterion or leave service out of subject]"]],
    ["P15: a device without facts", one("effect: allow, apps: wiki, when: { device: { max_age: 1h } }"), ["empty @{ [write for example registered: true]"]],
    ["P20: anyone without paths", one("effect: allow, apps: wiki, when: { anyone: true }"), ['public @{ [name the public paths, for example http: { paths: ["/public/**"] }]']],
    ["P20: anyone behind any, without paths", one("effect: allow, apps: wiki, when: { any: [{ group: x }, { anyone: true }] }"), ['public @{ [name the public paths, for example http: { paths: ["/public/**"] }]']],
    ["a duration in words", one("effect: allow, apps: wiki, when: { mfa: { max_age: 12 hours } }"), ['format @12 [write "12h"]']],
    ["an unknown criterion", one("effect: allow, apps: wiki, when: { gruop: x }"), ['unknown_key @gruop [did you mean "group"?]']],
    ["a key misspelt in an alternative", one("effect: allow, apps: wiki, when: { mfa: { maxage: 1h } }"), ['unknown_key @maxage [did you mean "max_age"?]']],
  ])("%s", (_, text, expected) => {
    expect(faultsOf(text)).toEqual(expected);
  });

  it("P14: a bare group is ambiguous when two providers send groups, legal when one does", () => {
    const second = (claim: string): string => HEAD.replace(PROVIDER, `${PROVIDER}    - { id: guests, issuer: "https://other.example.com", client_id: x${claim} }\n`) + `${APPS}policies: [${ok}]\n`;
    expect(faultsOf(second(""))).toEqual([]);
    expect(faultsOf(second(", groups_claim: roles"))).toEqual(["ambiguous_group @staff [write provider:staff]"]);
  });
});

describe("providers", () => {
  it.each<[string, string, string[]]>([
    ["an http issuer", provider('issuer: "http://login.example.com"'), ['issuer @"http://login.example.com" [write https://]']],
    ["an http issuer on loopback", provider('issuer: "http://127.0.0.1:9000"'), []],
    ["an http issuer on *.localhost", provider('issuer: "http://idp.postern.localhost:9000/x"'), []],
    ["a host that only looks like loopback", provider('issuer: "http://127.0.0.1.example.com"'), ['issuer @"http://127.0.0.1.example.com" [write https://]']],
    ["a placeholder tenant", provider('issuer: "https://login.microsoftonline.com/{tenantid}/v2.0"'), ["issuer @\"https://login.microsoftonline.com/{tenantid}/v2.0\" [write your tenant's own issuer, for example https://login.microsoftonline.com/<tenant id>/v2.0]"]],
    ["a directory by address without domains", provider('issuer: "https://a.test", scim: { token: { secret: S }, match: email }'), ["scim @email [list the domains that this provider may vouch for]"]],
    ["a directory, and a claim of groups that nobody reads", provider('issuer: "https://a.test", groups_claim: groups, scim: { token: { secret: S } }'), ["warning: no_effect @groups_claim [do not rely on it]"]],
    ["a directory's token in clear", provider('issuer: "https://a.test", scim: { token: s3cret }'), ["type @s3cret"]],
    ["a directory's token that is Postern's own", provider('issuer: "https://a.test", scim: { token: { secret: POSTERN_SETUP_KEY } }'), ["format @POSTERN_SETUP_KEY"]],
    ["two directories with one token", base("").replace(PROVIDER, PROVIDER.replace(" }", ", scim: { token: { secret: S } } }") + PROVIDER.replace(" }", ", scim: { token: { secret: S } } }").replace("id: corp", "id: second").replace("login.", "second.")), ["scim @{ [give each a token of its own]"]],
    ["events about nobody's people", base('signals: [{ id: feed, issuer: "https://s.test", jwks_uri: "https://s.test/k", audience: us, provider: crop }]\n'), ['dangling @crop [did you mean "corp"?]']],
    ["two sources of one name", base(`signals:\n${'  - { id: feed, issuer: "https://s.test", jwks_uri: "https://s.test/k", audience: us, provider: corp }\n'.repeat(2)}`), ["duplicate_id @feed [rename one of them]"]],
    ["keys by http from elsewhere", base('signals: [{ id: feed, issuer: "https://s.test", jwks_uri: "http://s.test/k", audience: us, provider: corp }]\n'), ['issuer @"http://s.test/k" [write https://]']],
    ["trust_email without domains", provider('issuer: "https://a.test", trust_email: true'), ["trust_email @true [list the domains that this provider may vouch for]"]],
    ["trust_email of many tenants", provider('issuer: "https://login.microsoftonline.com/common/v2.0", email_domains: [a.test], trust_email: true'), ["trust_email @true [leave trust_email out]"]],
    ["trust_email of one tenant", provider('issuer: "https://login.microsoftonline.com/8c0/v2.0", email_domains: [a.test], trust_email: true'), []],
    ["a secret's value", provider('issuer: "https://a.test", client_secret: "hunter2"'), ['type @"hunter2"']],
    ["client_auth without a secret", provider('issuer: "https://a.test", client_auth: client_secret_post'), ["client_auth @client_secret_post"]],
    ["scopes without openid", provider('issuer: "https://a.test", scopes: [email]'), ["scopes @["]],
  ])("%s", (_, text, expected) => {
    expect(faultsOf(text)).toEqual(expected);
  });

  it("a secret written in place of its name is not repeated in the problem", () => {
    const parsed = parseDocument(provider('issuer: "https://a.test", client_secret: "hunter2-canary"'));
    expect(JSON.stringify(parsed)).not.toContain("hunter2-canary");
  });
});

describe("sites", () => {
  it("a key that is read and not used: trust_key", () => {
    const key = "A".repeat(43);
    expect(faultsOf(HEAD.replace("{ id: berlin }", `{ id: berlin, trust_key: ${key} }`))).toEqual(["warning: no_effect @trust_key [do not rely on it]"]);
  });
});

describe("apps", () => {
  it.each<[string, string, string[]]>([
    ["P23: a reserved header", app(`${up}, headers: { request: { set: { X-Forwarded-For: a } } }`), ["reserved_header @X-Forwarded-For"]],
    ["P23: a reserved header to remove", app(`${up}, headers: { response: { remove: [Set-Cookie] } }`), ["reserved_header @Set-Cookie"]],
    ["P23: a line break in a value", app(`${up}, headers: { request: { set: { X-A: "a\\r\\nX-B: b" } } }`), ["header_value @\"a\\r\\nX-B: b\""]],
    ["P23: an unknown variable", app(`${up}, headers: { request: { set: { X-A: "\${user.mail}" } } }`), ['header_value @"${user.mail}" [did you mean "user.email"?]']],
    ["P23: known variables", app(`${up}, headers: { request: { set: { X-A: "\${user.email} \${user.sub} \${user.groups}" } } }`), []],
    ["a key that is read and not used: tls.client_cert", app('upstream: "https://10.0.0.5", tls: { client_cert: { secret: CERT } }'), ["warning: no_effect @client_cert [do not rely on it]"]],
    ["P24: verify: false warns", app('upstream: "https://10.0.0.5", tls: { verify: false }'), ["warning: tls_unverified @false"]],
    ["P24: insecure_paths with http.paths", base(`apps:\n  - { id: wiki, site: berlin, ${up}, insecure_paths: encoded_slash }\npolicies: [{ id: a, effect: deny, apps: wiki, when: { group: x }, http: { paths: [/x] } }]\n`), ["insecure_paths @[ [remove insecure_paths from the app, or write except: [wiki]]"]],
    ["P24: insecure_paths without http.paths", base(`apps:\n  - { id: wiki, site: berlin, ${up}, insecure_paths: encoded_slash }\npolicies: [{ id: a, effect: deny, apps: wiki, when: { group: x }, http: { methods: [GET] } }]\n`), []],
    ["P25: an upstream with a path", app('upstream: "http://a/b"'), ['format @"http://a/b"']],
    ["P25: an upstream with a user", app('upstream: "http://u:p@a"'), ['format @"http://u:p@a"']],
    ["P25: tcp without a port", app('upstream: "tcp://a"'), ['upstream @"tcp://a" [write for example tcp://10.0.0.9:5432]']],
    ["P25: http and tcp in one app", app('upstream: ["tcp://a:1", "http://a:1"]'), ["upstream @[ [make two apps]"]],
    ["P25: a port out of range", app('upstream: "http://a:99999"'), ['upstream @"http://a:99999" [write for example tcp://10.0.0.9:5432]']],
    ["P21: cors on a tcp app", app('upstream: "tcp://a:1", cors: { origins: "https://a.test" }'), ["tcp_app @cors [remove it]"]],
    ["P22: an origin with a path", app(`${up}, websocket: { origins: ["https://a.test/x"] }`), ['format @"https://a.test/x"']],
  ])("%s", (_, text, expected) => {
    expect(faultsOf(text)).toEqual(expected);
  });
});
