/**
 * Every kind of credential × everything that is done to one (classes E, F and G), generated: a
 * cell a test. And every JWT that Postern accepts × everything that may be wrong with one.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CheckName, Checker, CHECKS } from "./checks.ts";
import { EXPECTED } from "./expected-cells.ts";
import { ENROL_PROOF_FAULTS, ID_TOKEN_FAULTS, tryEnrolProof, tryIdToken } from "./jwt-faults.ts";
import { exchange, type KindName, KINDS } from "./kinds.ts";
import { type Ground, matrixGround } from "./matrix-ground.ts";
import { valuesAt } from "../corpus/recording-origin.ts";
import { ask, upgrade } from "./plain-request.ts";

const kinds = Object.keys(KINDS) as KindName[];
const checks = Object.keys(CHECKS) as CheckName[];
const isEmpty = (cell: string): boolean => cell.startsWith("–");
const WHOLE_RUN_MS = 90_000;
/** A refusal of something huge or hostile must not cost the edge a second of work. */
const CHEAP_MS = 1_000;

let ground: Ground;
let checker: Checker;

beforeAll(async () => {
  ground = await matrixGround();
  checker = new Checker(ground);
  await checker.beginExpiries(kinds.filter((kind) => !isEmpty(EXPECTED[kind]["at its end"])));
}, WHOLE_RUN_MS);
afterAll(() => ground?.stop());

describe("the table of credentials", () => {
  it("has a cell for every kind and check, and says why where there is nothing to do", () => {
    const wrong = kinds.flatMap((kind) => checks.filter((check) => !/^(?:– .{10,}|[0-9].*)$/.test(EXPECTED[kind]?.[check] ?? "")).map((check) => `${kind} ${check}`));
    expect(wrong).toEqual([]);
    expect(Object.keys(EXPECTED).sort()).toEqual([...kinds].sort());
    expect(kinds.flatMap((kind) => Object.keys(EXPECTED[kind]).filter((check) => !checks.includes(check as CheckName)))).toEqual([]);
  });

  for (const kind of kinds) {
    for (const check of checks) {
      const cell = EXPECTED[kind][check];
      if (isEmpty(cell)) continue;
      it(`${kind} ${check} → ${cell}`, async () => {
        expect(await CHECKS[check](checker, kind)).toBe(cell);
      }, WHOLE_RUN_MS);
    }
  }
});

describe("an ID token at the token endpoint (RFC 8693)", () => {
  it.each(Object.entries(ID_TOKEN_FAULTS))("%s → refused, quickly", async (_name, fault) => {
    const answer = await tryIdToken(ground, fault);
    expect(`${answer.status} ${answer.code}`).toMatch(/^400 invalid_request(?:\/token_invalid|\/clock_wrong)?$/);
    expect(answer.text).not.toContain("access_token");
    expect(answer.workedMs).toBeLessThan(CHEAP_MS);
  });

  it("without a fault → a bearer, so that the faults are what is refused", async () => {
    const answer = await tryIdToken(ground, (good) => good.sign(good.claims));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toMatchObject({ token_type: "Bearer", expires_in: expect.any(Number) as number });
  });

  it.each([
    ["an app that is not", "gamma", "400 invalid_target"],
    ["the administration", "postern:admin", "400 invalid_target"],
    ["another's address", "http://alpha.elsewhere.example/", "400 invalid_target"],
  ])("for %s → %s %s", async (_name, audience, expected) => {
    const answer = await exchange(ground, await ground.issuer.idToken(ground.freshPerson(), "robots"), audience);
    expect(`${answer.status} ${answer.code}`).toBe(expected);
  });

  it("a stranger learns from it of no app: one that is and one that is not answer alike (promise 1)", async () => {
    const [is, isNot] = await Promise.all([exchange(ground, "a.b.c", "alpha"), exchange(ground, "a.b.c", "gamma")]);
    expect([is.status, is.text]).toEqual([isNot.status, isNot.text]);
  });

  it("a parameter given twice → 400 invalid_request", async () => {
    const token = await ground.issuer.idToken(ground.freshPerson(), "robots");
    const body = `grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token_type=urn:ietf:params:oauth:token-type:id_token&subject_token=${token}&audience=beta&audience=alpha`;
    const answer = await ask({ url: `${ground.launcher}/.postern/token`, method: "POST", headers: [["Content-Type", "application/x-www-form-urlencoded"]], body });
    expect(`${answer.status} ${answer.code}`).toBe("400 invalid_request");
  });

  it("an ID token from before its user was revoked buys nothing", async () => {
    const user = ground.freshPerson();
    const token = await ground.issuer.idToken(user, "robots");
    expect((await exchange(ground, token)).status).toBe(200);
    await ground.ops.revoke("user", `${user}@example.com`);
    const again = await exchange(ground, token);
    expect(`${again.status} ${again.code}`).toBe("400 invalid_request/revoked");
  });
});

