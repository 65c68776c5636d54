import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { refusedBecause } from "../../agent/refusals.ts";
import type { StreamEnd } from "../../durable-objects/tunnel/live-stream.ts";
import type { RefusalCode } from "../../durable-objects/tunnel/rpc.ts";
import { UPSTREAM_ERROR_CODES } from "../../protocol/head.ts";
import type { ResumeFault } from "../../protocol/resume.ts";

it.each(["constructor", "__proto__", "toString", "made_up"])("a code that nobody knows (%s) is told as it is", (code) => {
  expect(refusedBecause(code)).toMatchObject({ code, message: "the stream was refused", why: `the code is ${code}`, fix: [expect.stringContaining("postern explain")], isPassing: false });
});

/** What the edge says; whether it passes by itself. An agent is told of no end that is "done" or "broken". */
const OF_EDGE: Readonly<Record<RefusalCode | Exclude<StreamEnd, "done" | "broken">, boolean>> = {
  stale: true, denied: false, step_up: false, revoked: false, limit_reached: false, no_connector: true, overloaded: true, unavailable: true,
  identity_lost: true, audit_lost: true, control_lost: true,
  upstream_refused: false, upstream_timeout: false, upstream_tls: false, upstream_name: false, upstream_reset: false, upstream_protocol: false,
  policy: false, limit: false, link: true, expired: false, flow: true, memory: true,
};
const FAULTS: Readonly<Record<ResumeFault, true>> = { out_of_order: true, overrun: true, after_end: true, wrong_total: true, bad_offset: true };

/** Codes that this code gives up or turns away streams with. */
const codesIn = (file: string, pattern: RegExp): string[] => [...readFileSync(new URL(`../../${file}`, import.meta.url), "utf8").matchAll(pattern)].map(([, code = ""]) => code);

it.each(Object.entries(OF_EDGE))("%s of the edge has words, and passes by itself: %s", (code, passes) => {
  const { message, why, isPassing } = refusedBecause(code);
  expect(why).not.toContain(`the code is ${code}`);
  expect(message).not.toBe("");
  expect(isPassing).toBe(passes);
});

it("every code of a connector and of a stream's other end has words", () => {
  const said = [
    ...UPSTREAM_ERROR_CODES,
    ...Object.keys(FAULTS),
    ...codesIn("connector/tcp-streams.ts", /(?:turnAway\(attachment|#end\(entry), "(\w+)"/g),
    ...codesIn("channel/resumable-socket.ts", /(?:abort\(|code: )"(\w+)"/g),
  ];
  expect(said).toEqual(expect.arrayContaining(["old_generation", "wrong_app", "cut", "stopped", "edge_silent", "bad_frame", "bad_offset"]));
  for (const code of said) expect(refusedBecause(code).why, code).not.toContain("the code is");
});
