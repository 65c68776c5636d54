import { describe, expect, it } from "vitest";
import type { ConnectorId } from "../../../core/ids.ts";
import * as registry from "../../../durable-objects/control/registry.ts";
import { CONTROL_MIGRATIONS } from "../../../durable-objects/control/schema.ts";
import { Database } from "../../../durable-objects/sqlite.ts";
import type { PublicJwk } from "../../../identity/keys.ts";
import { ObjectStorage } from "../object-storage.ts";
import { BERLIN, HOUR, sidOf, T0 } from "../samples.ts";

const fresh = (): Database => new Database(new ObjectStorage() as never, CONTROL_MIGRATIONS);
const KEY: PublicJwk = { kty: "OKP", crv: "Ed25519", x: "x".repeat(43), kid: "k", alg: "EdDSA", use: "sig" };
const REDEEM = { tokenHash: "hash", publicKey: KEY, thumbprint: "k", name: "nas" };
const idOf = (n: number): ConnectorId => `c_${String(n).padStart(22, "0")}` as ConnectorId;

describe("an enrolment token", () => {
  const rows: readonly [string, string, number, boolean][] = [
    ["enrols 1 ms before its end", "hash", T0 + HOUR - 1, true],
    ["does not at its end (class H, row 64)", "hash", T0 + HOUR, false],
    ["does not 1 ms after", "hash", T0 + HOUR + 1, false],
    ["that nobody made does not", "other", T0, false],
    ["that is empty does not", "", T0, false],
  ];
  it.each(rows)("%s", (_title, tokenHash, now, enrols) => {
    const db = fresh();
    registry.addEnrollToken(db, { site: BERLIN, hash: "hash", expiresAt: T0 + HOUR });
    const connector = registry.redeemEnrollToken(db, { ...REDEEM, tokenHash }, idOf(1), now);
    expect(connector).toEqual(enrols ? { id: idOf(1), site: BERLIN, name: "nas", publicKey: KEY, thumbprint: "k", enrolledAt: now } : undefined);
    expect(registry.connectors(db)).toHaveLength(enrols ? 1 : 0);
  });

  it("enrols once", () => {
    const db = fresh();
    registry.addEnrollToken(db, { site: BERLIN, hash: "hash", expiresAt: T0 + HOUR });
    const all = Array.from({ length: 50 }, (_, n) => registry.redeemEnrollToken(db, REDEEM, idOf(n), T0));
    expect(all.filter((one) => one !== undefined)).toHaveLength(1);
    expect(registry.connectors(db).map((one) => one.id)).toEqual([idOf(0)]);
  });

  it("is not spent when the connector could not be stored", () => {
    const db = fresh();
    registry.addEnrollToken(db, { site: BERLIN, hash: "hash", expiresAt: T0 + HOUR });
    registry.addEnrollToken(db, { site: BERLIN, hash: "second", expiresAt: T0 + HOUR });
    registry.redeemEnrollToken(db, REDEEM, idOf(1), T0);
    expect(() => registry.redeemEnrollToken(db, { ...REDEEM, tokenHash: "second" }, idOf(1), T0)).toThrow();
    expect(registry.redeemEnrollToken(db, { ...REDEEM, tokenHash: "second" }, idOf(2), T0)?.id).toBe(idOf(2));
  });
});

describe("a connector", () => {
  it("that is revoked stays on the list with the first time of it", () => {
    const db = fresh();
    registry.addEnrollToken(db, { site: BERLIN, hash: "hash", expiresAt: T0 + HOUR });
    registry.redeemEnrollToken(db, REDEEM, idOf(1), T0);
    registry.revokeConnector(db, idOf(1), T0 + 5);
    registry.revokeConnector(db, idOf(1), T0 + 9);
    expect(registry.connector(db, idOf(1))?.revokedAt).toBe(T0 + 5);
    expect(registry.connector(db, idOf(2))).toBeUndefined();
  });
});

describe("service tokens", () => {
  const add = (db: Database, n: number, expiresAt: number): void => registry.addService(db, { name: "backup", tokenId: `t${n}`, sid: sidOf(n), createdAt: T0 + n, expiresAt });

  it.each([
    ["1 ms before its end", T0 + HOUR - 1, 1],
    ["at its end", T0 + HOUR, 0],
    ["1 ms after", T0 + HOUR + 1, 0],
  ])("a token counts as valid exactly until its end: %s (class H, row 64)", (_title, now, valid) => {
    const db = fresh();
    add(db, 1, T0 + HOUR);
    expect(registry.validTokens(db, "backup", now)).toHaveLength(valid);
    expect(registry.validTokens(db, "other", now)).toHaveLength(0);
  });

  it("revoking a service ends every token of it and of no other", () => {
    const db = fresh();
    add(db, 1, T0 + HOUR);
    add(db, 2, T0 + HOUR);
    registry.addService(db, { name: "other", tokenId: "t3", sid: sidOf(3), createdAt: T0, expiresAt: T0 + HOUR });
    registry.revokeService(db, "backup", T0 + 5);
    expect(registry.validTokens(db, "backup", T0 + 6)).toHaveLength(0);
    expect(registry.validTokens(db, "other", T0 + 6)).toHaveLength(1);
    expect(registry.services(db).map((one) => [one.name, one.tokenId, one.revokedAt])).toEqual([["backup", "t1", T0 + 5], ["backup", "t2", T0 + 5], ["other", "t3", undefined]]);
  });
});

describe("people", () => {
  const person = (id: string, email?: string, more = {}): Parameters<typeof registry.notePerson>[1] => ({ id, issuer: "https://login.example.com", sub: id, lastSignInAt: T0, ...(email === undefined ? {} : { email }), ...more });

  it("are found by their address only when it is one person's", () => {
    const db = fresh();
    registry.notePerson(db, person("u_1", "ann@example.com"));
    expect(registry.personByEmail(db, "Ann@Example.com")).toBe("u_1");
    registry.notePerson(db, person("u_2", "ann@example.com"));
    expect(registry.personByEmail(db, "ann@example.com")).toBeUndefined();
    expect(registry.personByEmail(db, "nobody@example.com")).toBeUndefined();
  });

  it("an address that a person no longer has finds them no more", () => {
    const db = fresh();
    registry.notePerson(db, person("u_1", "ann@example.com"));
    registry.notePerson(db, person("u_1", undefined, { name: "Ann", lastSignInAt: T0 + 1 }));
    expect(registry.personByEmail(db, "ann@example.com")).toBeUndefined();
    expect(registry.people(db)).toEqual([person("u_1", undefined, { name: "Ann", lastSignInAt: T0 + 1 })]);
  });

  it("an address with SQL in it is only an address", () => {
    const db = fresh();
    registry.notePerson(db, person("u_1", "x' OR '1'='1"));
    expect(registry.personByEmail(db, "' OR '1'='1")).toBeUndefined();
  });
});
