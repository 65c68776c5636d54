/** The verifier that docs/assertions.md tells apps to copy, run as it is written there against our own signatures. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AppId, SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { signAdmission } from "../../identity/admission.ts";
import { type AssertionClaims, signAssertion } from "../../identity/assertion.ts";
import { type KeyRing, newKeyRing, publicKeySet } from "../../identity/keys.ts";
import { blocksOf } from "./our-documents.ts";
import { PROJECT } from "./source-files.ts";

type Caller = (request: { readonly headers: Readonly<Record<string, string>> }) => Promise<Readonly<Record<string, unknown>> | undefined>;

const folder = mkdtempSync(join(tmpdir(), "postern-page-"));
const now = at(Date.now());
let assertions: KeyRing;
let admissions: KeyRing;
let launcher = "";
let caller: Caller;
const server = createServer((_request, response) => response.setHeader("content-type", "application/json").end(JSON.stringify(publicKeySet(assertions, admissions))));

beforeAll(async () => {
  assertions = await newKeyRing("assertion", now, crypto.subtle);
  admissions = await newKeyRing("admission", now, crypto.subtle);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  launcher = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const text = blocksOf("docs/assertions.md").find(({ info }) => info.join(" ") === "js verifier")?.text ?? "";
  const jose = pathToFileURL(join(PROJECT, "node_modules/jose/dist/webapi/index.js")).href;
  const file = join(folder, "verifier.mjs");
  writeFileSync(file, text.replace('"jose"', JSON.stringify(jose)).replace("https://access.example.com", launcher));
  ({ caller } = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as { readonly caller: Caller });
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const claims = (change: Partial<AssertionClaims> = {}): AssertionClaims => ({ issuer: launcher, app: "wiki" as AppId, sub: "u_alice", sid: "0".repeat(64) as SessionId, email: "alice@example.com", groups: ["corp:staff"], ...change });
const shown = async (jwt: Promise<string> | string): ReturnType<Caller> => caller({ headers: { "x-postern-assertion": await jwt } });

describe("the verifier of docs/assertions.md", () => {
  it("tells who is asking", async () => {
    expect(await shown(signAssertion(claims(), assertions.current, now))).toMatchObject({ sub: "u_alice", email: "alice@example.com", groups: ["corp:staff"], aud: "wiki" });
    expect(await shown(signAssertion(claims(), assertions.next, now))).toMatchObject({ sub: "u_alice" });
  });

  it("refuses another app's, another launcher's, an old one, a foreign key, an admission, nonsense and nothing", async () => {
    const foreign = await newKeyRing("assertion", now, crypto.subtle);
    const admission = { sid: "0".repeat(64) as SessionId, app: "wiki" as AppId, site: "office" as never, epoch: 1, policyVersion: 1, connector: "k" };
    expect(await shown(signAssertion(claims({ app: "pay" as AppId }), assertions.current, now))).toBeUndefined();
    expect(await shown(signAssertion(claims({ issuer: "https://evil.example" }), assertions.current, now))).toBeUndefined();
    expect(await shown(signAssertion(claims(), assertions.current, at(now - 120_000)))).toBeUndefined();
    expect(await shown(signAssertion(claims(), foreign.current, now))).toBeUndefined();
    expect(await shown(signAdmission(admission, admissions.current, now))).toBeUndefined();
    expect(await shown("a.b.c")).toBeUndefined();
    expect(await caller({ headers: {} })).toBeUndefined();
  });
});
