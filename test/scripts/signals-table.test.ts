/** docs/freshness.md's table of signals is what the titles of the tests say. */
import { describe, expect, it } from "vitest";
import { read } from "../architecture/source-files.ts";
import { BEGIN, END, pageWith, proofsIn, tableOf, testFiles } from "../../scripts/signals-table.ts";

const BULLET = "\u{b7}";
const titled = (title: string): { file: string; text: string } => ({ file: "test/e2e/signals/one.test.ts", text: `it("${title.replace("*", BULLET)}", () => undefined);` });

describe("the table of signals", () => {
  it("of docs/freshness.md is what the titles of the tests say (npm run signals writes it)", () => {
    const page = read("docs/freshness.md");
    expect(pageWith(page, tableOf(testFiles()))).toBe(page);
  });

  it("of docs/freshness.md has no empty cell: every signal is proved on every protocol", () => {
    expect(tableOf(testFiles()).split("\n").filter((row) => row.includes("| – |"))).toEqual([]);
  });

  it("finds a signal and its protocols at the beginning of a title, alone or in a row of data", () => {
    const of = (signal: string, ...protocols: readonly string[]): object[] => protocols.map((protocol) => ({ signal, protocol, file: "test/e2e/signals/one.test.ts" }));
    expect(proofsIn(titled("user * websocket, tcp: ends what is open"))).toEqual(of("user", "websocket", "tcp"));
    expect(proofsIn(titled("scim-group * ssh"))).toEqual(of("scim-group", "ssh"));
    expect(proofsIn(titled("scim-group * sse: somebody's group, and `another` one: gone"))).toEqual(of("scim-group", "sse"));
    expect(proofsIn(titled("a user * nothing of the kind"))).toEqual([]);
  });

  it("says in the cell what becomes of the connection, where titles say it", () => {
    const [, , ...rows] = tableOf([titled("policy * tcp: live before, cut after"), titled("policy * tcp: live before, frozen after, when"), titled("policy * ssh: ends")]).split("\n");
    expect(rows.find((row) => row.startsWith("| `policy` "))).toMatch(/\| cut, frozen: \[one\]\([^)]*\) \| \[one\]\([^)]*\) \|$/);
  });

  it("refuses a title whose signal or protocol is unknown, and names those that there are", () => {
    expect(() => proofsIn(titled("users * tcp: ends"))).toThrow("there is no signal users; there are session, user,");
    expect(() => proofsIn(titled("user * udp: ends"))).toThrow("there is no protocol udp; there are http, sse, websocket, tcp, ssh");
  });

  it("names the files of a cell once each, and leaves none without a sign", () => {
    const [, , ...rows] = tableOf([titled("user * tcp: one"), titled("user * tcp: two")]).split("\n");
    expect(rows.find((row) => row.startsWith("| `user` "))).toMatch(/\| – \| – \| – \| \[one\]\(\.\.\/test\/e2e\/signals\/one\.test\.ts\) \| – \|$/);
  });

  it("needs its marks", () => expect(() => pageWith(`${END} ${BEGIN}`, "")).toThrow("has lost its marks"));
});
