import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseCommandLine } from "../../connector/command-line.ts";
import { endorse } from "../../connector/endorse.ts";
import { Endorsements } from "../../connector/endorsements.ts";
import { Failure } from "../../connector/failure.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { ed25519Jwk, verifyEndorsement } from "../../identity/endorsement.ts";
import { MAX_ENDORSEMENTS_COUNT } from "../../protocol/limits.ts";
import { afterThisTest } from "./connected-edge.ts";
import { SITE, TestEdge, must } from "./test-edge.ts";

const NOW = (): number => 1_790_000_000_000;
const folder = (): string => mkdtempSync(join(tmpdir(), "postern-endorse-"));

async function enrolled(): Promise<{ edge: TestEdge; state: string }> {
  const edge = await TestEdge.start();
  afterThisTest(() => edge.close());
  return { edge, state: edge.stateDirectory() };
}

function offline(mode = 0o600, type: "ed25519" | "x25519" = "ed25519"): { file: string; x: string } {
  const { privateKey, publicKey } = type === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519");
  const file = join(folder(), "offline.pem");
  writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }));
  chmodSync(file, mode);
  return { file, x: must(publicKey.export({ format: "jwk" }).x) };
}

const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
  const error: unknown = await work.then(() => undefined, (thrown: unknown) => thrown);
  if (!(error instanceof Failure)) throw new Error("expected a Failure");
  return error;
};

describe("an endorsement", () => {
  it("TL4: of a connector is for its own edge and site", async () => {
    const { edge, state } = await enrolled();
    const other = await generateConnectorKey(crypto.subtle);
    const jws = await endorse({ key: other.publicJwk.x, signWith: undefined, edge: undefined, site: undefined, state }, NOW);
    expect(await verifyEndorsement(jws, [edge.connectorKey.publicJwk], edge.url.origin, SITE)).toBe(other.publicJwk.x);
    for (const [signers, at, site] of [[[other.publicJwk], edge.url.origin, SITE], [[edge.connectorKey.publicJwk], "https://other.example", SITE], [[edge.connectorKey.publicJwk], edge.url.origin, "paris"]] as const) {
      expect(await verifyEndorsement(jws, signers, at, site as typeof SITE)).toBeUndefined();
    }
  });

  it("TL4: of the offline key is for the edge and site that are named, and needs no state", async () => {
    const { file, x } = offline();
    const other = await generateConnectorKey(crypto.subtle);
    const jws = await endorse({ key: other.publicJwk.x, signWith: file, edge: "https://access.example.com/", site: "berlin", state: "nowhere" }, NOW);
    expect(await verifyEndorsement(jws, [must(await ed25519Jwk(x))], "https://access.example.com", SITE)).toBe(other.publicJwk.x);
  });

  it("is not made of what is no key, for itself, or with a key that others can read", async () => {
    const { edge, state } = await enrolled();
    const key = (await generateConnectorKey(crypto.subtle)).publicJwk.x;
    const own = { signWith: undefined, edge: undefined, site: undefined, state };
    const asked = { key, edge: "https://access.example.com", site: "berlin", state };
    expect(await failureOf(endorse({ ...own, key: "short" }, NOW))).toMatchObject({ exit: 2 });
    expect(await failureOf(endorse({ ...own, key: edge.connectorKey.publicJwk.x }, NOW))).toMatchObject({ exit: 2 });
    expect(await failureOf(endorse({ ...own, key, site: "berlin" }, NOW))).toMatchObject({ exit: 2 });
    expect(await failureOf(endorse({ ...asked, signWith: offline().file, site: undefined }, NOW))).toMatchObject({ exit: 2 });
    expect(await failureOf(endorse({ ...asked, signWith: offline(0o644).file }, NOW))).toMatchObject({ code: "key_exposed" });
    expect(await failureOf(endorse({ ...asked, signWith: offline(0o600, "x25519").file }, NOW))).toMatchObject({ code: "offline_key" });
    expect(await failureOf(endorse({ ...asked, signWith: join(state, "connector.json") }, NOW))).toMatchObject({ code: "offline_key" });
  });

  it("goes with status, and its options with it", () => {
    expect(parseCommandLine(["status", "--endorse", "K", "--sign-with", "f", "--edge", "https://x.example", "--site", "s"], {})).toMatchObject({ kind: "endorse", key: "K", signWith: "f", edge: "https://x.example", site: "s" });
    for (const argv of [["status", "--sign-with", "f"], ["run", "--endorse", "K"]]) expect(() => parseCommandLine(argv, {})).toThrow(Failure);
  });
});

describe("the file of endorsements", () => {
  it("is read anew when it changes; lines that are none are left out, and of too many the newest stay", () => {
    const state = folder();
    const file = join(state, "endorsements");
    const read = new Endorsements(state);
    expect(read.current()).toEqual([]);
    writeFileSync(file, "a.b.c\n# a remark\n\nd.e.f\n");
    expect(read.current()).toEqual(["a.b.c", "d.e.f"]);
    writeFileSync(file, Array.from({ length: 20 }, (_, i) => `a.b.${i}`).join("\n"));
    expect(new Endorsements(state).current()).toEqual(Array.from({ length: MAX_ENDORSEMENTS_COUNT }, (_, i) => `a.b.${i + 4}`));
    writeFileSync(file, "x".repeat(3_000));
    expect(new Endorsements(state).current()).toEqual([]);
    // One that cannot even be looked at is none, and one that can be again is read.
    rmSync(file);
    symlinkSync(file, file);
    expect(read.current()).toEqual([]);
    rmSync(file);
    writeFileSync(file, "a.b.c");
    expect(read.current()).toEqual(["a.b.c"]);
  });
});