describe("a proof of key at the enrolment", () => {
  it.each(Object.entries(ENROL_PROOF_FAULTS))("%s → refused, quickly, and the token is not spent", async (_name, fault) => {
    const token = await ground.enrollToken();
    const answer = await tryEnrolProof(ground, token, fault);
    expect(`${answer.status} ${answer.code}`).toBe("400 bad_argument");
    expect(answer.workedMs).toBeLessThan(CHEAP_MS);
    expect((await ground.enroll(token)).status).toBe(200);
  });

  it("without a fault → enrolled, so that the faults are what is refused", async () => {
    const answer = await tryEnrolProof(ground, await ground.enrollToken(), (good) => good.sign(good.claims));
    expect(answer.status).toBe(200);
  });
});

describe("what is not ours", () => {
  it.each(["Bearer an-app's-own", "Basic dXNlcjpwYXNz", 'Digest username="a"', "pst_short", `Bearer ${"x".repeat(4_000)}`])("the Authorization of an app's own passes untouched: %s", async (value) => {
    const held = await checker.shared("app cookie");
    const mark = checker.mark();
    const answer = await ask({ url: ground.at("alpha", `/${mark}`), headers: [...held.carry(held.value), ["Authorization", value]] });
    expect(answer.status).toBe(200);
    const hit = ground.origin.hits.find(({ target }) => target.includes(mark));
    expect(valuesAt(hit, "authorization")).toEqual([value]);
    expect(valuesAt(hit, "cookie")).toEqual([]);
  });

  it("a token of ours hidden in one of two Basic headers reaches no app", async () => {
    const [held, service] = [await checker.shared("app cookie"), await checker.shared("service token as Basic password")];
    const mark = checker.mark();
    const answer = await ask({ url: ground.at("alpha", `/${mark}`), headers: [...held.carry(held.value), ["Authorization", "Basic dXNlcjpwYXNz"], ...service.carry(service.value)] });
    expect(`${answer.status} ${answer.code}`).toBe("401 token_invalid");
    expect(ground.hits(mark)).toBe(0);
  });
});

describe("the connectors' door", () => {
  it("somebody who knows a connector's id but not its key is refused at the hello, and displaces nobody", async () => {
    const service = await checker.shared("service token as Bearer");
    const { status, socket, heard } = await upgrade(`${ground.launcher}/.postern/connect?connector=${ground.connector.id}&lane=0`, service.carry(service.value), ["postern.v1"]);
    expect(status).toBe(101);
    const closed = new Promise<void>((over) => socket?.on("close", () => over()));
    socket?.send(JSON.stringify({ t: "hello", v: 1, connector: ground.connector.id, instance: "A".repeat(22), dh: "A".repeat(43), time: Date.now(), versions: [1], software: "none", signature: "A".repeat(86) }));
    await closed;
    expect(heard.map((text) => (JSON.parse(text) as { t: string }).t)).toEqual(["challenge", "refuse"]);
    expect(await checker.present(service)).toBe("200 +1");
  });
});

describe("cookies in bulk (class G)", () => {
  const own = async (): Promise<string> => {
    const held = await checker.shared("app cookie");
    return held.carry(held.value)[0]?.[1] ?? "";
  };
  it.each<[string, () => string, string]>([
    ["100 of an app's own", () => Array.from({ length: 100 }, (_, index) => `c${index}=v`).join("; "), "200 +1"],
    ["300", () => Array.from({ length: 300 }, (_, index) => `c${index}=v`).join("; "), "431 headers_too_large"],
    ["one of 40 kB", () => `big=${"x".repeat(40_000)}`, "431 headers_too_large"],
    ["a count of chunks", () => "__Host-postern-chunks=999999999; __Host-postern.0=x", "200 +1"],
    ["ours under a Unicode blank", () => `\u00a0__Host-postern=${"0".repeat(64)}.${"A".repeat(43)}`, "200 +1"],
  ])("%s", async (_name, cookies, expected) => {
    const line = `${await own()}; ${cookies()}`;
    expect(await checker.outcome((mark) => ask({ url: ground.at("alpha", `/${mark}`), headers: [["Cookie", line]] }))).toBe(expected);
  });
});

describe("after all of it", () => {
  it("no log of any process holds a secret that was made (promise 10)", () => {
    const logs = join(ground.stack.stateDirectory, "logs");
    const text = readdirSync(logs).map((name) => readFileSync(join(logs, name), "utf8")).join("\n");
    expect(ground.secrets.size).toBeGreaterThan(100);
    const found = [...ground.secrets].filter((secret) => text.includes(secret.split(".").at(-1) ?? secret));
    expect(found).toEqual([]);
    expect(text.length).toBeGreaterThan(0);
  });

  it("the app was never sent what is no HTTP request", () => {
    expect(ground.origin.complaints).toEqual([]);
  });
});
