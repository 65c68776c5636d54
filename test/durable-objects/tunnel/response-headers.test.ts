import { describe, expect, it } from "vitest";
import { responseHeaders, siblingSafeCookie } from "../../../durable-objects/tunnel/response-headers.ts";
import type { HeaderField } from "../../../protocol/head.ts";

const NO_RULES = { set: {}, remove: [] };
const names = (fields: readonly HeaderField[]): string[] => responseHeaders(fields, NO_RULES).map(([name]) => name);

describe("a cookie of an app (M19)", () => {
  it.each([
    ["stays as it is", "a=1; Path=/; Secure; HttpOnly; SameSite=Lax", "a=1; Path=/; Secure; HttpOnly; SameSite=Lax"],
    ["loses its Domain", "a=1; Domain=access.example.com; Path=/", "a=1; Path=/"],
    ["loses its Domain however it is spelt", "a=1;dOmAiN = .example.com;Path=/", "a=1;Path=/"],
    ["loses every Domain", "a=1; Domain=x; Domain=y", "a=1"],
    ["loses a Domain without a value", "a=1; Domain", "a=1"],
    ["keeps a value that speaks of a domain", "a=Domain; Path=/domain", "a=Domain; Path=/domain"],
    ["may not use our name", "postern=1", undefined],
    ["may not use our prefix", "__Host-postern=1; Path=/; Secure", undefined],
    ["may not use our name under another prefix", "__Secure-Postern-session=1", undefined],
    ["may not hide our name behind blanks", "  __Host-postern =1", undefined],
    ["may have a name that only contains ours", "my-postern=1", "my-postern=1"],
  ])("%s", (_title, given, wanted) => {
    expect(siblingSafeCookie(given)).toBe(wanted);
  });
});

describe("what of an answer reaches the browser", () => {
  it("nothing hop-by-hop, nor what Connection names (RFC 9110 §7.6.1)", () => {
    expect(names([["Connection", "keep-alive, X-Hop"], ["Keep-Alive", "5"], ["Transfer-Encoding", "chunked"], ["x-hop", "1"], ["Upgrade", "h2c"], ["Trailer", "x"], ["TE", "x"], ["Proxy-Connection", "x"], ["ETag", '"1"']])).toEqual(["ETag"]);
  });

  it("nothing in our names: no app can pose as the edge or as a refusal", () => {
    expect(names([["Postern-Refusal", "{}"], ["POSTERN-Request-Id", "r_x"], ["X-Postern", "fine"]])).toEqual(["X-Postern"]);
  });

  it("no wider scope for a service worker (M19)", () => {
    expect(names([["Service-Worker-Allowed", "/"], ["Cache-Control", "no-store"]])).toEqual(["Cache-Control"]);
  });

  it("several cookies and repeated headers, in their order", () => {
    expect(responseHeaders([["Set-Cookie", "a=1"], ["Vary", "a"], ["Set-Cookie", "b=2; Domain=x"], ["Vary", "b"]], NO_RULES)).toEqual([["Set-Cookie", "a=1"], ["Vary", "a"], ["Set-Cookie", "b=2"], ["Vary", "b"]]);
  });

  it("the document's own rules: removed, set in place of the app's (P23)", () => {
    const rules = { set: { "x-frame-options": "DENY" }, remove: ["server"] };
    expect(responseHeaders([["Server", "x"], ["X-Frame-Options", "ALLOWALL"], ["Age", "1"]], rules)).toEqual([["Age", "1"], ["x-frame-options", "DENY"]]);
  });

  const rewriteOrigin = { from: ["http://10.0.0.5:8080"], to: "https://wiki.access.example.com" };
  it.each([
    ["the app's own origin becomes the public one", "http://10.0.0.5:8080/a?b#c", "https://wiki.access.example.com/a?b#c"],
    ["also without a path", "http://10.0.0.5:8080", "https://wiki.access.example.com"],
    ["a longer port is another origin", "http://10.0.0.5:80801/a", "http://10.0.0.5:80801/a"],
    ["another host stays", "https://login.example.com/", "https://login.example.com/"],
    ["a relative one stays", "/a", "/a"],
  ])("Location: %s", (_title, given, wanted) => {
    expect(responseHeaders([["Location", given]], { ...NO_RULES, rewriteOrigin })).toEqual([["Location", wanted]]);
  });
});
