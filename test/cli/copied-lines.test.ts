/** Lines that are printed for copying: whatever the names in them, a shell reads each value as one word (class L). */
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { enrollLines } from "../../cli/enroll-lines.ts";
import { Failure } from "../../cli/failure.ts";
import { quotePowerShell, quoteSh } from "../../cli/shell-quote.ts";

const HOSTILE = ["$(id)", "`id`", "a'b", "a\"b", "';id;'", "a b", "\\", "a\\'b", "!!", "~", "*", "-n", "%PATH%", "${x}", "&& id", "| id", "> x", "#"];

describe("quoting", () => {
  it("gives a POSIX shell exactly the value, whatever it holds", () => {
    const all = execFileSync("/bin/sh", ["-c", `for word in ${HOSTILE.map((value) => quoteSh(value, "name")).join(" ")}; do printf '%s\\n' "$word"; done`], { encoding: "utf8" });
    expect(all.split("\n").slice(0, -1)).toEqual(HOSTILE);
  });

  it("closes every quote that it opens: printable ASCII stays one word", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 40 }), (value) => {
        expect(quoteSh(value, "x").replaceAll(`'\\''`, "")).toMatch(/^'[^']*'$/);
        expect(quotePowerShell(value, "x").slice(1, -1).replaceAll("''", "")).not.toContain("'");
      }),
    );
  });

  it.each(["", "a\nb", "a\rb", "a\u0000b", "a\u2019b", "\u202e", "\u001b[2J"])("refuses %j, which no quoting makes safe everywhere", (value) => {
    expect(() => quoteSh(value, "name")).toThrow(Failure);
    expect(() => quotePowerShell(value, "name")).toThrow(Failure);
  });
});

describe("enrolment lines", () => {
  const plan = { edge: "https://access.example.com", site: "office", token: "pen_x.y", endpoints: ["10.0.0.5:8080"] };

  it("are one line each, feed the token by standard input, and name what may be dialled", () => {
    const lines = enrollLines(plan);
    for (const line of Object.values(lines)) {
      expect(line).not.toContain("\n");
      expect(line).toContain("'https://access.example.com/.postern/connector.mjs'");
      const [feeding = "", program = ""] = line.split(" | ");
      expect(feeding).toContain("pen_x.y");
      expect(program).not.toContain("pen_");
      expect(program).toContain("--token-file - --allow '10.0.0.5:8080'");
    }
    expect(enrollLines({ ...plan, endpoints: [] }).linux).toContain("--allow-site-config");
    expect(enrollLines({ ...plan, token: undefined }).linux).toContain(" && cat TOKEN-FILE | ");
  });

  it("run no word of a hostile value", () => {
    const line = enrollLines({ ...plan, edge: "https://x.example.com/$(touch pwned)';id;'", endpoints: HOSTILE }).linux.replace("node connector.mjs", "printf '%s\\n'").replace("curl", "true");
    expect(execFileSync("/bin/sh", ["-c", line], { encoding: "utf8" }).split("\n")).toEqual(expect.arrayContaining(["https://x.example.com/$(touch pwned)';id;'", ...HOSTILE]));
  });
});
