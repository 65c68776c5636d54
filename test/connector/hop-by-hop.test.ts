import { describe, expect, it } from "vitest";
import { endToEnd, toPairs } from "../../connector/hop-by-hop.ts";

describe("hop-by-hop headers (RFC 9110 §7.6.1)", () => {
  it("drops them and what Connection names, keeps order, case and duplicates of the rest", () => {
    expect(
      endToEnd([
        ["X-First", "1"], ["connection", "close, X-Private"], ["x-private", "p"], ["Keep-Alive", "timeout=5"], ["TE", "trailers"],
        ["Transfer-Encoding", "chunked"], ["Upgrade", "h2c"], ["Set-Cookie", "a=1"], ["Proxy-Authenticate", "Basic"], ["Set-Cookie", "b=2"],
      ]),
    ).toEqual([["X-First", "1"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]]);
  });

  it.each(["X-Postern-Assertion", "X-Forwarded-For", "Content-Length", "Host", "Cookie", "Authorization"])("does not let Connection name away %s (class C)", (name) => {
    expect(endToEnd([["Connection", name.toLowerCase()], [name, "v"]])).toEqual([[name, "v"]]);
  });

  it("reads node's flat list", () => {
    expect(toPairs(["A", "1", "a", "2"])).toEqual([["A", "1"], ["a", "2"]]);
  });
});
