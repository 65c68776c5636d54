/**
 * News of a provider with a directory on live connections through the whole product: each is live
 * before, and cut when the news is answered; nobody else's is touched (class H, rows 59 to 63).
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FormBrowser } from "../../start/form-browser.ts";
import { visit } from "../demo-visit.ts";
import { open } from "../revocation/stream-clients.ts";
import { cuts } from "./live.ts";
import { type Connected, connect, signedIn } from "./person.ts";
import { type SignalStage, startSignalStage } from "./stage.ts";

let stage: SignalStage;
const ids = new Map<string, string>();
let crew = "";
const opened: Connected[] = [];

beforeAll(async () => {
  stage = await startSignalStage({ directory: true });
  for (const name of ["alice", "bob", "carol"]) {
    const made = await stage.scim("POST", "/Users", { userName: name, externalId: name, active: true });
    ids.set(name, (JSON.parse(made.text) as { id: string }).id);
  }
  const made = await stage.scim("POST", "/Groups", { displayName: "Crew", members: [...ids.values()].map((value) => ({ value })) });
  crew = (JSON.parse(made.text) as { id: string }).id;
});
afterEach(async () => void (await Promise.all(opened.splice(0).map((one) => one.leave()))));
afterAll(() => stage?.end());

const idOf = (name: string): string => ids.get(name) ?? "";
const patch = (path: string, ...Operations: object[]): Promise<{ readonly status: number }> => stage.scim("PATCH", path, { schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], Operations });

async function connected(user: string): Promise<Connected> {
  const one = await connect(stage, await signedIn(stage, user));
  opened.push(one);
  return one;
}

describe("a directory", () => {
  it("scim-group · http, sse, websocket, tcp, ssh: a member leaves the group, as Entra writes it", async () => {
    const [alice, bob] = [await connected("alice"), await connected("bob")];
    await cuts(stage, alice, bob, "4403", () => patch(`/Groups/${crew}`, { op: "Remove", path: `members[value eq "${idOf("alice")}"]` }));
    // Still signed in, and let in nowhere; and in again with the group, without a new sign-in.
    expect((await alice.person.call(`${stage.urlOf("crew")}/plain`)).status).toBe(404);
    await patch(`/Groups/${crew}`, { op: "Add", path: "members", value: [{ value: idOf("alice") }] });
    expect((await alice.person.call(`${stage.urlOf("crew")}/plain`)).status).toBe(200);
  });

  it("a group of another name lets nobody in by the old one, and the next of that name has its own members", async () => {
    const person = await signedIn(stage, "alice");
    await patch(`/Groups/${crew}`, { op: "replace", value: { displayName: "Old crew" } });
    const another = await stage.scim("POST", "/Groups", { displayName: "Crew", members: [{ value: idOf("bob") }, { value: idOf("carol") }] });
    await connected("bob");
    expect(await open("events", { port: stage.stack.port, headers: person.headers(stage.urlOf("crew")), name: "none" })).toMatchObject({ ok: false, status: 404 });
    crew = (JSON.parse(another.text) as { id: string }).id;
    await patch(`/Groups/${crew}`, { op: "add", path: "members", value: [{ value: idOf("alice") }] });
  });

  it("scim-deactivate · http, sse, websocket, tcp, ssh: an account is not active any more, as Okta writes it, and signing in says so until it is", async () => {
    const [alice, bob] = [await connected("alice"), await connected("bob")];
    await cuts(stage, alice, bob, "4401", () => patch(`/Users/${idOf("alice")}`, { op: "replace", value: { active: false } }));
    expect((await alice.person.call(`${stage.urlOf("crew")}/plain`)).status).toBe(401);
    const refused = await visit(new FormBrowser(), stage.urlOf("crew"), "alice");
    expect(refused?.status).toBe(403);
    expect(refused?.text).toContain("Your account is not active");
    await patch(`/Users/${idOf("alice")}`, { op: "replace", value: { active: true } });
    await signedIn(stage, "alice");
  });
});
