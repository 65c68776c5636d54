/** What of an app's answer a browser gets: nothing hop-by-hop, nothing in our names, no cookie for a sibling (M19). */
import { describe, expect, it } from "vitest";
import { type ResponseRules, responseHeaders, siblingSafeCookie } from "../../durable-objects/tunnel/response-headers.ts";

const NO_RULES: ResponseRules = { set: {}, remove: [] };
const out = (fields: [string, string][], rules: Partial<ResponseRules> = {}): [string, string][] => responseHeaders(fields, { ...NO_RULES, ...rules });

describe("responseHeaders", () => {
  it("keeps order, spelling and repeats of the rest", () => {
    const fields: [string, string][] = [["X-B", "1"], ["Content-Type", "text/plain"], ["x-b", "2"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"], ["Constructor", "c"]];
    expect(out(fields)).toEqual(fields);
  });

  it.each(["Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Proxy-Connection", "Proxy-Authenticate", "Postern-Refusal", "POSTERN-Open", "postern-request-id", "Service-Worker-Allowed"])("drops %s", (name) => expect(out([[name, "x"], ["A", "b"]])).toEqual([["A", "b"]]));

  it("drops what Connection names", () => expect(out([["Connection", "close, X-Gone"], ["x-gone", "1"], ["X-Kept", "2"]])).toEqual([["X-Kept", "2"]]));

  it("sets and removes what the app says (P23)", () => expect(out([["X-A", "1"], ["X-B", "2"]], { set: { "x-a": "new" }, remove: ["x-b"] })).toEqual([["x-a", "new"]]));

  it.each([
    ["http://10.0.0.5:8080/a?b", "https://wiki.example.com/a?b"],
    ["http://10.0.0.5:8080", "https://wiki.example.com"],
    ["http://10.0.0.5:80801/a", "http://10.0.0.5:80801/a"],
    ["http://10.0.0.5:8080.evil/a", "http://10.0.0.5:8080.evil/a"],
    ["/relative", "/relative"],
    ["https://elsewhere/", "https://elsewhere/"],
  ])("turns the app's own name in Location %s to %s", (value, location) =>
    expect(out([["Location", value]], { rewriteOrigin: { from: ["http://10.0.0.5:8080"], to: "https://wiki.example.com" } })).toEqual([["Location", location]]));

  it("leaves Location alone where the app knows its public name", () => expect(out([["Location", "http://10.0.0.5:8080/"]])).toEqual([["Location", "http://10.0.0.5:8080/"]]));

  it.each([
    ["UTF-8 becomes the text that is written as the same bytes", "caf\xc3\xa9", "café"],
    ["Latin-1 stays the characters that it was", "caf\xe9", "caf\xe9"],
    ["ASCII is not looked at", "cafe", "cafe"],
  ])("%s", (_title, wire, text) => expect(out([["X-A", wire]])).toEqual([["X-A", text]]));
});

describe("siblingSafeCookie (M19)", () => {
  it.each([
    ["a=1; Domain=example.com; Path=/", "a=1; Path=/"],
    ["a=1;domain = .example.com;Secure", "a=1;Secure"],
    ["a=1; Domain", "a=1"],
    ["a=domain=x; Path=/", "a=domain=x; Path=/"],
    ["postern", undefined],
    ["__Host-postern=1", undefined],
    ["__HOST-Postern-nonce=1; Path=/", undefined],
    ["__Secure-postern=1", undefined],
    ["Postern_anything=1", undefined],
    ["=__Host-postern=1", undefined],
    ["==postern=1", undefined],
    [" \t__Host-postern=1", undefined],
    ["\u00a0__Host-postern=1", undefined],
    ["=a", "=a"],
    ["my-postern=1", "my-postern=1"],
  ])("%j is %j", (value, kept) => expect(siblingSafeCookie(value)).toBe(kept));
});
