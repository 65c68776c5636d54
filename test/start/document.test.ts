/** What a local run reads out of a policy document and what it changes in it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { localDocument } from "../../start/document.ts";

const demo = readFileSync(join(import.meta.dirname, "../../start/demo.yaml"), "utf8");

describe("localDocument", () => {
  it("reads the demo: sites, hosts, parts, secrets and its operator service", () => {
    const document = localDocument(demo, "demo.yaml");
    expect(document.domain).toBe("postern.localhost");
    expect(document.sites).toEqual(["office"]);
    expect(document.apps).toContainEqual({ id: "hello", host: "hello.postern.localhost", protocol: "http" });
    expect([...document.demoParts].sort()).toEqual(["canary", "clock", "echo", "hello", "idp", "tcp-echo"]);
    expect(document.secretNames).toEqual(["DEMO_CLIENT_SECRET"]);
    expect(document.namesLocalOperator).toBe(true);
    expect(document.canarySites).toEqual(["office"]);
  });

  it("puts real addresses in place of demo names and keeps the comments", () => {
    const text = localDocument(demo, "demo.yaml").render({ idp: 4001, hello: 4002, echo: 4003, clock: 4004, "tcp-echo": 4005, canary: 4006 });
    expect(text).toContain('issuer: "http://127.0.0.1:4001"');
    expect(text).toContain('"http://127.0.0.1:4003"');
    expect(text).toContain('"tcp://127.0.0.1:4005"');
    for (const scheme of ["http", "tcp"]) expect(text).toContain(`"${scheme}://127.0.0.1:4006"`);
    expect(text).not.toMatch(/^[^#]*demo\.localhost/m);
    expect(text).toContain("# alice is staff");
  });

  it.each([
    { domain: "access.example.com", served: "postern.localhost" },
    { domain: "access.localhost", served: "access.localhost" },
    { domain: "localhost.example.com", served: "postern.localhost" },
    { domain: "notlocalhost.net", served: "postern.localhost" },
  ])("serves domain $domain as $served", ({ domain, served }) => {
    const document = localDocument(`version: 1\ndomain: ${domain}\nsites: [{ id: a }]\napps: [{ id: wiki, site: a, upstream: "http://10.0.0.5" }]\n`, "x.yaml");
    expect(document.domain).toBe(served);
    expect(document.apps).toEqual([{ id: "wiki", host: `wiki.${served}`, protocol: "http" }]);
    expect(document.render({})).toContain(`domain: ${served}`);
  });

  it("starts no demo part that the file does not name, and leaves a named hostname alone", () => {
    const document = localDocument('version: 1\ndomain: x.localhost\nsites: [{ id: s }]\napps: [{ id: a, site: s, upstream: "http://10.0.0.1", hostname: a.example.com }]\n', "x.yaml");
    expect(document.demoParts).toEqual([]);
    expect(document.apps).toEqual([{ id: "a", host: "a.example.com", protocol: "http" }]);
    expect(document.namesLocalOperator).toBe(false);
  });

  it.each([
    { why: "no YAML", text: "version: [1" },
    { why: "a key twice", text: "domain: a\ndomain: b\n" },
    { why: "no domain", text: "version: 1\n" },
    { why: "an unknown demo part", text: 'version: 1\ndomain: a.localhost\nsites: [{ id: s }]\napps: [{ id: x, site: s, upstream: "http://nothing.demo.localhost" }]\n' },
    { why: "an unknown key", text: "version: 1\ndomain: a.localhost\nsitess: []\n", where: "x.yaml:3:" },
  ])("refuses $why with a next step", ({ text, where = "" }) => {
    expect(() => localDocument(text, "x.yaml")).toThrow(expect.objectContaining({ name: "StartError", message: expect.stringContaining(where), fix: expect.stringMatching(/./) }));
  });
});
