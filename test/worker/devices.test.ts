/** Devices at the edge: which objects a request reaches, and what is on record before what. */
import { listDurableObjectIds } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { toBase64Url } from "../../core/bytes.ts";
import type { SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { EDGE_AUDIT_NAMES } from "../../durable-objects/bindings.ts";
import { Control } from "../../durable-objects/control/control.ts";
import { digestOf } from "../../identity/digest.ts";
import { formatServiceToken, formatSessionToken, hashSecret } from "../../identity/session-token.ts";
import { SESSION_COOKIE } from "../../worker/cookies.ts";
import { documentFor, objects, randomText, sessionOf, signedIn, stubs, wipe } from "../objects/deployment.ts";
import { deviceOf, GOOD, TestDevice } from "../objects/test-device.ts";
import { isolate, statusOf } from "./isolate.ts";

const LAUNCHER = "access.example.com";

const secret = crypto.getRandomValues(new Uint8Array(32));
const guess = (): string => `d_${randomText(32)}`;
const countObjects = async (): Promise<number> => (await listDurableObjectIds(stubs.DEVICE)).length;
const report = (edge: ReturnType<typeof isolate>, id: string, body = "x"): Promise<number> => statusOf(edge(LAUNCHER, `/.postern/devices/${id}/report`, { method: "POST", body }));

let operator: { id: string; secret: Uint8Array<ArrayBuffer> };
beforeEach(async () => {
  operator = { id: randomText(16), secret: crypto.getRandomValues(new Uint8Array(32)) };
  const token = { tokenId: operator.id, hash: toBase64Url(await hashSecret(operator.secret)), expiresAt: Date.now() + 3_600_000 };
  expect((await objects.CONTROL.getByName("control").setup({ ...documentFor(["wiki"]), namesOperator: true, token })).ok).toBe(true);
});
afterEach(wipe);

async function atLauncher(): Promise<SessionId> {
  const hash = toBase64Url(await hashSecret(secret));
  return signedIn(undefined, { credential: { kind: "cookie", audience: `host:${LAUNCHER}`, hash, expiresAt: Date.now() + 3_600_000 } });
}
const bind = (sid: SessionId, device: string, code: string): Promise<number> =>
  statusOf(isolate()(LAUNCHER, "/.postern/devices/bind", { method: "POST", headers: { origin: `https://${LAUNCHER}`, cookie: `${SESSION_COOKIE}=${formatSessionToken({ sid, secret })}` }, body: new URLSearchParams({ device, code }) }));

/** What the record says of devices, in order. */
async function recorded(): Promise<unknown[]> {
  const events = await Promise.all(EDGE_AUDIT_NAMES.map((name) => objects.AUDIT.getByName(name).since(0, 100)));
  return events.flat().filter(({ kind }) => kind === "device").toSorted((a, b) => a.at - b.at).map(({ data }) => [data["act"], data["device"], data["refused"] === true]);
}

describe("an id that somebody invented", () => {
  it("reaches no object: not by a report, not by a link, not by another system's event", async () => {
    const sid = await atLauncher();
    const before = await countObjects();
    const edge = isolate();
    expect(await Promise.all(Array.from({ length: 5 }, () => report(edge, guess())))).toEqual([404, 404, 404, 404, 404]);
    expect(await bind(sid, guess(), "code")).toBe(400);
    const compliant = { value: false, source: "ssf:mdm", observedAt: at(Date.now()) };
    await objects.CONTROL.getByName("control").hear({ source: "ssf:mdm", id: "1", issuer: "https://login.example.com", statements: [{ name: "device-compliance-change", named: { sub: "ann", device: guess() }, effect: { kind: "facts", facts: { "device.compliant": compliant } } }] });
    expect(await countObjects()).toBe(before);
  });

  it("is asked anew, so that a device may report the moment it is enrolled, and is known from then on", async () => {
    const [edge, device] = [isolate(), await TestDevice.make()];
    expect(await report(edge, device.id, await device.sign(GOOD))).toBe(404);
    await device.enrol(await atLauncher());
    const asked = vi.spyOn(Control.prototype, "isDevice");
    const sent = await device.sign(GOOD);
    expect([await report(edge, device.id, sent), await report(edge, device.id, sent)]).toEqual([200, 200]);
    expect(asked).toHaveBeenCalledTimes(1);
  });
});

describe("a link that makes a browser count as a device", () => {
  it("with a wrong code changes nothing of what the session goes by, and is on record as refused", async () => {
    const sid = await atLauncher();
    const [one, two] = [await TestDevice.enrolled(sid), await TestDevice.enrolled(await signedIn())];
    await one.report();
    await two.report(GOOD, { bind: await digestOf("code") });
    const facts = async (): Promise<Record<string, unknown>> => (await sessionOf(sid).describe())?.facts ?? {};
    const before = await facts();
    expect(before["device.os"]).toBeDefined();
    expect(await bind(sid, two.id, "another code")).toBe(400);
    expect(await facts()).toEqual(before);
    expect(await recorded()).toEqual([["bind", two.id, true]]);
    expect(await bind(sid, two.id, "code")).toBe(200);
    expect(await facts()).toMatchObject({ "device.id": { value: two.id }, "device.os": { value: "linux" } });
    expect((await recorded())[1]).toEqual(["bind", two.id, false]);
    expect((await deviceOf(one.id).describe())?.sessions).toBe(0);
  });
});

describe("what another system says of a device", () => {
  it("is refused, and on record as that, when the device used up its names; that it is not compliant always finds place", async () => {
    const device = await TestDevice.enrolled(await signedIn());
    await device.report(Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`n${n}`, true])));
    const say = (...names: readonly string[]): Promise<number> => {
      const facts = Object.fromEntries(names.map((name) => [name, { value: false, expires_at: new Date(Date.now() + 60_000).toISOString() }]));
      return statusOf(isolate()(LAUNCHER, `/.postern/api/v1/devices/${device.id}/facts`, { method: "POST", headers: { authorization: `Bearer ${formatServiceToken(operator)}`, "content-type": "application/json" }, body: JSON.stringify({ facts }) }));
    };
    expect(await say(...Array.from({ length: 9 }, (_, n) => `m${n}`))).toBe(400);
    expect(await say("compliant")).toBe(200);
    expect((await recorded()).map((one) => (one as unknown[])[2])).toEqual([false, true, false]);
    const facts = (await deviceOf(device.id).describe())?.facts;
    expect([facts?.["compliant"], facts?.["m0"]]).toEqual([false, undefined]);
  });
});
