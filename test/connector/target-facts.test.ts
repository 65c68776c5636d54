/** What a file says of an app: ours, CycloneDX with findings, and what cannot be right. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readTargetFacts } from "../../connector/target-facts.ts";

const fixture = (name: string): string => readFileSync(join(import.meta.dirname, "cyclonedx", name), "utf8");
const read = (value: unknown): unknown => readTargetFacts(typeof value === "string" ? value : JSON.stringify(value));
const facts = (known: object): unknown => ({ ok: true, facts: known });
const bom = (more: object): object => ({ bomFormat: "CycloneDX", specVersion: "1.6", ...more });
const DIGEST = `sha256:${"0a".repeat(32)}`;

describe("a file of ours", () => {
  it.each<[unknown, object]>([
    [{}, {}],
    [{ version: "4.2.1", digest: DIGEST, critical: 0, high: 2, observed_at: "2026-11-20T10:00:00Z" }, { version: "4.2.1", digest: DIGEST, critical: 0, high: 2, at: Date.parse("2026-11-20T10:00:00Z") }],
    [{ critical: 1, observed_at: "2026-11-20T11:00:00.250+01:00" }, { critical: 1, at: Date.parse("2026-11-20T10:00:00.250Z") }],
    [`\ufeff{"high": 1}`, { high: 1 }],
  ])("%j is read", (value, known) => {
    expect(read(value)).toEqual(facts(known));
  });

  it.each<[unknown, RegExp]>([
    ["", /no JSON/],
    ["{", /no JSON/],
    ["[]", /no object/],
    ["null", /no object/],
    [{ criticals: 0 }, /a key that is none of version, digest, critical, high, observed_at/],
    [{ version: 4 }, /version is no text/],
    [{ version: "" }, /version is no text/],
    [{ version: "v".repeat(129) }, /version is no text/],
    [{ version: "1\n2" }, /version is no text/],
    [{ version: "\ud800" }, /version is no text/],
    [{ digest: "0a".repeat(32) }, /digest/],
    [{ digest: DIGEST.toUpperCase() }, /digest/],
    [{ critical: "0" }, /critical is no count/],
    [{ critical: -1 }, /critical is no count/],
    [{ high: 0.5 }, /high is no count/],
    [{ high: null }, /high is no count/],
    [{ observed_at: 1_795_000_000 }, /observed_at is no instant/],
    [{ observed_at: "yesterday" }, /observed_at is no instant/],
    [{ observed_at: "2026-11-20T10:00:00" }, /observed_at is no instant/],
    [{ observed_at: "2026-13-20T10:00:00Z" }, /observed_at is no instant/],
  ])("%j makes all of it unknown", (value, problem) => {
    expect(read(value)).toMatchObject({ ok: false, problem: expect.stringMatching(problem) as string });
  });
});

describe("a CycloneDX bill of materials", () => {
  it("of 1.5 with findings: version, SHA-256, each vulnerability by its worst rating", () => {
    expect(read(fixture("image-1.5.json"))).toEqual(
      facts({ version: "4.2.1", digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", critical: 1, high: 2, at: Date.parse("2026-11-20T08:30:00Z") }),
    );
  });

  it("of 1.6 with VEX: what somebody settled does not count, what nobody rated counts as critical", () => {
    expect(read(fixture("vex-1.6.json"))).toEqual(facts({ version: "2026.11.1-rc.2", critical: 3, high: 1, at: Date.parse("2026-11-20T09:00:00Z") }));
  });

  it.each<[string, object, object]>([
    ["without a list of vulnerabilities nobody looked", {}, {}],
    ["an empty list: nothing was found", { vulnerabilities: [] }, { critical: 0, high: 0 }],
    ["another digest only", { metadata: { component: { version: "1", hashes: [{ alg: "SHA-512", content: "ab" }] } } }, { version: "1" }],
    ["an empty version", { metadata: { component: { version: "" } } }, {}],
  ])("%s", (_, more, known) => {
    expect(read(bom(more))).toEqual(facts(known));
  });

  it.each<[object, RegExp]>([
    [{ vulnerabilities: {} }, /vulnerabilities is no list/],
    [{ vulnerabilities: [null] }, /a vulnerability is no object/],
    [{ vulnerabilities: [{ ratings: "high" }] }, /ratings is no list/],
    [{ vulnerabilities: [{ ratings: ["high"] }] }, /a rating is no object/],
    [{ vulnerabilities: [{ analysis: "resolved" }] }, /analysis is no object/],
    [{ metadata: [] }, /metadata is no object/],
    [{ metadata: { component: { version: 4 } } }, /version is no text/],
    [{ metadata: { component: { hashes: [{ alg: "SHA-256", content: "zz" }] } } }, /SHA-256/],
    [{ metadata: { timestamp: "now" } }, /timestamp is no instant/],
  ])("%j makes all of it unknown", (more, problem) => {
    expect(read(bom(more))).toMatchObject({ ok: false, problem: expect.stringMatching(problem) as string });
  });
});

it("no JSON makes reading throw, and no problem shows what the file holds", () => {
  fc.assert(
    fc.property(fc.json(), fc.jsonValue(), fc.constantFrom("metadata", "vulnerabilities", "version", "observed_at"), (raw, value, key) => {
      for (const text of [raw, JSON.stringify({ [key]: value }), JSON.stringify(bom({ [key]: value }))]) expect(typeof readTargetFacts(text).ok).toBe("boolean");
    }),
  );
  expect(JSON.stringify(read({ version: "sesame\n" }))).not.toContain("sesame");
});
