/** What the edge takes: one spelling of JSON and nothing else; the same document, the same problems as the YAML it came from. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, type Json } from "../../core/json.ts";
import { parseCanonical, readCanonical } from "../../policy/canonical-text.ts";
import { parseDocument, writtenSource } from "../../policy/parse-document.ts";
import { formatProblem, MAX_PROBLEMS } from "../../policy/problems.ts";
import { MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH } from "../../policy/source.ts";
import { PROJECT } from "../architecture/source-files.ts";
import { canonical } from "../canonical.ts";
import { HEAD, textOf } from "./fixtures.ts";

/** Generous: a bound on the kind of growth, not a benchmark. */
const LIMIT_MS = 5_000;
const workedMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const refusals = (text: string): string[] => {
  const read = parseCanonical(text);
  return read.ok ? [] : read.error.map(({ code, path }) => (path === "" ? code : `${code} ${path}`));
};
const small = '{"domain":"a.test","version":1}';

describe("what is not canonical JSON is refused", () => {
  it.each<[string, string | (() => string), string[]]>([
    ["YAML", HEAD, ["json"]],
    ["nothing", "", ["json"]],
    ["a byte order mark", `\uFEFF${small}`, ["json"]],
    ["what follows the value", `${small}{}`, ["json"]],
    ["a comment", `${small}//`, ["json"]],
    ["a comma too many", '{"domain":"a.test","version":1,}', ["json"]],
    ["NaN", '{"domain":"a.test","version":NaN}', ["json"]],
    ["a raw line break in text", '{"domain":"a\n.test","version":1}', ["json"]],
    ["a duplicate key", '{"domain":"a.test","domain":"b.test","version":1}', ["not_canonical"]],
    ["a duplicate key, escaped", '{"domain":"a.test","\\u0064omain":"b.test","version":1}', ["not_canonical"]],
    ["keys out of order", '{"version":1,"domain":"a.test"}', ["not_canonical"]],
    ["white space", '{"domain": "a.test","version":1}', ["not_canonical"]],
    ["two line breaks at the end", `${small}\n\n`, ["not_canonical"]],
    ["a line break of Windows", `${small}\r\n`, ["not_canonical"]],
    ["a number with a fraction of nothing", '{"domain":"a.test","version":1.0}', ["not_canonical"]],
    ["a number with an exponent", '{"domain":"a.test","version":1e0}', ["not_canonical"]],
    ["a number that rounds", '{"domain":"a.test","version":1.00000000000000000001}', ["not_canonical"]],
    ["a huge whole number", '{"domain":"a.test","version":123456789012345678901234567890}', ["not_canonical"]],
    ["minus nothing", '{"domain":"a.test","version":-0}', ["not_canonical"]],
    ["an escape that none needs", '{"domain":"\\u0061.test","version":1}', ["not_canonical"]],
    ["a number beyond all numbers", '{"domain":"a.test","version":1e999}', ["number version"]],
    ["__proto__", '{"__proto__":{"domain":"evil.test"},"version":1}', ["forbidden_key __proto__"]],
    ["constructor, deep", '{"domain":"a.test","lists":{"a":{"constructor":[1]}},"version":1}', ["forbidden_key lists.a.constructor"]],
    ["prototype, escaped", '{"conditions":{"prot\\u006ftype":{"mfa":true}},"domain":"a.test","version":1}', ["forbidden_key conditions.prototype"]],
    ["a lone surrogate", '{"domain":"\\ud800","version":1}', ["text domain"]],
    ["a lone surrogate, raw", '{"domain":"\udfff","version":1}', ["text domain"]],
    ["a lone surrogate in a key", '{"\\udc00":1,"version":1}', ["text \udc00"]],
    ["10 MB", () => `{"domain":"${"x".repeat(10_000_000)}","version":1}`, ["too_large"]],
    ["one byte too many, in two-byte letters", () => `"${"é".repeat(MAX_DOCUMENT_BYTES / 2)}"`, ["too_large"]],
    ["brackets", () => `${"[".repeat(500_000)}${"]".repeat(500_000)}`, [`too_deep ${"[0]".repeat(MAX_DOCUMENT_DEPTH)}`]],
    ["brackets that never close", () => "[".repeat(1_000_000), ["json"]],
    ["braces", () => `${'{"a":'.repeat(150_000)}1${"}".repeat(150_000)}`, [`too_deep ${Array.from({ length: MAX_DOCUMENT_DEPTH }, () => "a").join(".")}`]],
    ["no document but a list", "[1]", ["type"]],
    ["no document but text", '"version: 1"', ["type"]],
  ])("%s", (_, make, expected) => {
    const text = typeof make === "string" ? make : make();
    const started = workedMs();
    expect(refusals(text)).toEqual(expected);
    expect(workedMs() - started).toBeLessThan(LIMIT_MS);
  });

  it.each<[string, () => string]>([
    ["half a million numbers", () => `[${Array.from({ length: 500_000 }, () => 1).join(",")}]`],
    ["keys out of order at every depth", () => `${'{"b":{'.repeat(30)}${Array.from({ length: 80_000 }, (_, i) => `"k${i}":1`).join(",")}${'},"a":1}'.repeat(30)}`],
    ["60,000 unknown keys", () => canonicalJson(Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`k${i}`, 1])))],
    ["100,000 halves of characters", () => `[${Array.from({ length: 100_000 }, () => '"\\ud800"').join(",")}]`],
  ])("%s: refused without growing work, with at most MAX_PROBLEMS problems", (_, make) => {
    const text = make();
    expect(text.length).toBeLessThanOrEqual(MAX_DOCUMENT_BYTES);
    const started = workedMs();
    const refused = refusals(text);
    expect(workedMs() - started).toBeLessThan(LIMIT_MS);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThanOrEqual(MAX_PROBLEMS);
  });

  it("says what, where and what to do", () => {
    const told = (text: string): string => {
      const read = parseCanonical(text);
      return read.ok ? "" : read.error.map(formatProblem).join("\n");
    };
    expect(told("version: 1\n")).toBe("postern.yaml: this is not JSON (send what `postern check FILE --canonical` prints)");
    expect(told('{"domain":"a.test", "version":1}')).toMatch(/not canonical .*: character 20 differs \(send what/);
    expect(told('{"domain":"a.test","sitse":[],"version":1}')).toBe('postern.yaml: sitse: unknown key "sitse" (did you mean "sites"?)');
    expect(({} as Record<string, unknown>)["domain"]).toBeUndefined();
  });
});

