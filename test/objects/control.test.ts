import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SessionId } from "../../core/ids.ts";
import { Audit } from "../../durable-objects/audit/audit.ts";
import { CONTROL_AUDIT_NAME } from "../../durable-objects/bindings.ts";
import { User } from "../../durable-objects/user/user.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { documentFor, objects, outcome, randomText, setUp, signedIn, sessionOf, stubs, tokenOf, userId, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";

// A stub does not outlive a reset.
const control = (): ReturnType<typeof objects.CONTROL.getByName> => objects.CONTROL.getByName("control");
const stub = (): DurableObjectStub => stubs.CONTROL.getByName("control");

afterEach(wipe);

const parallel = <T>(count: number, act: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: count }, act));

describe("setting up (CONTRACT, Administration)", () => {
  it("succeeds once of fifty at a time, and never again", async () => {
    const request = { ...documentFor(["wiki"]), namesOperator: true };
    const all = await parallel(50, () => control().setup({ ...request, token: tokenOf() }));
    expect(all.filter((one) => one.ok)).toHaveLength(1);
    expect(await control().setupOpen()).toBe(false);
    await evictDurableObject(stub());
    expect((await control().setup({ ...request, token: tokenOf() })).ok).toBe(false);
    expect(await control().history()).toHaveLength(1);
  });

  it("stays open while no document names an operator", async () => {
    expect((await control().setup({ ...documentFor(["wiki"]), namesOperator: false, token: tokenOf() })).ok).toBe(true);
    expect(await control().setupOpen()).toBe(true);
    expect((await control().setup({ ...documentFor(["wiki"]), namesOperator: true, token: tokenOf() })).ok).toBe(true);
    expect(await control().setupOpen()).toBe(false);
  });
});

describe("versions of the policy", () => {
  it("of fifty that expect the same version one is applied", async () => {
    await setUp();
    const all = await parallel(50, () => control().apply({ ...documentFor(["wiki"]), expectVersion: 1, by: "internal", namesOperator: true }));
    expect(all.filter((one) => one.ok)).toHaveLength(1);
    expect(all.filter((one) => !one.ok && one.code === "version_conflict")).toHaveLength(49);
    expect((await control().policy())?.version).toBe(2);
  });

  it("survive a sleep, are told only to who does not know them, and stay readable when they are past", async () => {
    await setUp();
    await control().apply({ ...documentFor(["crm"]), by: "internal", namesOperator: true });
    await evictDurableObject(stub());
    expect((await control().policy(1))?.version).toBe(2);
    expect(await control().policy(2)).toBeUndefined();
    expect((await control().version(1))?.document.policies[0]?.apps.toSorted()).toEqual(["crm", "my", "pg", "wiki"]);
    expect((await control().policyText())?.text).toBe(documentFor(["crm"]).text);
  });
});

describe("whoever changes something is asked about in the step that commits it (M1)", () => {
  const apply = async (sid: SessionId, policyVersion = 1): Promise<unknown> =>
    control().apply({ ...documentFor(["wiki"]), by: { name: "ann", sid, subject: userId(), policyVersion }, namesOperator: true });
  const changed = { ok: false, code: "actor_changed" };

  it("a live session under the live version acts", async () => {
    await setUp();
    expect(await apply(await signedIn())).toMatchObject({ ok: true });
  });

  it("decided by a version that is no longer live: to be decided again", async () => {
    await setUp();
    const sid = await signedIn();
    await apply(sid);
    expect(await apply(sid, 1)).toMatchObject(changed);
    expect(await apply(sid, 2)).toMatchObject({ ok: true });
  });

  it("an ended session does not", async () => {
    await setUp();
    const sid = await signedIn();
    await sessionOf(sid).end("revoked", "self");
    expect(await apply(sid)).toMatchObject(changed);
    expect(await control().history()).toHaveLength(1);
  });
});

describe("enrolment tokens", () => {
  it("enrol one connector of fifty at a time", async () => {
    await setUp();
    const hash = randomText(32);
    await control().createEnrollToken({ site: "berlin" as never, hash, expiresAt: Date.now() + 60_000, by: "internal" });
    const key = await generateConnectorKey(crypto.subtle);
    const all = await parallel(50, () => control().enroll({ tokenHash: hash, publicKey: key.publicJwk, thumbprint: key.thumbprint, name: "nas" }));
    expect(all.filter((one) => one.ok)).toHaveLength(1);
    expect(await control().connectors()).toHaveLength(1);
  });

  it("are not made for a site that the document does not name", async () => {
    await setUp();
    expect(await control().createEnrollToken({ site: "paris" as never, hash: "h", expiresAt: Date.now() + 60_000, by: "internal" })).toMatchObject({ ok: false, code: "unknown_site" });
  });
});

