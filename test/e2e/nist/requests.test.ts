/**
 * Scenarios of NIST SP 1800-35 that are about one request: who gets what, from where, by which
 * endpoint. Each at every place that its row names, with the record of the decision.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { access, type Access, anonymousStatus, expectRecorded } from "./judge.ts";
import { account, again, atProvider, authenticate, call, COMPLIANT, type EndpointKind, enter, entered, idOf, NOT_COMPLIANT, type Person } from "./person.ts";
import { pairOf, type Place } from "./places.ts";
import { oneWant, type Row } from "./rows.ts";
import { notSupported, scenario } from "./scenario.ts";
import { type Provider, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.end());

const placesOf = (row: Row): readonly Place[] => (row.at ?? ["office"]).map((text) => pairOf(text).from);
const inCloud = (app: string, to: "office" | "cloud"): string => (to === "cloud" ? `${app}-cloud` : app);

/** While somebody found these resources not compliant, and said so by a policy. */
async function whileNotCompliant(tag: string, effect: "deny" | "limit", during: () => Promise<void>): Promise<void> {
  const limits = effect === "limit" ? ", limits: { read_only: true }" : "";
  await world.apply(`  - { id: found-not-compliant, effect: ${effect}, apps: ["tag:${tag}"], when: { anyone: true }${limits} }\n`);
  try {
    await during();
  } finally {
    await world.apply();
  }
}

/** B-1, B-4, D-1, D-4. */
async function byProfile(row: Row, provider: Provider, endpoint: EndpointKind): Promise<void> {
  const { user = "", auth, resource = "RSS1", endpoint: compliant, resourceCompliant } = row.facts;
  const isLimited = user.endsWith("2");
  const isShut = user.endsWith("3");
  const who = await account(world, provider, isShut ? [] : [isLimited ? "limited" : "full"], !isShut);
  // The directory of `own` bars who is deactivated; `partner` itself lets nobody else through.
  if (auth === "A-" && !(isShut && provider === "own")) atProvider(world, who, { refused: true });
  const person = await enter(world, who, { endpoint, posture: compliant === "Y" ? COMPLIANT : NOT_COMPLIANT });
  if (auth === "A-") {
    expect(person).toBeUndefined();
    for (const text of row.at ?? []) expect(await anonymousStatus(world, inCloud("rss1", pairOf(text).to), pairOf(text).from)).toBe(401);
    return;
  }
  if (person === undefined) throw new Error("could not sign in");
  const app = resource.toLowerCase();
  if (auth === "RA+" || auth === "RA-") {
    await world.event("risc/account-credential-change-required", provider, who.sub);
    const refused = await call(person, app);
    // Where a fresh sign-in would not help, none is asked for; done all the same, it must not help.
    expect(refused.code).toBe(compliant === "N" && app === "rss1" ? "denied" : "step_up_required");
    if (auth === "RA-") atProvider(world, who, { refused: true });
    if (refused.code === "denied") await authenticate(world, who, person.browser, `${world.launcher}/.postern/login?max_age=60`);
    else await again(person, refused);
  }
  // P_LIMITED is the reading of RSS2: all that this profile may do.
  const wanted = row.want === "Access Successful" && isLimited ? "Access Limited" : row.want;
  const judge = async (): Promise<void> => {
    for (const text of row.at ?? []) {
      const { from, to } = pairOf(text);
      expect(await access(person, inCloud(app, to), { from }), text).toBe(wanted);
    }
  };
  if (resourceCompliant === "N") await whileNotCompliant(app, "deny", judge);
  else await judge();
}

scenario("B-1", (row) => byProfile(row, "own", "EP"));
scenario("B-4", (row) => byProfile(row, "own", "BYOD"));
scenario("D-1", (row) => byProfile(row, "partner", "EP"));
scenario("D-4", (row) => byProfile(row, "partner", "BYOD"));

