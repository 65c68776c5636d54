/** The Worker as wrangler.toml describes it, loaded inside workerd. */
import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { MAX_SOCKET_PATH_CHARS } from "../../worker/canonical.ts";

describe("the address of a WebSocket", () => {
  it("has room for a path of 8 KiB and any query; a longer path is 414, before anybody is asked", async () => {
    const upgrade = { upgrade: "websocket", "sec-websocket-key": `${"A".repeat(22)}==`, "sec-websocket-version": "13", accept: "application/json" };
    const status = async (target: string, headers = {}): Promise<number> => (await exports.default.fetch(`https://wiki.access.example.com/${target}`, { headers, redirect: "manual" })).status;
    const fits = "a".repeat(MAX_SOCKET_PATH_CHARS - 1);
    expect(await status(`${fits}a`, upgrade)).toBe(414);
    expect(await status(fits, upgrade)).not.toBe(414);
    expect(await status(`x?${fits}a`, upgrade)).not.toBe(414);
    expect(await status(`${fits}a`)).not.toBe(414);
  });
});

describe("/.postern/ready", () => {
  it("answers before any policy is live, with a request id", async () => {
    const answer = await exports.default.fetch("https://access.example.com/.postern/ready");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("postern-request-id")).toMatch(/^r_[A-Za-z0-9_-]{22}$/);
  });

  it("lets nobody in while no policy is live (promise 1)", async () => {
    for (const host of ["access.example.com", "wiki.access.example.com"]) {
      const answer = await exports.default.fetch(`https://${host}/`, { headers: { accept: "application/json" }, redirect: "manual" });
      expect(answer.status, host).not.toBe(200);
    }
  });
});
