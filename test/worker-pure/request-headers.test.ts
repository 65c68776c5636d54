/** What of a client's headers an app gets (class C, P23): nothing that claims what only the edge may say. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ForwardedAs, foreignCookies, forwardedHeaders, isReserved } from "../../worker/request-headers.ts";

const AS: ForwardedAs = {
  host: "wiki.example.com",
  scheme: "https",
  clientIp: "192.0.2.1",
  user: { sub: "u_1", email: "alice@example.com", groups: ["corp:staff", "corp:dev"] },
  stripAuthorization: false,
  websocket: false,
  rules: { set: {}, remove: [] },
};
const OURS = [["Host", "wiki.example.com"], ["X-Forwarded-For", "192.0.2.1"], ["X-Forwarded-Proto", "https"], ["X-Forwarded-Host", "wiki.example.com"], ["X-Postern-User", "alice@example.com"]];
const forward = (headers: [string, string][], as: Partial<ForwardedAs> = {}): (readonly [string, string])[] => forwardedHeaders([...new Headers(headers)], { ...AS, ...as });
/** Only what came from the client. */
const kept = (headers: [string, string][], as: Partial<ForwardedAs> = {}): (readonly [string, string])[] =>
  forward(headers, as).filter((one) => !OURS.some(([name, value]) => name === one[0] && value === one[1]));

describe("forwardedHeaders", () => {
  it("says where the request came from, and who asks, once", () => expect(forward([])).toEqual(OURS));

  it("says no user and no address that are not known", () => {
    expect(forward([], { user: undefined, clientIp: "" })).toEqual([["Host", "wiki.example.com"], ["X-Forwarded-Proto", "https"], ["X-Forwarded-Host", "wiki.example.com"]]);
  });

  it("names a user without an email by subject, and writes nothing but printable ASCII", () => {
    expect(forward([], { user: { sub: "service:ci", groups: [] } })).toContainEqual(["X-Postern-User", "service:ci"]);
    expect(forward([], { user: { sub: "u", email: "ä\r\nX: y@e.com", groups: [] } })).toContainEqual(["X-Postern-User", "%C3%A4%0D%0AX: y@e.com"]);
  });

  it.each(["x-postern-user", "x_postern_user", "x.postern.user", "x-postern_assertion", "X~Postern~User", "postern-open", "postern-connect", "postern-refusal", "x-forwarded-anything", "x_forwarded_for", "cf-ray", "cf_connecting_ip", "forwarded", "true_client_ip", "x-http-method-override", "x_auth_email", "transfer-encoding", "transfer_encoding", "te", "expect", "content_length"])("%s never passes", (name) => {
    expect(isReserved(name)).toBe(true);
    expect(kept([[name, "x"]])).toEqual([]);
  });

  it.each(["accept", "x-users", "xpostern-user", "forwarded-by-me", "content-type", "range", "if-none-match", "origin", "referer", "x-requested-with", "constructor"])("%s passes", (name) => expect(kept([[name, "x"]])).toEqual([[name, "x"]]));

  it("drops what Connection names, but never ours", () => expect(forward([["connection", "X-Mine, X-Postern-User, host"], ["x-mine", "1"]])).toEqual(OURS));

  it("drops our Authorization only", () => {
    expect(kept([["authorization", "Bearer pst"]], { stripAuthorization: true })).toEqual([]);
    expect(kept([["authorization", "Basic x"]])).toEqual([["authorization", "Basic x"]]);
  });

  it("leaves compression of messages to each hop", () => expect(kept([["sec-websocket-extensions", "permessage-deflate"], ["sec-websocket-protocol", "a, b"]], { websocket: true })).toEqual([["sec-websocket-protocol", "a, b"]]));

  it("sets and removes what the app says, in every spelling of the name (P23)", () => {
    const rules = { set: { "x-team": "a ${user.email} ${user.groups}", "x-sub": "${user.sub}" }, remove: ["x-debug"] };
    expect(kept([["x-team", "f"], ["x_team", "f"], ["X.Team", "f"], ["x_debug", "f"], ["x-sub", "f"]], { rules })).toEqual([["x-team", "a alice@example.com corp:staff,corp:dev"], ["x-sub", "u_1"]]);
    expect(kept([["x_team", "f"]], { rules, user: { sub: "service:ci", groups: [] } }).filter(([name]) => name === "x-team"), "an unknown value is not sent").toEqual([]);
  });

  it("carries UTF-8 one character a byte", () => expect(kept([["x-name", "é"]])).toEqual([["x-name", "\xc3\xa9"]]));

  it("lets nothing reserved through, whatever the separators (property)", () => {
    const separator = fc.constantFrom("-", "_", ".", "~", "!", "+", "'");
    const reserved = fc.constantFrom(["x", "postern", "user"], ["x", "forwarded", "for"], ["x", "auth", "email"], ["true", "client", "ip"], ["cf", "connecting", "ip"], ["remote", "user"], ["x", "http", "method", "override"]);
    fc.assert(
      fc.property(reserved, fc.array(separator, { minLength: 4, maxLength: 4 }), (words, separators) => {
        const name = words.map((word, i) => (i === 0 ? word : `${separators[i] ?? "-"}${word}`)).join("");
        expect(kept([[name, "forged"]])).toEqual([]);
      }),
      { seed: 3, numRuns: 500 },
    );
  });
});

describe("foreignCookies", () => {
  it.each([
    ["a=1; b=2", "a=1; b=2"],
    ["a=1; __Host-postern=x; b=2", "a=1; b=2"],
    ["__host-POSTERN-nonce=x", undefined],
    ["__Secure-postern=x; postern_a=y; a=postern", "a=postern"],
    ["a=1, __Host-postern=x; b=2", "b=2"],
    ["  __Host-postern  =x;a=1", "a=1"],
    ["=__Host-postern", undefined],
    [";;a=1;", "a=1"],
    ["", undefined],
  ])("of %j leaves %j", (header, left) => expect(foreignCookies(header)).toBe(left));
});