/** C-1, C-2, C-6. */
async function federated(row: Row, group: string, endpoint: EndpointKind): Promise<void> {
  const person = await entered(world, await account(world, "partner", [group]), { endpoint, posture: row.facts["endpoint"] === "Y" ? COMPLIANT : NOT_COMPLIANT });
  const judge = async (): Promise<void> => {
    for (const text of row.at ?? []) expect(await access(person, inCloud("partners", pairOf(text).to), pairOf(text)), text).toBe(row.want);
  };
  if (row.facts["resourceCompliant"] === "N") await whileNotCompliant("partners", "limit", judge);
  else await judge();
}

scenario("C-1", (row) => federated(row, "fed-full", "EP"));
scenario("C-2", (row) => federated(row, "fed-limited", "EP"));
scenario("C-6", (row) => federated(row, "fed-full", "BYOD"));

/** C-7, C-8: the partner says that a credential is stolen, the operator that an endpoint is. */
async function flaggedStolen({ facts, want }: Row, endpoint: EndpointKind, able: Access): Promise<void> {
  const who = await account(world, "partner", ["fed-full"]);
  const person = await entered(world, who, { endpoint });
  expect(await access(person, "partners")).toBe(able);
  if (facts["credential"] === "Flagged Stolen") {
    atProvider(world, who, { refused: true });
    await world.event("caep/session-revoked", "partner", who.sub);
  }
  if (facts["endpoint"] === "Flagged Stolen") await world.operator.revoke("device", person.machine?.id ?? "");
  for (const from of ["office", "branch", "remote"] as const) {
    for (const app of ["partners", "partners-cloud"]) {
      const { status } = await call(person, app, { from });
      expect(status === 200, `${app} from ${from}: ${status}`).toBe(want === "Access Successful");
    }
  }
  if (facts["credential"] === "Flagged Stolen") expect(await enter(world, who)).toBeUndefined();
}

scenario("C-7", (row) => flaggedStolen(row, "EP", "Access Successful"));
scenario("C-8", (row) => flaggedStolen(row, "BYOD", "Access Limited"));

/** Until a privilege is there it is not; when the task is done it is taken back. */
async function justInTime(row: Row, provider: Provider): Promise<void> {
  const who = await account(world, provider, ["staff"]);
  const person = await entered(world, who, { endpoint: "EP" });
  const provision = async (operation: "add" | "remove"): Promise<void> => {
    if (provider === "own") await world.member(operation, "task", who.scimId);
    else await world.event("caep/token-claims-change", provider, who.sub, { claims: { groups: operation === "add" ? ["staff", "task"] : ["staff"] } });
  };
  const everywhere = async (): Promise<Set<Access>> => {
    const seen = new Set<Access>();
    for (const from of ["office", "branch", "remote"] as const) for (const app of ["task", "task-cloud"]) seen.add(await access(person, app, { from }));
    return seen;
  };
  if (row.facts["provisioned"] === "Yes") {
    await provision("add");
    expect(await everywhere()).toEqual(new Set([row.want]));
    await provision("remove");
    expect(await everywhere()).toEqual(new Set(["Access Not Successful"]));
  } else expect(await everywhere()).toEqual(new Set([row.want]));
}

scenario("B-7", (row) => justInTime(row, "own"));
scenario("D-7", (row) => justInTime(row, "partner"));

/** Somebody flagged for trying doors, or by others: refused where they were let in before. */
async function flagged(row: Row, provider: Provider, flag: (person: Person) => Promise<void>): Promise<void> {
  const endpoint = row.facts["type"] as EndpointKind;
  const person = await entered(world, await account(world, provider, ["full"]), { endpoint });
  const app = endpoint === "Guest" ? "ledger" : "rss1";
  expect(await access(person, app)).toBe("Access Successful");
  await flag(person);
  await expect.poll(async () => (await call(person, app)).status, { timeout: 10_000 }).toBe(403);
  expect((await access(person, app)).toLowerCase()).toBe(oneWant(row).toLowerCase());
}

/** Ten doors that are not theirs. */
async function triesDoors(person: Person): Promise<void> {
  for (let door = 0; door < 10; door++) expect((await call(person, "task", { path: `/low/${door}` })).status).toBe(404);
}
const reported = async ({ account: who, machine }: Person): Promise<void> =>
  machine === undefined ? world.verdict(`/users/${await idOf(world, who)}`, { risk: "high" }) : world.verdict(`/devices/${machine.id}`, { edr: false });

