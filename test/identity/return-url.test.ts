import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { safeReturnUrl } from "../../identity/return-url.ts";

const OURS = new Set(["access.example.com", "wiki.access.example.com"]);
const places = { home: new URL("https://access.example.com"), isOurs: (host: string) => OURS.has(host) };
const HOME = "https://access.example.com/";

describe("return targets (class E, open redirects)", () => {
  it.each([
    ["/", HOME],
    ["/apps?x=1#y", `${HOME}apps?x=1#y`],
    ["/@alice", `${HOME}@alice`],
    ["/a?next=https://evil.example", `${HOME}a?next=https://evil.example`],
    ["/a?q={x}|y'", `${HOME}a?q={x}|y%27`],
    ["/group%2Fproject", `${HOME}group%2Fproject`],
    ["https://wiki.access.example.com", "https://wiki.access.example.com/"],
    ["https://wiki.access.example.com/a%20b?c=d", "https://wiki.access.example.com/a%20b?c=d"],
  ])("%s is kept", (target, expected) => expect(safeReturnUrl(target, places)).toBe(expected));

  it.each([
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "https:///evil.example",
    "http:evil",
    "%09//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/%09/evil.example",
    "/%2f/evil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%5C%5Cevil.example",
    "/.//evil.example/%0d%0aSet-Cookie:x",
    "\u0000//evil.example",
    " //evil.example",
    " https://wiki.access.example.com",
    "https://wiki.access.example.com\t.evil.example",
    "@@evil.example",
    "@evil.example",
    "https://wiki.access.example.com@evil.example",
    "https://evil.example@wiki.access.example.com",
    "https://user:pass@wiki.access.example.com/",
    "https://evil.example/wiki.access.example.com",
    "https://wiki.access.example.com.evil.example",
    "https://wiki.access.example.com.",
    "https://evilaccess.example.com",
    "https://WIKI.access.example.com",
    "https://wiki.access.example.com:443/",
    "https://wiki.access.example.com:8443/",
    "http://wiki.access.example.com/",
    "HTTPS://wiki.access.example.com/",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "wiki.access.example.com",
    "?x",
    "#x",
    ".",
    "",
    "https://wiki.access.example.com/\u202e",
    "https://wıki.access.example.com/",
    `/${"a".repeat(2_000)}`,
  ])("%j becomes the home page", (target) => expect(safeReturnUrl(target, places)).toBe(HOME));
  it.each([null, undefined])("%s becomes the home page", (target) => expect(safeReturnUrl(target, places)).toBe(HOME));

  it("whatever the text, the answer is on one of our hosts, https, and safe to judge again", () => {
    const piece = fc.constantFrom("/", "\\", "https:", "//", "evil.example", "wiki.access.example.com", "@", ":", "%2f", "%5c", "\t", "?", "#", ".", "a", "[", "]");
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.array(piece, { maxLength: 8 }).map((all) => all.join(""))), (text) => {
        const answer = safeReturnUrl(text, places);
        const url = new URL(answer);
        expect(url.protocol).toBe("https:");
        expect(OURS.has(url.host)).toBe(true);
        expect(url.username + url.password).toBe("");
        expect(safeReturnUrl(answer, places)).toBe(answer);
      }),
      { numRuns: 300 },
    );
  });
});