describe("service tokens (CONTRACT: two valid at a time)", () => {
  const create = (): ReturnType<ReturnType<typeof control>["createService"]> => control().createService({ name: "backup", ...tokenOf(), by: "internal" });

  it("of twenty that are made at once two are, and no third afterwards", async () => {
    await setUp();
    const all = await parallel(20, create);
    expect(all.filter((one) => one.ok)).toHaveLength(2);
    expect(await create()).toMatchObject({ ok: false, code: "too_many_tokens" });
    expect((await control().services()).filter((one) => one.name === "backup")).toHaveLength(2);
  });

  it("one that could not be made takes no place", async () => {
    await setUp();
    vi.spyOn(User.prototype, "signIn").mockRejectedValue(new Error("disk"));
    expect(await outcome(create)).toBe("failed");
    expect(await outcome(create)).toBe("failed");
    vi.restoreAllMocks();
    expect((await parallel(2, create)).every((one) => one.ok)).toBe(true);
  });

  it("all stop when the service is revoked; new ones can be made", async () => {
    await setUp();
    const token = tokenOf();
    await control().createService({ name: "backup", ...token, by: "internal" });
    const session = objects.SESSION.get(objects.SESSION.idFromName(`service:${token.tokenId}`));
    expect(await session.verify("app:wiki", token.hash)).toBeDefined();
    const done = await control().revoke({ kind: "service", id: "backup", by: "internal" });
    expect(done.ok && done.receipt.complete).toBe(true);
    expect(await session.verify("app:wiki", token.hash)).toBeUndefined();
    expect((await create()).ok).toBe(true);
  });
});

describe("receipts (F10)", () => {
  it("that were answered are there after everything died", async () => {
    await setUp();
    const sid = await signedIn();
    const done = await control().revoke({ kind: "session", id: sid, by: "internal" });
    if (!done.ok) throw new Error(done.code);
    await abortAllDurableObjects();
    expect(await control().receipt(done.receipt.id)).toEqual(done.receipt);
    expect(await sessionOf(sid).verify("host:wiki.access.example.com", "h".repeat(43))).toBeUndefined();
  });

  it("of a change that a crash interrupted come true by the alarm", async () => {
    await setUp();
    const sid = await signedIn();
    const revoke = vi.spyOn(User.prototype, "revoke").mockImplementation(() => new Promise(() => undefined));
    const interrupted = outcome(() => control().revoke({ kind: "user", id: userId(), by: "internal" }));
    await eventually(() => revoke.mock.calls.length > 0);
    const id = revoke.mock.calls[0]?.[0] ?? "";
    await abortAllDurableObjects();
    expect(await interrupted).toBe("failed");
    vi.restoreAllMocks();
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    expect(await control().receipt(id)).toMatchObject({ id, kind: "user", complete: true });
    expect(await sessionOf(sid).verify("host:wiki.access.example.com", "h".repeat(43))).toBeUndefined();
  });

  it("of a change whose record was stored, and whose answer was lost, is on record once", async () => {
    await setUp();
    const sid = await signedIn();
    const { value: real } = Object.getOwnPropertyDescriptor(Audit.prototype, "append") as { value: Audit["append"] };
    vi.spyOn(Audit.prototype, "append").mockImplementationOnce(async function (this: Audit, ...event) {
      await real.apply(this, event);
      throw new Error("the answer was lost");
    });
    expect(await outcome(() => control().revoke({ kind: "session", id: sid, by: "internal" }))).toBe("failed");
    await runDurableObjectAlarm(stub());
    const recorded = async (): Promise<readonly unknown[]> => (await objects.AUDIT.getByName(CONTROL_AUDIT_NAME).since(0, 100)).filter(({ kind }) => kind === "revocation");
    expect(await recorded()).toHaveLength(1);
    const [{ id } = { id: "" }] = (await recorded()) as { id: string }[];
    expect(await control().receipt(id)).toMatchObject({ id, kind: "session", complete: true });
  });

  it("of a change that failed are taken up 5 seconds after it began, however many others began meanwhile, also by another instance", async () => {
    await setUp();
    const alarm = (): Promise<number | null> => runInDurableObject(stub(), (_control, state) => state.storage.getAlarm());
    await runDurableObjectAlarm(stub());
    const revoke = async (): Promise<unknown> => control().revoke({ kind: "session", id: await signedIn(), by: "internal" });
    await revoke();
    const first = await alarm();
    expect(first).not.toBeNull();
    await revoke();
    await evictDurableObject(stub());
    await revoke();
    expect(await alarm()).toBe(first);
  });

  it.each([
    ["user", "nobody@example.com"],
    ["session", "f".repeat(64)],
    ["connector", "c_unknown"],
    ["app", "unknown"],
    ["service", "unknown"],
  ] as const)("nothing is revoked for a %s that is not known", async (kind, id) => {
    await setUp();
    expect(await control().revoke({ kind, id, by: "internal" })).toMatchObject({ ok: false, code: "unknown_id" });
  });
});
