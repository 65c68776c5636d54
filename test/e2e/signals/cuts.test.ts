/**
 * News of other systems on live connections through the whole product: each is live before, and
 * cut when the news is answered; nobody else's is touched (class H, rows 59 to 63).
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FormBrowser } from "../../start/form-browser.ts";
import { until } from "../../start/running-stack.ts";
import { visit } from "../demo-visit.ts";
import { ENDED_WITHIN_MS, isOver } from "../revocation/crowd.ts";
import { open } from "../revocation/stream-clients.ts";
import { type Connected, connect, signedIn, stepUp } from "./person.ts";
import { type SignalStage, startSignalStage } from "./stage.ts";

let stage: SignalStage;
const ids = new Map<string, string>();
let crew = "";
const opened: Connected[] = [];

beforeAll(async () => {
  stage = await startSignalStage();
  for (const name of ["alice", "bob", "carol"]) {
    const made = await stage.scim("POST", "/Users", { userName: name, externalId: name, active: true });
    ids.set(name, (JSON.parse(made.text) as { id: string }).id);
  }
  const made = await stage.scim("POST", "/Groups", { displayName: "Crew", members: [...ids.values()].map((value) => ({ value })) });
  crew = (JSON.parse(made.text) as { id: string }).id;
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.leave()));
  await until(() => stage.echo.sockets.size === 0, "the echo is quiet", 5_000);
});
afterAll(() => stage.end());

const idOf = (name: string): string => ids.get(name) ?? "";
const patch = (path: string, ...Operations: object[]): Promise<{ readonly status: number }> => stage.scim("PATCH", path, { schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], Operations });

async function connected(user: string): Promise<Connected> {
  const one = await connect(stage, await signedIn(stage, user));
  opened.push(one);
  return one;
}

/** Carries out what is told, and expects that all of `cut` is over by then and all of `kept` goes on. */
async function cuts(cut: Connected, kept: Connected, closeCode: string, tell: () => Promise<{ readonly status: number }>): Promise<void> {
  const { status } = await tell();
  const at = performance.now();
  expect(status).toBeLessThan(300);
  const given = cut.received();
  await until(() => cut.clients.every((client) => isOver(client, stage.origin)) && cut.tcp.stream.end !== "open", "all of it is over", 5_000);
  for (const client of cut.clients) {
    expect(client.end, client.kind).toBe(client.kind === "websocket" ? closeCode : "error");
    expect((client.endedAt ?? Infinity) - at, client.kind).toBeLessThan(ENDED_WITHIN_MS);
    // No byte that the app wrote after the answer reached the client.
    expect(client.lastStamp, client.kind).toBeLessThanOrEqual(at);
  }
  await until(() => stage.echo.sockets.size === 1, "the app holds the other's TCP connection alone", 5_000);
  expect(cut.received() - given).toBeLessThan(65_536);
  const before = kept.received();
  await until(() => kept.clients.every((client) => client.endedAt === undefined && client.lastStamp > at) && kept.received() > before, "the others go on", 5_000);
}

