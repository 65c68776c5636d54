import { beforeAll, describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { type ConnectorKey, generateConnectorKey } from "../../identity/connector-proof.ts";
import { deviceIdOf, isPosture, MAX_POSTURE_CHARS, type PostureReport, readReport, REPORT_MAX_CHARS, signReport } from "../../identity/posture-report.ts";
import { signStrict } from "../../identity/strict-jws.ts";

let own: ConnectorKey;
let other: ConnectorKey;
beforeAll(async () => {
  [own, other] = [await generateConnectorKey(crypto.subtle), await generateConnectorKey(crypto.subtle)];
});

const report = (more: object = {}): PostureReport => ({ device: deviceIdOf(own.publicJwk), seq: 1, at: 1_000, previous: "", facts: { disk_encrypted: true, os: "linux", patch_age_days: 3 }, ...more });
const sign = (claims: object, { privateJwk, publicJwk, thumbprint }: ConnectorKey = own, typ = "postern-posture+jwt"): Promise<string> =>
  signStrict(typ, claims as Record<string, never>, { kid: thumbprint, alg: "EdDSA", use: "admission", privateJwk, publicJwk, createdAt: at(0) });

describe("a report (row 90)", () => {
  it("is read as it was signed", async () => {
    const whole = report({ bind: "x" });
    expect(await readReport(await signReport(whole, own), own.publicJwk)).toEqual(whole);
  });

  const refused: readonly [string, () => Promise<string>][] = [
    ["of another device's key", () => sign(report({ device: deviceIdOf(other.publicJwk) }), other)],
    ["for another device by this key", () => sign(report({ device: deviceIdOf(other.publicJwk) }))],
    ["of another kind of token by this key", () => sign(report(), own, "postern-enroll+jwt")],
    ["with a bit flipped", async () => (await sign(report())).replace(/.$/, (last) => (last === "A" ? "Q" : "A"))],
    ["of a megabyte", () => sign(report({ facts: { os: "x".repeat(1_048_576) } }))],
    ["without a number", () => sign({ ...report(), seq: undefined })],
    ["with a number in words", () => sign(report({ seq: "1" }))],
    ["with a number of nothing", () => sign(report({ seq: 0 }))],
    ["with half a number", () => sign(report({ seq: 1.5 }))],
    ["without a time", () => sign({ ...report(), at: undefined })],
    ["without what was before", () => sign({ ...report(), previous: undefined })],
    ["with a code that is no text", () => sign(report({ bind: 1 }))],
    ["without facts", () => sign({ ...report(), facts: undefined })],
    ["with facts that are null", () => sign(report({ facts: null }))],
    ["with facts in a list", () => sign(report({ facts: [] }))],
    ["with more facts than a device may have", () => sign(report({ facts: Object.fromEntries(Array.from({ length: 41 }, (_, n) => [`n${n}`, true])) }))],
    ["that is no token", async () => "a.b.c"],
    ["that is empty", async () => ""],
  ];
  it.each(refused)("%s is none", async (_title, make) => {
    expect(await readReport(await make(), own.publicJwk)).toBeUndefined();
  });

  it("has no fact of a wrong type, and none under a name that is others' to say (P1, P15)", async () => {
    const facts = { disk_encrypted: null, firewall: { is: true }, screen_lock: [true], os: "linux", os_name: "x".repeat(MAX_POSTURE_CHARS + 1), Edr: true, "a.b": true, registered: true, managed: true, tags: "lab", owner: "u_x", id: "d_x", owner_is_user: true, max_age: 1, compliant: true };
    expect((await readReport(await sign(report({ facts })), own.publicJwk))?.facts).toEqual({ os: "linux" });
    expect([isPosture("edr", Number.NaN), isPosture("edr", Infinity), isPosture("edr", 0), isPosture("__proto__", true)]).toEqual([false, false, true, false]);
  });

  it("of every kind fits into what is read of one", async () => {
    const facts = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`n${n}`.padEnd(40, "x"), "y".repeat(200)]));
    const jws = await signReport(report({ facts }), own);
    expect(jws.length).toBeLessThan(REPORT_MAX_CHARS);
    expect(await readReport(jws, own.publicJwk)).toBeDefined();
  });
});
