/** The workerd configuration that is made from wrangler.toml. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { workerSettings } from "../../start/worker-settings.ts";
import { capnpText, workerdConfig } from "../../start/workerd-config.ts";

const wrangler = {
  name: "postern",
  main: "/somewhere/worker/index.ts",
  compatibility_date: "2026-10-23",
  compatibility_flags: ["nodejs_compat"],
  vars: { POSTERN_EDGE_KIND: "cloudflare" },
  durable_objects: { bindings: [{ name: "USER", class_name: "User" }] },
  migrations: [{ tag: "v1", new_sqlite_classes: ["User"] }],
};
const layout = {
  bundle: { settings: workerSettings(wrangler), modules: [{ name: "index.js", kind: "esModule" as const }] },
  modulesFolder: "edge",
  objectsFolder: "/state/objects",
  assetsFolder: "/state/edge/assets",
  vars: { POSTERN_EDGE_KIND: "local" },
  secretNames: ["POSTERN_SETUP_KEY"],
};

describe("workerdConfig", () => {
  it("overrides the edge kind and names secrets without their values", () => {
    const text = workerdConfig(layout);
    expect(text).toContain('(name = "POSTERN_EDGE_KIND", text = "local")');
    expect(text).not.toContain('"cloudflare"');
    expect(text).toContain('(name = "POSTERN_SETUP_KEY", fromEnvironment = "POSTERN_SETUP_KEY")');
    expect(text).toContain('(className = "User", uniqueKey = "postern-User", enableSql = true)');
  });

  it("has a facts header only when one is asked for", () => {
    expect(workerdConfig(layout)).not.toContain("cfBlobHeader");
    expect(workerdConfig({ ...layout, factsHeader: "x-facts-1" })).toContain('http = (cfBlobHeader = "x-facts-1")');
  });
});

describe("capnpText", () => {
  it("reads back as the same bytes and never leaves its quotes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const literal = capnpText(text);
        expect(literal).toMatch(/^"(?:[ !#-[\]-~]|\\["\\]|\\x[0-9a-f]{2})*"$/);
        const bytes = [...literal.slice(1, -1).matchAll(/\\x([0-9a-f]{2})|\\(.)|(.)/g)].map(([, hex, escaped, plain]) => (hex === undefined ? (escaped ?? plain ?? "").charCodeAt(0) : parseInt(hex, 16)));
        expect(new TextDecoder().decode(new Uint8Array(bytes))).toBe(new TextDecoder().decode(new TextEncoder().encode(text)));
      }),
    );
  });
});

describe("workerSettings", () => {
  it("refuses state that is no Durable Object (promise 11)", () => {
    expect(() => workerSettings({ ...wrangler, kv_namespaces: [{ binding: "KV" }] })).toThrow(/kv_namespaces/);
    expect(workerSettings({ ...wrangler, kv_namespaces: [] }).objects).toEqual([{ binding: "USER", className: "User", sqlite: true }]);
  });
});
