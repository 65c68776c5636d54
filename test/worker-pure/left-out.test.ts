/** What wrangler.toml leaves out of packages is not missed, and what the edge must not hold is not in it. */
import { createSign, generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { encodeCBOR } from "@levischuck/tiny-cbor";
import { build, type BuildOptions, type Plugin } from "esbuild";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unwrapEC2Signature } from "../../identity/ecdsa-signature.ts";
import * as whole from "../../identity/passkey.ts";
import * as base64 from "../../identity/passkey-base64.ts";
import * as bytesOf from "../../identity/passkey-bytes.ts";
import * as cbor from "../../identity/passkey-cbor.ts";
import * as leftOut from "../../worker/left-out.ts";
import { isSource, PROJECT, projectFiles, read } from "../architecture/source-files.ts";
import { SoftwareAuthenticator } from "../identity/software-authenticator.ts";

const table = /^\[alias\]\n((?:".*\n)+)/m.exec(readFileSync(join(PROJECT, "wrangler.toml"), "utf8"))?.[1] ?? "";
const ALIAS: Readonly<Record<string, string>> = Object.fromEntries([...table.matchAll(/^"([^"]+)" = "([^"]+)"$/gm)].map(([, from = "", to = ""]) => [from, to]));
const PASSKEYS = "/node_modules/@simplewebauthn/server/";
const HONO = "/node_modules/hono/";

/** Every import that the table turns: who asks, and for what. Resolves as wrangler does, by the whole specifier. */
function aliases(turned: { readonly importer: string; readonly path: string }[]): Plugin {
  return {
    name: "alias",
    setup: (bundler) =>
      bundler.onResolve({ filter: /^[.@]/ }, ({ path, importer }) => {
        const to = ALIAS[path];
        if (to === undefined) return undefined;
        turned.push({ importer, path });
        return { path: join(PROJECT, to) };
      }),
  };
}

const BUNDLED: BuildOptions = { bundle: true, platform: "browser", format: "esm", logLevel: "silent", external: ["cloudflare:*", "node:*"] };
const FOR_THE_EDGE: BuildOptions = { ...BUNDLED, entryPoints: [join(PROJECT, "worker/index.ts")], write: false };

describe("what wrangler.toml leaves out", () => {
  it("is found, and belongs to the packages that it is meant for", async () => {
    const turned: { importer: string; path: string }[] = [];
    await build({ ...FOR_THE_EDGE, plugins: [aliases(turned)] });
    expect(turned.filter(({ importer, path }) => !importer.includes(path.startsWith("./utils/") ? HONO : PASSKEYS))).toEqual([]);
    expect([...new Set(turned.map(({ path }) => path))].sort()).toEqual(Object.keys(ALIAS).sort());
  });

  it("nothing in worker/ mounts another framework, or lets hono read a form or a query or write HTML", () => {
    const sources = projectFiles().filter((file) => file.startsWith("worker/") && isSource(file));
    expect(sources).toContain("worker/app.ts");
    expect(sources.filter((file) => /\.(?:mount|parseBody)\(|\bc\.(?:html|render|req\.(?:query|queries|parseBody))\b/.test(read(file)))).toEqual([]);
  });

  it("every function of it throws, but for what the library asks on the way", () => {
    const answering = ["HtmlEscapedCallbackPhase", "SettingsService", "convertAAGUIDToString", "decodeAuthenticatorExtensions", "getWebCrypto"];
    const throwing = Object.entries(leftOut).filter(([name]) => !answering.includes(name));
    expect(throwing.length).toBeGreaterThan(10);
    for (const [name, one] of throwing) expect(() => (one as () => unknown)(), name).toThrow("left out of the bundle");
    expect(leftOut.SettingsService.getRootCertificates()).toEqual([]);
    expect(leftOut.SettingsService.runtimeSupportsPQC()).toBe(false);
  });

  it("the edge holds no YAML parser and reads no certificate: what it takes has one reading", async () => {
    const { metafile } = await build({ ...FOR_THE_EDGE, plugins: [aliases([])], metafile: true });
    const inside = Object.keys(metafile.inputs);
    expect(inside).toContain("policy/canonical-text.ts");
    expect(inside.filter((file) => /(?:^|\/)node_modules\/yaml\/|^policy\/(?:yaml-text|parse-document)\.ts$/.test(file))).toEqual([]);
    expect(inside.filter((file) => /node_modules\/(?:@peculiar|asn1js|reflect-metadata|@hexagon)\//.test(file))).toEqual([]);
  });
});

describe("passkeys as the edge has them", () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-passkeys-"));
  let edge: typeof whole;
  beforeAll(async () => {
    const outfile = join(folder, "passkey.mjs");
    await build({ ...BUNDLED, entryPoints: [join(PROJECT, "identity/passkey.ts")], outfile, plugins: [aliases([])] });
    edge = (await import(pathToFileURL(outfile).href)) as typeof whole;
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const PLACE = { origin: "https://access.example.com", rpId: "access.example.com" };
  const asked = () => ({ ...PLACE, challenge: randomBytes(32).toString("base64url") });
  const yes = (): boolean => true;

  it.each(["ES256", "RS256"] as const)("a key of %s is taken and used as by the whole library", async (kind) => {
    const authenticator = new SoftwareAuthenticator(kind);
    for (const lies of [{}, { backedUp: true }, { extensions: new Map([["credProtect", 2]]) }, { origin: "https://evil.example" }, { verified: false }, { rpId: "evil.example" }]) {
      const answer = authenticator.create(asked(), lies);
      const [here, there] = [await edge.newPasskey(answer, PLACE, yes), await whole.newPasskey(answer, PLACE, yes)];
      expect(here).toEqual(there);
      expect(here === undefined).toBe("origin" in lies || "verified" in lies || "rpId" in lies);
    }
    const key = await edge.newPasskey(authenticator.create(asked()), PLACE, yes);
    if (key === undefined) throw new Error("not registered");
    for (const lies of [{}, {}, { origin: "https://evil.example" }, { verified: false }, { rpId: "evil.example" }, { type: "webauthn.create" }]) {
      const answer = authenticator.get(asked(), lies);
      const [here, there] = [await edge.passkeyUse(answer, key, PLACE, yes), await whole.passkeyUse(answer, key, PLACE, yes)];
      expect(here).toBe(there);
      expect(here === undefined).toBe(Object.keys(lies).length > 0);
    }
  });

  it.each(["fido-u2f", "packed", "android-safetynet", "android-key", "tpm", "apple", "own"])("the attestation format %s is refused", async (fmt) => {
    const authenticator = new SoftwareAuthenticator();
    const one = asked();
    expect(await edge.newPasskey(fmt === "packed" ? authenticator.createPacked(one) : authenticator.create(one, { fmt }), PLACE, yes)).toBeUndefined();
    expect(await edge.newPasskey(authenticator.create(one), PLACE, yes)).toBeDefined();
  });

  it("a registration with broken bytes gives no key that the whole library would not, but for one that opens nothing", async () => {
    const authenticator = new SoftwareAuthenticator();
    const answer = authenticator.create(asked());
    const bytes = Buffer.from(String(answer.response["attestationObject"]), "base64url");
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes);
      changed[i] = (changed[i] ?? 0) ^ (1 << (i % 8));
      const broken = { ...answer, response: { ...answer.response, attestationObject: changed.toString("base64url") } };
      const [here, there] = [await edge.newPasskey(broken, PLACE, yes), await whole.newPasskey(broken, PLACE, yes)];
      // A number of the key that is text instead: the whole library writes it anew as other bytes.
      if (here !== undefined && here.publicKey !== there?.publicKey) expect(await edge.passkeyUse(authenticator.get(asked()), here, PLACE, yes), `byte ${i}`).toBeUndefined();
      // Refused here is refused enough: bytes that end in the midst of a number.
      else if (here !== undefined) expect(here, `byte ${i}`).toEqual(there);
    }
  });

  it("a use with any other byte is refused", async () => {
    const authenticator = new SoftwareAuthenticator();
    const key = await edge.newPasskey(authenticator.create(asked()), PLACE, yes);
    if (key === undefined) throw new Error("not registered");
    const one = asked();
    const answer = authenticator.get(one);
    expect(await edge.passkeyUse(answer, key, PLACE, (challenge) => challenge === one.challenge)).toBe(2);
    for (const field of ["clientDataJSON", "authenticatorData", "signature"]) {
      const bytes = Buffer.from(String(answer.response[field]), "base64url");
      for (let i = 0; i < bytes.length; i++) {
        const changed = Buffer.from(bytes);
        changed[i] = (changed[i] ?? 0) ^ 1;
        const forged = { ...answer, response: { ...answer.response, [field]: changed.toString("base64url") } };
        expect(await edge.passkeyUse(forged, key, PLACE, (challenge) => challenge === one.challenge), `${field} ${i}`).toBeUndefined();
      }
    }
  });
});

describe("the parts that stand in for others", () => {
  it("an ECDSA signature is read as the runtime itself writes it, and only its one DER", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const lengths = new Set<number>();
    for (let round = 0; round < 1_000; round++) {
      const data = randomBytes(8);
      const der = createSign("sha256").update(data).sign(privateKey);
      lengths.add(der.length);
      const raw = unwrapEC2Signature(new Uint8Array(der), 1);
      // Back again, by what DER says: no leading zeros but one before a set high bit.
      const number = (bytes: Uint8Array): Buffer => {
        const trimmed = Buffer.from(bytes).subarray(bytes.findIndex((byte) => byte !== 0));
        const signed = (trimmed[0] ?? 0) >= 0x80 ? Buffer.concat([Uint8Array.of(0), trimmed]) : trimmed;
        return Buffer.concat([Uint8Array.of(2, signed.length), signed]);
      };
      const body = Buffer.concat([number(raw.subarray(0, 32)), number(raw.subarray(32))]);
      expect(Buffer.concat([Uint8Array.of(0x30, body.length), body])).toEqual(der);
    }
    expect(lengths.size, "lengths of signatures").toBeGreaterThan(2);
    const der = Uint8Array.of(0x30, 6, 2, 1, 1, 2, 1, 1);
    expect(unwrapEC2Signature(der, 1)).toHaveLength(64);
    for (const wrong of [
      [], [0x30], [0x30, 0], [0x30, 6, 2, 1, 1, 2, 1], [0x30, 6, 2, 1, 1, 2, 1, 1, 0], [0x31, 6, 2, 1, 1, 2, 1, 1], [0x30, 7, 2, 1, 1, 2, 1, 1], [0x30, 6, 3, 1, 1, 2, 1, 1], [0x30, 6, 2, 1, 1, 3, 1, 1],
      [0x30, 6, 2, 1, 0x80, 2, 1, 1], [0x30, 7, 2, 2, 0, 1, 2, 1, 1], [0x30, 5, 2, 0, 2, 1, 1], [0x30, 0x81, 6, 2, 1, 1, 2, 1, 1], [0x30, 38, 2, 33, ...Array.from({ length: 33 }, () => 1), 2, 1, 1],
    ]) expect(() => unwrapEC2Signature(Uint8Array.from(wrong), 1), String(wrong)).toThrow();
    expect(() => unwrapEC2Signature(der, 2)).toThrow();
  });

  it("no bytes at all make the reader of signatures do anything but answer or throw", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        expect(unwrapEC2Signature(bytes, 1)).toHaveLength(64);
      } catch (problem) {
        expect(problem).toBeInstanceOf(TypeError);
      }
    }));
  });

  it("base64url has one spelling, bytes are bytes, and CBOR that was read is answered as it stood", () => {
    for (const text of ["", "AA", "-_8", "eyJ4IjoxfQ"]) expect(base64.fromBuffer(base64.toBuffer(text))).toBe(text);
    for (const text of ["A", "AA==", "AB", "A+", "A/", "A A", "é"]) {
      expect(() => base64.toBuffer(text), text).toThrow();
      expect(base64.isBase64URL(text), text).toBe(false);
    }
    expect(base64.toUTF8String("eyJ4IjoxfQ")).toBe('{"x":1}');
    expect([...bytesOf.fromHex("00a1ff"), ...bytesOf.fromASCIIString("a.b")]).toEqual([0, 0xa1, 0xff, 0x61, 0x2e, 0x62]);
    expect([bytesOf.areEqual(Uint8Array.of(1), Uint8Array.of(1)), bytesOf.areEqual(Uint8Array.of(1), Uint8Array.of(2)), bytesOf.areEqual(Uint8Array.of(1), Uint8Array.of(1, 2))]).toEqual([true, false, false]);
    expect(bytesOf.toDataView(Uint8Array.of(0, 1, 2).subarray(1)).getUint16(0)).toBe(0x0102);
    const written = encodeCBOR(new Map<string, number | Uint8Array>([["a", 1], ["b", new Uint8Array(3)]]));
    const value = cbor.decodeFirst(new Uint8Array([...written, 0xff, 0xff]));
    expect(cbor.encode(value as object)).toEqual(written);
    expect(() => cbor.encode(new Map())).toThrow();
    expect(() => cbor.decodeFirst(new Uint8Array())).toThrow();
  });
});
