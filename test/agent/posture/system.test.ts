/** The real programs and files of this machine: deadlines, caps, and no word of the user's environment. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { certificatePresent } from "../../../agent/posture/certificate-present.ts";
import { parseChecksWanted } from "../../../agent/posture/checks-wanted.ts";
import { MAX_OUTPUT_BYTES, thisSystem } from "../../../agent/posture/system.ts";
import { temporaryFolder } from "../../temporary-folder.ts";

const system = thisSystem(2_000);
const folder = temporaryFolder("posture");

function script(name: string, body: string): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** A zombie that waits for its parent is over, too. */
async function isRunning(pid: number): Promise<boolean> {
  return /^State:\s+[^Z]/m.test((await system.read(`/proc/${pid}/status`)) ?? "");
}

describe("a program of a check", () => {
  it("answers with its code and its words, in no language but C, and knows no variable of the user's", async () => {
    process.env["POSTERN_TEST_SECRET"] = "seen";
    const ran = await system.run(script("words", 'echo "$LC_ALL:$POSTERN_TEST_SECRET:$1:$PATH"; echo complaint >&2; exit 3'), "$(id)");
    delete process.env["POSTERN_TEST_SECRET"];
    expect(ran).toEqual({ code: 3, out: "C::$(id):/usr/sbin:/usr/bin:/sbin:/bin\n", err: "complaint\n" });
  });

  it("that hangs, also by a child of its own that holds its output, is given up and ended with it", async () => {
    const quick = thisSystem(300);
    const before = performance.now();
    const file = join(folder, "child");
    expect(await quick.run(script("hangs", `sleep 50 & echo $! > ${file}; wait`))).toBeUndefined();
    expect(performance.now() - before).toBeLessThan(10_000);
    const child = Number(await system.read(file));
    expect(child).toBeGreaterThan(1);
    await expect.poll(() => isRunning(child)).toBe(false);
  });

  it("that floods, is missing or may not be run says nothing", async () => {
    expect(await system.run(script("floods", "exec cat /dev/zero"))).toBeUndefined();
    expect(await system.run(join(folder, "nowhere"))).toBeUndefined();
    writeFileSync(join(folder, "text"), "text");
    expect(await system.run(join(folder, "text"))).toBeUndefined();
  });
});

describe("a file of a check", () => {
  it("is read whole or not at all; of a log the end, from a line's beginning", async () => {
    const file = join(folder, "log");
    writeFileSync(file, `${"old line\n".repeat(MAX_OUTPUT_BYTES / 4)}last\n`);
    expect(await system.read(file)).toBeUndefined();
    const end = await system.readEnd(file);
    expect(end?.startsWith("old line\n")).toBe(true);
    expect(end?.endsWith("old line\nlast\n")).toBe(true);
    expect(end?.length).toBeLessThanOrEqual(MAX_OUTPUT_BYTES);
    writeFileSync(file, Buffer.from([0xff, 0xfe, 0x00]));
    expect(await system.read(file)).toBeUndefined();
    expect(await system.read(folder)).toBeUndefined();
    expect(await system.exists(join(folder, "nowhere"))).toBe(false);
    expect(await system.exists(join(file, "below"))).toBe(false);
  });
});

describe("what a team wants looked for", () => {
  const read = (value: unknown): unknown => parseChecksWanted(typeof value === "string" ? value : JSON.stringify(value), "checks.json");
  it.each<[string, unknown]>([
    ["no JSON", "{"],
    ["a list", []],
    ["an unknown kind", { edr: [], antivirus: [] }],
    ["a process with a folder", { edr: ["/usr/bin/x"] }],
    ["a name that is no fact's", { files: { "Corp Mark": "/x" } }],
    ["a path that is none", { files: { corp: 7 } }],
    ["too many", { files: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`f${n}`, "/x"])) }],
    ["a digest that is too short", { certificates: { corp: { sha256: "abc" } } }],
  ])("%s is refused whole", (_title, value) => {
    expect(() => read(value)).toThrow("cannot be used");
  });

  it("is read whole", () => {
    expect(read({ edr: ["falcon-sensor"], files: { corp: "/etc/corp" }, certificates: { corp: { sha256: "AA:".repeat(31) + "AA" } } })).toEqual({ edr: ["falcon-sensor"], files: { corp: "/etc/corp" }, certificates: { corp: { sha256: "aa".repeat(32) } } });
  });
});

describe("a certificate", () => {
  const PEM = `-----BEGIN CERTIFICATE-----
MIIBkjCCATegAwIBAgIUYTIZJF1RnNN2lsJ2Ommv4pkGI4AwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTZGV2aWNlLmNvcnAuZXhhbXBsZTAeFw0yNjExMjIyMDQwMzNa
Fw0zNjExMTkyMDQwMzNaMB4xHDAaBgNVBAMME2RldmljZS5jb3JwLmV4YW1wbGUw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARRXLJYqcNaEH3CJdkDAEKRrC5EevIq
DST4CKGBBDg4szIogxVjBwONPtCbsiu8bVaP2LpcbMAHRWSUYCAFIcOeo1MwUTAd
BgNVHQ4EFgQUD37gR3asgyH43JW5lX6bVV5JO8gwHwYDVR0jBBgwFoAUD37gR3as
gyH43JW5lX6bVV5JO8gwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBG
AiEA/Lfyarrkdhaup9EIQp2zUdUnZCKiDLXUKRuV7NPTE+kCIQDG/gzW7MF1UJlD
tefUJTX5q6sBxKlnIFvUe2Cnj1y8BQ==
-----END CERTIFICATE-----
`;
  const own = new X509Certificate(PEM);
  const sha256 = own.fingerprint256.replaceAll(":", "").toLowerCase();
  const file = join(folder, "device.pem");
  const check = async (text: string, digest: string, now: number): Promise<unknown> => {
    writeFileSync(file, text);
    return certificatePresent({ system, wanted: { edr: [], files: {}, certificates: { corp: { sha256: digest, file } } }, now });
  };
  it("is there only by its own digest and while it is valid; what cannot be read says nothing", async () => {
    const valid = Date.parse(own.validFrom) + 1_000;
    expect(await check(PEM, sha256, valid)).toEqual({ certificate_corp: true });
    expect(await check(PEM, "0".repeat(64), valid)).toEqual({ certificate_corp: false });
    expect(await check(PEM, sha256, Date.parse(own.validTo))).toEqual({ certificate_corp: false });
    expect(await check("", sha256, valid)).toEqual({});
    expect(await check(PEM.replace(/[A-Z]{8}/, "AAAAAAAA").slice(0, 200), sha256, valid)).toEqual({});
    const missing = { edr: [], files: {}, certificates: { corp: { sha256, file: join(folder, "none.pem") } } };
    expect(await certificatePresent({ system, wanted: missing, now: valid })).toEqual({ certificate_corp: false });
  });
});
