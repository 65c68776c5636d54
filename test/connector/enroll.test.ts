import { once } from "node:events";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { compactVerify } from "jose";
import { afterEach, describe, expect, it } from "vitest";
import { enroll } from "../../connector/enroll.ts";
import type { EnrollRequest } from "../../connector/enroll.ts";
import { Failure } from "../../connector/failure.ts";
import { loadState, requirePrivate } from "../../connector/state.ts";
import { parseConnectorKey } from "../../identity/connector-proof.ts";
import { CONNECTOR, SITE, TestEdge, must } from "./test-edge.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

interface Seen {
  readonly url: string | undefined;
  readonly host: string | undefined;
  readonly body: { token: string; public_key: Record<string, string>; name: string; proof: string };
}

async function edgeThat(answer: (seen: Seen, keySet: string) => { status: number; body: string; headers?: Record<string, string> }): Promise<{ url: string; seen: Seen[] }> {
  const keys = await TestEdge.start();
  keys.close();
  const seen: Seen[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    let text = "";
    request.on("data", (part: Buffer) => (text += part.toString()));
    request.on("end", () => {
      const one: Seen = { url: request.url, host: request.headers.host, body: JSON.parse(text) as Seen["body"] };
      seen.push(one);
      const { status, body, headers } = answer(one, keys.keySet);
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return { url: `http://postern.localhost:${(server.address() as AddressInfo).port}`, seen };
}

const good = (_seen: Seen, keySet: string) => ({ status: 200, body: JSON.stringify({ connector: CONNECTOR, site: SITE, lanes: 2, keys: keySet, edge: "http://postern.localhost:1" }) });

function request(url: string, changes: Partial<EnrollRequest> = {}): EnrollRequest {
  const directory = temporaryFolder("enroll");
  const tokenFile = join(directory, "token");
  writeFileSync(tokenFile, "pen_canary.secret\n");
  return { url, tokenFile, allow: { kind: "list", endpoints: [{ host: "10.0.0.5", port: 8080 }, { host: "::1", port: 22 }] }, name: "box", replace: false, state: join(directory, "state"), ca: undefined, ...changes };
}

async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(() => undefined, (caught: unknown) => caught);
  if (!(error instanceof Failure)) throw new Error(`expected a Failure, got ${String(error)}`);
  return error;
}

describe("enroll", () => {
  it("makes a key here, proves it, and stores who it is; *.localhost is never resolved", async () => {
    const { url, seen } = await edgeThat(good);
    const asked = request(url);
    await enroll(asked, {}, Date.now);
    expect(seen[0]).toMatchObject({ url: "/.postern/connectors/enroll", host: new URL(url).host, body: { token: "pen_canary.secret", name: "box" } });
    const { public_key, proof } = must(seen[0]).body;
    expect(public_key["d"]).toBeUndefined();
    const { payload, protectedHeader } = await compactVerify(proof, public_key);
    expect(protectedHeader).toMatchObject({ alg: "EdDSA" });
    const claims = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
    const key = must(await parseConnectorKey(JSON.parse(readFileSync(join(asked.state, "key.json"), "utf8"))));
    expect(claims).toMatchObject({ token_hash: createHash("sha256").update("pen_canary.secret").digest("base64url"), thumbprint: key.thumbprint });

    expect(loadState(asked.state)).toMatchObject({ connector: CONNECTOR, site: SITE, lanes: 2, allow: asked.allow, edge: new URL("http://postern.localhost:1") });
    expect(statSync(asked.state).mode & 0o777).toBe(0o700);
    expect(statSync(join(asked.state, "key.json")).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(asked.state, "connector.json"), "utf8")).not.toContain("canary");
  });

  it("refuses to replace an enrolment unless told to", async () => {
    const { url, seen } = await edgeThat(good);
    const asked = request(url);
    await enroll(asked, {}, Date.now);
    expect(await failureOf(enroll(asked, {}, Date.now))).toMatchObject({ code: "already_enrolled", exit: 1 });
    expect(seen.length).toBe(1);
    await enroll({ ...asked, replace: true, allow: { kind: "site_config" } }, {}, Date.now);
    expect(loadState(asked.state).allow).toEqual({ kind: "site_config" });
  });

  it.each<[string, Parameters<typeof edgeThat>[0], string]>([
    ["a spent token", () => ({ status: 403, body: JSON.stringify({ error: { code: "enroll_token_invalid", message: "the token was used", fix: ["postern enroll-token berlin"] } }) }), "enroll_token_invalid"],
    ["a page of another site", () => ({ status: 200, body: "<html>" }), "odd_answer"],
    ["an error of another site", () => ({ status: 502, body: "<html>" }), "not_postern"],
    ["a connector id that is none", (_seen, keySet) => ({ status: 200, body: JSON.stringify({ connector: "../x", site: SITE, lanes: 1, keys: keySet }) }), "odd_answer"],
    ["a thousand lanes", (_seen, keySet) => ({ status: 200, body: JSON.stringify({ connector: CONNECTOR, site: SITE, lanes: 1_000, keys: keySet }) }), "odd_answer"],
    ["a key set that nobody signed", () => ({ status: 200, body: JSON.stringify({ connector: CONNECTOR, site: SITE, lanes: 1, keys: "a.b.c" }) }), "key_set"],
    ["a clock an hour off", () => ({ status: 403, body: "{}", headers: { date: new Date(Date.now() + 3_600_000).toUTCString() } }), "clock"],
  ])("%s: refused, and nothing is stored", async (_title, answer, code) => {
    const { url } = await edgeThat(answer);
    const asked = request(url);
    const failure = await failureOf(enroll(asked, {}, Date.now));
    expect(failure).toMatchObject({ code, exit: 1 });
    expect(`${failure.message}${failure.why}${failure.next}`).not.toContain("canary");
    expect(existsSync(asked.state)).toBe(false);
  });

  it.each([
    ["http to a remote host", "http://edge.example"],
    ["no URL", "edge"],
    ["credentials in the URL", "https://u:p@edge.example"],
  ])("%s is wrong usage", async (_title, url) => {
    expect(await failureOf(enroll(request(url), {}, Date.now))).toMatchObject({ exit: 2 });
  });

  it("says what to do when nobody answers, and when the token file is not there", async () => {
    expect(await failureOf(enroll(request("http://127.0.0.1:1"), {}, Date.now))).toMatchObject({ code: "unreachable" });
    expect(await failureOf(enroll(request("http://127.0.0.1:1", { tokenFile: "/nonexistent/token" }), {}, Date.now))).toMatchObject({ code: "token_unreadable" });
  });
});

describe("the state directory", () => {
  it("a key that others can read is refused", async () => {
    const edge = await TestEdge.start();
    edge.close();
    const state = edge.stateDirectory();
    chmodSync(join(state, "key.json"), 0o644);
    expect(() => requirePrivate(state, "key")).toThrow(Failure);
    await expect(edge.connector(undefined, { state })).rejects.toMatchObject({ code: "key_exposed" });
  });

  it.each<[string, (record: Record<string, unknown>) => unknown]>([
    ["another version", (record) => ({ ...record, version: 2 })],
    ["no allow-list", ({ allow: _allow, ...record }) => record],
    ["an allow-list with a wild entry", (record) => ({ ...record, allow: [{ host: "*", port: 80 }] })],
    ["an allow-list of another type", (record) => ({ ...record, allow: true })],
    ["no key set", (record) => ({ ...record, keySet: undefined })],
    ["another connector id", (record) => ({ ...record, connector: "c" })],
  ])("%s is never read as permission", async (_title, spoil) => {
    const edge = await TestEdge.start();
    edge.close();
    const state = edge.stateDirectory();
    const path = join(state, "connector.json");
    writeFileSync(path, JSON.stringify(spoil(JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>)));
    expect(() => loadState(state)).toThrow(Failure);
  });
});
