import { describe, expect, it } from "vitest";
import { addressKind, canonicalHost } from "../../connector/address-guard.ts";
import { formatEndpoint, mayDial, parseEndpoint } from "../../connector/allow-list.ts";
import type { AllowRule } from "../../connector/allow-list.ts";

const list = (...texts: string[]): AllowRule => ({
  kind: "list",
  endpoints: texts.map((text) => {
    const endpoint = parseEndpoint(text);
    if (endpoint === undefined) throw new Error(`test names a bad endpoint ${text}`);
    return endpoint;
  }),
});
const siteConfig: AllowRule = { kind: "site_config" };

describe("the kind of an address (row 94)", () => {
  it.each([
    ["10.0.0.5", "ordinary"],
    ["192.168.1.1", "ordinary"],
    ["8.8.8.8", "ordinary"],
    ["fd12:3456::1", "ordinary"],
    ["2606:4700::1111", "ordinary"],
    ["127.0.0.1", "loopback"],
    ["127.255.255.254", "loopback"],
    ["::1", "loopback"],
    ["0:0:0:0:0:0:0:1", "loopback"],
    ["0.0.0.0", "unspecified"],
    ["0.1.2.3", "unspecified"],
    ["::", "unspecified"],
    ["169.254.1.1", "link_local"],
    ["fe80::1", "link_local"],
    ["169.254.169.254", "metadata"],
    ["100.100.100.200", "metadata"],
    ["168.63.129.16", "metadata"],
    ["fd00:ec2::254", "metadata"],
    ["fd20:ce::254", "metadata"],
    ["224.0.0.1", "multicast"],
    ["255.255.255.255", "multicast"],
    ["ff02::1", "multicast"],
    ["::ffff:127.0.0.1", "embedded"],
    ["::ffff:7f00:1", "embedded"],
    ["::ffff:10.0.0.5", "embedded"],
    ["::127.0.0.1", "embedded"],
    ["64:ff9b::a9fe:a9fe", "embedded"],
    ["2002:7f00:1::", "embedded"],
  ])("%s is %s", (address, kind) => {
    expect(addressKind(address)).toBe(kind);
  });

  it.each(["fe80::1%lo", "fe80::1%25lo", "0x7f.1", "2130706433", "0177.0.0.1", "127.1", "example.com", ""])("%s is no plain address", (text) => {
    expect(addressKind(text)).toBeUndefined();
  });
});

describe("the one spelling of a host (row 94)", () => {
  it.each([
    ["Wiki.Internal", "wiki.internal"],
    ["10.0.0.5", "10.0.0.5"],
    ["[::1]", "::1"],
    ["[0:0:0:0:0:0:0:1]", "::1"],
    ["db_1.internal", "db_1.internal"],
    ["localhost", "localhost"],
  ])("%s is %s", (text, host) => {
    expect(canonicalHost(text)).toBe(host);
  });

  it.each(["0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "127.0.0.1.", "10.0.0.256", "a..b", "-a.example", "a b", "a/b", "a@b", "", "[fe80::1%25lo]", "[::1", "wiki.internal."])(
    "%s is refused",
    (text) => {
      expect(canonicalHost(text)).toBeUndefined();
    },
  );
});

describe("endpoints", () => {
  it.each(["10.0.0.5:8080", "wiki.internal:443", "[fd12:3456::1]:22"])("%s reads and writes alike", (text) => {
    const endpoint = parseEndpoint(text);
    expect(endpoint === undefined ? undefined : formatEndpoint(endpoint)).toBe(text);
  });

  it.each(["10.0.0.5", "10.0.0.5:0", "10.0.0.5:65536", "10.0.0.5:080", "::1:80", "http://10.0.0.5:80", ":80", "a:80x"])("%s is refused", (text) => {
    expect(parseEndpoint(text)).toBeUndefined();
  });
});

describe("what may be dialled: rule, upstream, address it resolved to (row 94)", () => {
  it.each<[string, AllowRule, string, string, string]>([
    ["an address on the list", list("10.0.0.5:8080"), "10.0.0.5:8080", "10.0.0.5", "yes"],
    ["a name on the list", list("wiki.internal:80"), "wiki.internal:80", "10.0.0.5", "yes"],
    ["another port", list("10.0.0.5:8080"), "10.0.0.5:8081", "10.0.0.5", "not_in_allow_list"],
    ["another host", list("10.0.0.5:8080"), "10.0.0.6:8080", "10.0.0.6", "not_in_allow_list"],
    ["an empty list", { kind: "list", endpoints: [] }, "10.0.0.5:80", "10.0.0.5", "not_in_allow_list"],
    ["a name that turns to loopback", list("wiki.internal:80"), "wiki.internal:80", "127.0.0.1", "loopback"],
    ["a name that turns to metadata", list("wiki.internal:80"), "wiki.internal:80", "169.254.169.254", "metadata"],
    ["a name that turns to a mapped address", list("wiki.internal:80"), "wiki.internal:80", "::ffff:7f00:1", "embedded"],
    ["a name whose loopback address is on the list", list("wiki.internal:80", "127.0.0.1:80"), "wiki.internal:80", "127.0.0.1", "yes"],
    ["loopback named as an address", list("127.0.0.1:80"), "127.0.0.1:80", "127.0.0.1", "yes"],
    ["localhost named", list("localhost:80"), "localhost:80", "127.0.0.1", "yes"],
    ["localhost named, resolving elsewhere forbidden", list("localhost:80"), "localhost:80", "169.254.169.254", "metadata"],
    ["metadata named by the operator here", list("169.254.169.254:80"), "169.254.169.254:80", "169.254.169.254", "yes"],
    ["site config: ordinary", siteConfig, "10.0.0.5:80", "10.0.0.5", "yes"],
    ["site config: loopback spelled out", siteConfig, "127.0.0.1:80", "127.0.0.1", "yes"],
    ["site config: localhost spelled out", siteConfig, "localhost:80", "::1", "yes"],
    ["site config: a name turning to loopback", siteConfig, "wiki.internal:80", "127.0.0.1", "loopback"],
    ["site config: metadata even if spelled out", siteConfig, "169.254.169.254:80", "169.254.169.254", "metadata"],
    ["site config: unspecified even if spelled out", siteConfig, "0.0.0.0:80", "0.0.0.0", "unspecified"],
    ["a resolver that answers no address", siteConfig, "wiki.internal:80", "fe80::1%lo", "bad_host"],
  ])("%s", (_title, rule, upstream, address, expected) => {
    const endpoint = parseEndpoint(upstream);
    if (endpoint === undefined) throw new Error("bad endpoint in the table");
    const verdict = mayDial(rule, endpoint, address);
    const said = verdict.ok ? "yes" : verdict.error.kind === "forbidden_address" ? verdict.error.address : verdict.error.kind;
    expect(said).toBe(expected);
  });
});
