import { describe, expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { readSiteConfig } from "../../connector/site-config.ts";
import { WIKI, must } from "./test-edge.ts";

describe("the site's configuration", () => {
  it("has P25's defaults", () => {
    const app = must(readSiteConfig({ apps: [{ id: "wiki", upstreams: ["http://10.0.0.5"] }] })).apps.get(WIKI);
    expect(app).toMatchObject({ connectMs: 5_000, firstByteMs: 60_000, idleMs: undefined, host: "forwarded", upstreams: [{ scheme: "http", endpoint: { host: "10.0.0.5", port: 80 } }] });
  });

  it.each<[string, Json, readonly number[]]>([
    ["one status", 204, [204]],
    ["several", [200, 204], [200, 204]],
  ])("a health check expects %s (P25)", (_title, written, statuses) => {
    const app = must(readSiteConfig({ apps: [{ id: "wiki", upstreams: ["http://10.0.0.5"], health: { path: "/", every: 5_000, expect: written } }] })).apps.get(WIKI);
    expect(app?.health?.expect).toEqual(statuses);
  });

  it.each<[string, Json]>([
    ["a path in the upstream", { upstreams: ["http://10.0.0.5/admin"] }],
    ["credentials in the upstream", { upstreams: ["http://u:p@10.0.0.5"] }],
    ["an upstream in hexadecimal (row 94)", { upstreams: ["http://0x7f.1"] }],
    ["an upstream as one number (row 94)", { upstreams: ["http://2130706433"] }],
    ["an upstream with a zone id (row 94)", { upstreams: ["http://[fe80::1%25lo]:80"] }],
    ["tcp without a port", { upstreams: ["tcp://10.0.0.5"] }],
    ["another scheme", { upstreams: ["file:///etc/passwd"] }],
    ["no upstream", { upstreams: [] }],
    ["tcp beside http", { upstreams: ["tcp://10.0.0.5:1", "http://10.0.0.5"] }],
    ["a literal host with a line break", { upstreams: ["http://10.0.0.5"], host: { literal: "a\r\nX: y" } }],
    ["a health path with a line break", { upstreams: ["http://10.0.0.5"], health: { path: "/a\r\n", every: 5_000 } }],
    ["verify of another type", { upstreams: ["http://10.0.0.5"], tls: { verify: "false" } }],
    ["an empty list of pins, which would pin nothing", { upstreams: ["https://10.0.0.5"], tls: { pin: [] } }],
    ["a pin among several that is none", { upstreams: ["https://10.0.0.5"], tls: { pin: [`${"A".repeat(43)}=`, "x"] } }],
    ["no status that a health check expects", { upstreams: ["http://10.0.0.5"], health: { path: "/", every: 5_000, expect: [] } }],
    ["a timeout of nothing", { upstreams: ["http://10.0.0.5"], timeouts: { connect: 0 } }],
  ])("leaves out an app with %s, and keeps the others", (_title, spoilt) => {
    const read = must(readSiteConfig({ apps: [{ id: "pay", ...(spoilt as object) }, { id: "wiki", upstreams: ["http://10.0.0.5"] }] }));
    expect([...read.apps.keys()]).toEqual(["wiki"]);
    expect(read.leftOut).toBe(1);
  });

  it.each([[null], [[]], [{ apps: {} }], ["x"]])("%j is no configuration", (value) => {
    expect(readSiteConfig(value)).toBeUndefined();
  });
});