describe("what is canonical JSON is read", () => {
  it("with or without the line break that printing adds", () => {
    for (const text of [small, `${small}\n`]) expect(parseCanonical(text)).toMatchObject({ ok: true, value: { document: { domain: "a.test" }, warnings: [] } });
  });

  it("up to the depth that is allowed", () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    expect(readCanonical(nested(MAX_DOCUMENT_DEPTH)).ok).toBe(true);
    expect(readCanonical(nested(MAX_DOCUMENT_DEPTH + 1)).ok).toBe(false);
  });

  it("every JSON value that the document's writer can make, and as the same value", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false, maxDepth: 5 }), (value) => {
        const text = canonicalJson(value as Json);
        const read = readCanonical(text);
        fc.pre(read.ok || !read.error.some(({ code }) => code === "forbidden_key" || code === "text"));
        expect(read.ok && JSON.parse(JSON.stringify(read.value.value))).toEqual(JSON.parse(text));
      }),
    );
  });

  it("keys that look like numbers, whose order in memory is another", () => {
    const lists = { "1": ["a"], "10": ["b"], "2": ["c"] };
    expect(readCanonical(canonicalJson({ lists }))).toMatchObject({ ok: true, value: { value: { lists } } });
  });

  it.each(["start/demo.yaml", "examples/smallest/postern.yaml", "examples/private-web-app/postern.yaml", "examples/database-over-tcp/postern.yaml"])("%s means at the edge what it means here", (file) => {
    const text = readFileSync(join(PROJECT, file), "utf8");
    const [here, there] = [parseDocument(text), parseCanonical(canonical(text))];
    if (!here.ok || !there.ok) throw new Error("both are documents");
    // Lines are the file's alone.
    const lineless = JSON.parse(JSON.stringify(here.value.document, (key, value: unknown) => (key === "line" ? undefined : value))) as unknown;
    expect(there.value.document).toEqual(lineless);
  });

  it("JSON is YAML: what the edge keeps, the file's reader reads as the same value", () => {
    const text = canonical(textOf('[{ id: a, effect: allow, apps: wiki, when: { group: "é \\u2028 \\u0085 🙂" } }]'));
    expect(writtenSource(text)).toMatchObject({ ok: true, value: { canonical: text } });
  });
});

describe("the writer", () => {
  it("a document whose JSON is too large is refused before it is sent, though its YAML is not", () => {
    // NUL: two characters here, six there.
    const text = `${HEAD}lists: { a: ["${"\\0".repeat(0.4 * MAX_DOCUMENT_BYTES)}"] }\n`;
    expect(text.length).toBeLessThan(MAX_DOCUMENT_BYTES);
    expect(writtenSource(text, { file: "big.yaml" })).toMatchObject({ ok: false, error: [{ code: "too_large", file: "big.yaml", line: 1 }] });
  });
});