describe("live connections are cut when it is answered", () => {
  it("SCIM: a member leaves the group (Entra's way)", async () => {
    const [alice, bob] = [await connected("alice"), await connected("bob")];
    await cuts(alice, bob, "4403", () => patch(`/Groups/${crew}`, { op: "Remove", path: `members[value eq "${idOf("alice")}"]` }));
    // Still signed in, and let in nowhere; and in again with the group, without a new sign-in.
    expect((await alice.person.call(`${stage.urlOf("stamps")}/plain`)).status).toBe(404);
    await patch(`/Groups/${crew}`, { op: "Add", path: "members", value: [{ value: idOf("alice") }] });
    expect((await alice.person.call(`${stage.urlOf("stamps")}/plain`)).status).toBe(200);
  });

  it("SCIM: the group has another name, and the next of that name has other members", async () => {
    const [alice, bob] = [await connected("alice"), await connected("bob")];
    await patch(`/Groups/${crew}`, { op: "replace", value: { displayName: "Old crew" } });
    const another = await stage.scim("POST", "/Groups", { displayName: "Crew", members: [{ value: idOf("bob") }, { value: idOf("carol") }] });
    await until(() => [alice, bob].every((one) => one.clients.every((client) => client.endedAt !== undefined)), "without the group nothing goes on", 1_000);
    const again = [await connected("bob")];
    expect(await open("events", { port: stage.stack.port, headers: alice.person.headers(stage.urlOf("stamps")), name: "none" })).toMatchObject({ ok: false, status: 404 });
    expect(again[0]?.clients.every((client) => client.endedAt === undefined)).toBe(true);
    crew = (JSON.parse(another.text) as { id: string }).id;
    await patch(`/Groups/${crew}`, { op: "add", path: "members", value: [{ value: idOf("alice") }] });
  });

  it("Shared Signals: session-revoked", async () => {
    const [bob, carol] = [await connected("bob"), await connected("carol")];
    await cuts(bob, carol, "4401", () => stage.event("caep/session-revoked", "bob"));
    expect((await bob.person.call(`${stage.urlOf("stamps")}/plain`)).status).toBe(401);
  });

  it("Shared Signals: account-disabled", async () => {
    const [bob, carol] = [await connected("bob"), await connected("carol")];
    await cuts(bob, carol, "4401", () => stage.event("risc/account-disabled", "bob"));
  });

  it("a sign-out at the provider, by a token of its own", async () => {
    const [alice, bob] = [await connected("alice"), await connected("bob")];
    const { browser } = alice.person;
    await cuts(alice, bob, "4401", async () => {
      const end = `${stage.stack.issuer}/session/end`;
      const shown = await browser.get(end);
      const [action = "", xsrf = ""] = [/action="([^"]+)"/.exec(shown.text)?.[1], /name="xsrf" value="([^"]+)"/.exec(shown.text)?.[1]];
      return browser.submit(new URL(action, end).href, { xsrf, logout: "yes" }).then(({ status }) => ({ status: status === 302 || status === 303 ? 200 : status }));
    });
    expect((await alice.person.call(`${stage.urlOf("stamps")}/plain`)).status).toBe(401);
  });

  it("Shared Signals: credential-change takes back the second factor: what needs one stops, what needs none goes on", async () => {
    const person = await signedIn(stage, "carol");
    const vault = stage.urlOf("vault");
    await stepUp(person.browser, vault, "carol");
    const carol = await connect(stage, person);
    opened.push(carol);
    const kinds = ["websocket", "events"] as const;
    const sides = [];
    for (const kind of kinds) {
      const one = await open(kind, { port: stage.stack.port, headers: person.headers(vault), name: `vault-${kind}-${crypto.randomUUID()}` });
      if (!one.ok) throw new Error(`${kind} was refused: ${one.status}`);
      sides.push(one.client);
    }
    expect((await stage.event("caep/credential-change", "carol", { credential_type: "fido2-roaming", change_type: "revoke" })).status).toBe(202);
    const at = performance.now();
    await until(() => carol.clients.every((client) => client.lastStamp > at + 500), "what needs no second factor goes on", 10_000);
    for (const side of sides) expect(side.lastStamp, side.kind).toBeLessThanOrEqual(at);
    expect((await person.call(`${vault}/plain`)).status).toBe(401);
    sides.forEach((side) => side.abandon());
  });

  it("SCIM: deactivated (Okta's way), and signing in says so until the account is active again", async () => {
    const [alice, bob] = [await connected("alice"), await connected("bob")];
    await cuts(alice, bob, "4401", () => patch(`/Users/${idOf("alice")}`, { op: "replace", value: { active: false } }));
    expect((await alice.person.call(`${stage.urlOf("stamps")}/plain`)).status).toBe(401);
    const refused = await visit(new FormBrowser(), stage.urlOf("stamps"), "alice");
    expect(refused?.status).toBe(403);
    expect(refused?.text).toContain("Your account is not active");
    await patch(`/Users/${idOf("alice")}`, { op: "replace", value: { active: true } });
    await signedIn(stage, "alice");
  });
});