scenario("F-10", (row) => flagged(row, "own", triesDoors));
scenario("F-12", (row) => flagged(row, "partner", triesDoors));
scenario("F-14", (row) => flagged(row, "own", reported));
scenario("F-15", (row) => flagged(row, "partner", reported));

/** Nobody but the person puts it right: the next report lets the next request in. */
scenario("F-5", async (row) => {
  for (const endpoint of ["EP", "BYOD"] as const) {
    const person = await entered(world, await account(world, "own", ["full"]), { endpoint, posture: NOT_COMPLIANT });
    expect(await access(person, "rss1")).toBe("Access Not Successful");
    if (row.facts["endpoint"] === "Y") await person.machine?.reports.report(COMPLIANT);
    for (const from of ["office", "branch", "remote"] as const) for (const app of ["rss1", "rss1-cloud"]) expect(await access(person, app, { from })).toBe(row.want);
  }
});

scenario("H-1", async (row) => {
  const person = await entered(world, await account(world, "own", [row.facts["user"] === "UserA" ? "user-a" : "user-b"]), { endpoint: "EP" });
  const path = `/${String(row.facts["data"]).toLowerCase()}/report`;
  for (const text of row.at ?? []) expect(await access(person, inCloud("data", pairOf(text).to), { ...pairOf(text), path }), text).toBe(row.want);
});

scenario("H-2", async (row) => {
  const person = await entered(world, await account(world, "own", ["user-a"]), { endpoint: row.facts["type"] as EndpointKind });
  for (const text of row.at ?? []) {
    const app = inCloud("archive", pairOf(text).to);
    expect(await access(person, app, { path: "/low/report" })).toBe("Access Successful");
    const high = await access(person, app, { path: "/high/report" });
    expect(high === "Access Successful" ? high : "Access Restricted").toBe(row.want);
  }
});

scenario("H-4", async (row) => {
  for (const from of ["office", "branch", "remote"] as const) {
    const who = await account(world, "own", ["user-a"]);
    const person = await entered(world, who, { endpoint: row.facts["type"] as EndpointKind, place: from });
    expect(await access(person, "vault", { path: "/low/report" })).toBe("Access Successful");
    const asked = await call(person, "vault", { path: "/high/report" });
    expect(asked.code).toBe("step_up_required");
    atProvider(world, who, row.facts["mfa"] === "Yes" ? { amr: ["pwd", "otp", "mfa"] } : { refused: true });
    await again(person, asked);
    expect(String(await access(person, "vault", { path: "/high/report" }))).toBe(row.want);
  }
});

/** The directory gives the privilege to see high data, for as long as the task takes. */
scenario("H-5", async (row) => {
  const who = await account(world, "own", ["user-b"]);
  const person = await entered(world, who, { endpoint: row.facts["type"] as EndpointKind });
  const high = (): Promise<Access> => access(person, "data", { path: "/high/report" });
  expect([await access(person, "data", { path: "/low/report" }), await high()]).toEqual(["Access Successful", "Access Not Successful"]);
  await world.member("add", "user-a", who.scimId);
  expect(await high()).toBe(row.want);
  await world.member("remove", "user-a", who.scimId);
  expect(await high()).toBe("Access Not Successful");
});

scenario("H-6", async (row) => {
  const person = await entered(world, await account(world, "own", ["user-a"]), { endpoint: row.facts["type"] as EndpointKind });
  for (const from of placesOf(row)) {
    for (const method of row.facts["operation"] === "read" ? ["GET"] : ["POST", "DELETE"]) {
      const { status } = await call(person, "records", { from, method, path: "/high/report" });
      expect(status === 200 ? "Operation Successful" : "Operation Denied", `${method} from ${from}: ${status}`).toBe(row.want);
    }
  }
});

notSupported("H-7");

it("the record has each decision of these scenarios as it was seen (A-3)", async () => {
  expect(await expectRecorded(world)).toBeGreaterThan(300);
});
