/** Path patterns: a table, an independent matcher as oracle, and no slow inputs. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matches, matchesStripped, parsePattern, samplePath, type Pattern } from "../../policy/paths.ts";

function pattern(text: string): Pattern {
  const parsed = parsePattern(text);
  if (typeof parsed === "string") throw new Error(parsed);
  return parsed;
}

describe("path patterns (P9)", () => {
  it.each([
    ["/", "/", true],
    ["/", "/a", false],
    ["/a", "/a", true],
    ["/a", "/a/", false],
    ["/a", "/ab", false],
    ["/a/*", "/a/b", true],
    ["/a/*", "/a/b/c", false],
    ["/a/*", "/a/", true],
    ["/a/*", "/a", false],
    ["/a/*.pdf", "/a/x.pdf", true],
    ["/a/*.pdf", "/a/x.pdf.exe", false],
    ["/a/x*y*z", "/a/x1y2z", true],
    ["/a/x*y*z", "/a/xz", false],
    ["/a/ab*ba", "/a/aba", false],
    ["/x/**", "/x", true],
    ["/x/**", "/x/", true],
    ["/x/**", "/x/a/b", true],
    ["/x/**", "/xa", false],
    ["/**", "/", true],
    ["/**", "/a/b", true],
    ["/**/b", "/b", true],
    ["/**/b", "/a/a/b", true],
    ["/**/b", "/a/b/c", false],
    ["/a/**/c/**/d", "/a/x/c/y/c/d", true],
    ["/a/**/c/**/d", "/a/x/y/d", false],
    ["/%61", "/a", true],
    ["/ä", "/%C3%A4", true],
    ["/a%2Fb", "/a/b", false],
    ["/a%2A", "/ab", false],
    ["/a%2A", "/a*", true],
    ["/%zz", "/%zz", true],
  ])("%s and %s: %s", (text, path, expected) => {
    expect(matches(pattern(text), { path }, false)).toBe(expected);
  });

  it.each(["a", "", "/a//b", "/./a", "/../a", "/%2e%2e/a", "/a**", "/**b", `/${"a/".repeat(64)}b`])("%j is no pattern", (text) => {
    expect(typeof parsePattern(text)).toBe("string");
  });

  it("P9: ;params are removed from each segment for effects that restrict", () => {
    expect(matchesStripped(pattern("/a/b"), { path: "/a;x=1/b;y" }, false)).toBe(true);
    expect(matchesStripped(pattern("/A/b"), { path: "/a;x=1/b;y" }, false)).toBe(false);
    expect(matchesStripped(pattern("/A/b"), { path: "/a;x=1/b;y" }, true)).toBe(true);
  });

  const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 3 });
  const segment = fc.oneof(letters, fc.constantFrom("*", "a*", "*b", "a*b*", "**"));

  it("match what a recursive reading of P9 matches", () => {
    const text = (glob: string, value: string): boolean =>
      glob === "" ? value === "" : glob.startsWith("*") ? text(glob.slice(1), value) || (value !== "" && text(glob, value.slice(1))) : value.startsWith(glob.charAt(0)) && text(glob.slice(1), value.slice(1));
    const walk = (globs: readonly string[], path: readonly string[]): boolean => {
      const [glob, ...rest] = globs;
      if (glob === undefined) return path.length === 0;
      if (glob === "**") return walk(rest, path) || (path.length > 0 && walk(globs, path.slice(1)));
      const [first, ...more] = path;
      return first !== undefined && text(glob, first) && walk(rest, more);
    };
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), fc.array(letters, { minLength: 1, maxLength: 6 }), (globs, path) => {
        const parsed = parsePattern(`/${globs.join("/")}`);
        if (typeof parsed === "string") return;
        expect(matches(parsed, { path: `/${path.join("/")}` }, false)).toBe(walk(globs, path));
      }),
      { numRuns: 3_000 },
    );
  });

  it("P10: folding both sides is the same as folding neither on folded input", () => {
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.array(letters, { minLength: 1, maxLength: 4 }), (globs, path) => {
        const parsed = parsePattern(`/${globs.join("/")}`);
        const upper = parsePattern(`/${globs.join("/")}`.toUpperCase());
        if (typeof parsed === "string" || typeof upper === "string") return;
        const text = `/${path.join("/")}`;
        expect(matches(upper, { path: text }, true)).toBe(matches(parsed, { path: text }, false));
      }),
    );
  });

  it("a sample of a pattern matches it", () => {
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (globs) => {
        const parsed = parsePattern(`/${globs.join("/")}`);
        if (typeof parsed === "string") return;
        expect(matches(parsed, { path: samplePath(parsed) }, false)).toBe(true);
      }),
    );
  });

  it("class g: stars do not multiply: 40 stars over a path of 32 KB", () => {
    const hard = pattern(`/${"a*".repeat(40)}b`);
    const many = pattern(`/${"**/a/".repeat(20)}b`);
    const started = process.cpuUsage();
    expect(matches(hard, { path: `/${"a".repeat(32_000)}` }, false)).toBe(false);
    expect(matches(many, { path: `/${"a/".repeat(16_000)}c` }, false)).toBe(false);
    // The processor's time, which a busy machine does not lengthen.
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1000).toBeLessThan(2_000);
  });
});
