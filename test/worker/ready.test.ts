/** The Worker as wrangler.toml describes it, loaded inside workerd. */
import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";

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
