/**
 * Scenarios of NIST SP 1800-35 about live sessions: each has a WebSocket and a TCP connection that
 * work before, and are terminated, limited or held by what happens, or go on.
 */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { until } from "../../start/running-stack.ts";
import { open } from "../revocation/stream-clients.ts";
import { access, expectRecorded } from "./judge.ts";
import { goesOn, isHeld, isTerminated, type Live, live, type LiveOptions } from "./live.ts";
import { type Account, account, again, atProvider, call, COMPLIANT, type EndpointKind, enter, entered, failsAsDevice, idOf, NOT_COMPLIANT, type Person } from "./person.ts";
import type { Place } from "./places.ts";
import type { Row } from "./rows.ts";
import { scenario } from "./scenario.ts";
import { type Provider, startWorld, type World } from "./world.ts";

const HOUR_S = 3_600;
const nowSeconds = (): number => Math.floor(Date.now() / 1_000);

let world: World;
const opened: Live[] = [];
beforeAll(async () => {
  world = await startWorld();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.leave()));
});
afterAll(() => world?.end());

async function liveOf(person: Person, app = "rss1", options: LiveOptions = app === "rss1" ? { tcp: "pipe" } : {}): Promise<Live> {
  const one = await live(person, app, options);
  opened.push(one);
  return one;
}

const statusOf = async (person: Person, app = "rss1"): Promise<number> => (await call(person, app)).status;

/** Live connections were ended, reading is left: what NIST calls limited. */
async function isLimited(person: Person, of: Live): Promise<void> {
  await isTerminated(world, of, false);
  expect(await access(person, "rss1")).toBe("Access Limited");
}

/** B-3, B-6, D-3, D-6: the real one and the hostile one use one account, from two machines. */
async function stolen({ facts, want }: Row, provider: Provider, endpoint: EndpointKind): Promise<void> {
  if (typeof want === "string") throw new Error("two outcomes are wanted");
  const who = await account(world, provider, ["full"]);
  const places: Record<"real" | "hostile", Place> = { real: "office", hostile: facts["samePlace"] === "Y" ? "office" : "remote" };
  const at = (one: "real" | "hostile"): Promise<Person | undefined> => enter(world, who, { place: places[one], endpoint });
  const isReported = facts["stolen"] === "Y";
  const report = async (): Promise<void> => {
    if (want.real === "All Sessions Terminated" || want.hostile === "All Sessions Terminated") await world.event("caep/session-revoked", provider, who.sub);
    else if (want.real === "Change to Access Limited" || want.hostile === "Change to Access Limited") await world.verdict(`/users/${await idOf(world, who)}`, { risk: "medium" });
    else await world.event("risc/account-credential-change-required", provider, who.sub);
  };
  const outcomes: Record<string, (person: Person, of: Live) => Promise<void>> = {
    "Keep Access": (_person, of) => goesOn(of),
    "Change to Access Limited": isLimited,
    "All Sessions Terminated": async (person, of) => {
      await isTerminated(world, of);
      expect(await statusOf(person)).toBe(401);
    },
  };

  // Whoever is active signed in some time ago; what was reported stolen before is not what they used.
  const active = (["real", "hostile"] as const).find((one) => facts[one] === "A");
  const isReportedFirst = isReported && (active === undefined || want[active] === "Keep Access");
  const known = isReportedFirst && (facts["real"] === "RA+" || facts["hostile"] === "RA-") ? await entered(world, who, { endpoint, place: places[facts["real"] === undefined ? "hostile" : "real"] }) : undefined;
  if (isReportedFirst) await report();
  atProvider(world, who, { authTime: nowSeconds() - (isReportedFirst ? -1 : 2 * HOUR_S) });
  const person = active === undefined ? undefined : await at(active);
  const of = person === undefined ? undefined : await liveOf(person);

  for (const one of ["real", "hostile"] as const) {
    const auth = facts[one];
    if (auth === undefined || auth === "A") continue;
    // A credential that was replaced gets nobody through; a new one does.
    atProvider(world, who, { refused: auth.endsWith("-"), authTime: Math.ceil(Date.now() / 1_000) });
    if (auth.startsWith("RA")) {
      if (known === undefined) throw new Error("nobody to authenticate again");
      const asked = await call(known, "rss1");
      expect(asked.code).toBe("step_up_required");
      await again(known, asked);
      expect(await statusOf(known)).toBe(want[one] === "Access Successful" ? 200 : 401);
      continue;
    }
    const came = await at(one);
    if (auth === "A-") expect(came).toBeUndefined();
    else if (came === undefined) throw new Error("could not sign in");
    else expect(await access(came, "rss1")).toBe(want[one]);
  }
  if (isReported && !isReportedFirst) await report();
  if (person !== undefined && of !== undefined && active !== undefined) await outcomes[want[active] ?? ""]?.(person, of);
}

scenario("B-3", (row) => stolen(row, "own", "EP"));
scenario("B-6", (row) => stolen(row, "own", "BYOD"));
scenario("D-3", (row) => stolen(row, "partner", "EP"));
scenario("D-6", (row) => stolen(row, "partner", "BYOD"));

/** The provider refuses a second authentication, and says so. */
async function failsAtProvider(person: Person, asked: Awaited<ReturnType<typeof call>>): Promise<void> {
  const { provider, sub } = person.account;
  atProvider(world, person.account, { refused: true });
  await again(person, asked);
  await world.event("caep/session-revoked", provider, sub);
}

/** B-8, D-8: a live session wants to do something more sensitive. */
async function stepUp({ facts, want }: Row, provider: Provider): Promise<void> {
  const person = await entered(world, await account(world, provider, ["full"]), { endpoint: facts["type"] as EndpointKind });
  const of = await liveOf(person, "vault");
  const asked = await call(person, "vault", { method: "POST", path: "/high/act" });
  expect(asked.code).toBe("step_up_required");
  await goesOn(of);
  if (facts["stepUp"] === "Yes") {
    atProvider(world, person.account, { amr: ["pwd", "otp", "mfa"] });
    await again(person, asked);
    expect((await call(person, "vault", { method: "POST", path: "/high/act" })).status).toBe(200);
    await goesOn(of);
    expect(want).toBe("Session Continues");
  } else {
    await failsAtProvider(person, asked);
    await isTerminated(world, of);
    expect([await statusOf(person, "vault"), want]).toEqual([401, "Session Terminated"]);
  }
}

scenario("B-8", (row) => stepUp(row, "own"));
scenario("D-8", (row) => stepUp(row, "partner"));

/** The person must authenticate again: held until then, and on it goes, or is terminated. */
scenario("F-1", async ({ facts }) => {
  const person = await entered(world, await account(world, "own", ["full"]), { endpoint: "EP" });
  const other = await liveOf(await entered(world, await account(world, "own", ["full"]), { endpoint: "EP" }));
  const of = await liveOf(person);
  await world.event("risc/account-credential-change-required", "own", person.account.sub);
  await isHeld(of, other);
  const asked = await call(person, "rss1");
  expect(asked.code).toBe("step_up_required");
  if (facts["reauth"] === "Passes") {
    await again(person, asked);
    await goesOn(of);
  } else {
    await failsAtProvider(person, asked);
    await isTerminated(world, of);
  }
});

scenario("F-2", async ({ facts }) => {
  const person = await entered(world, await account(world, "own", ["full"]), { endpoint: "EP" });
  const of = await liveOf(person);
  if (facts["reauth"] === "Passes") {
    await person.machine?.reports.report(COMPLIANT);
    await goesOn(of);
  } else {
    await failsAsDevice(person);
    await isTerminated(world, of);
    expect(await statusOf(person)).toBe(403);
  }
});

scenario("F-4", async ({ facts }) => {
  for (const endpoint of ["EP", "BYOD"] as const) {
    const person = await entered(world, await account(world, "own", ["full"]), { endpoint });
    const of = await liveOf(person);
    await person.machine?.reports.report(facts["endpoint"] === "Y" ? COMPLIANT : NOT_COMPLIANT);
    if (facts["endpoint"] === "Y") await goesOn(of);
    else await isTerminated(world, of);
  }
});

/** A download of more than the session may move. */
async function takesTooMuch(row: Row, provider: Provider): Promise<void> {
  const person = await entered(world, await account(world, provider, ["full"]), { endpoint: row.facts["type"] as EndpointKind });
  const of = await liveOf(person, "quota");
  const headers = { host: new URL(world.at("quota")).host, cookie: person.browser.cookieHeader(world.at("quota")), ...world.from(person.place) };
  const download = await open("download", { port: world.stack.port, headers, name: crypto.randomUUID() });
  if (!download.ok) throw new Error(`the download was refused: ${download.status}`);
  await until(() => download.client.end !== undefined, "the download is stopped", 20_000);
  expect(download.client.end).toBe("error");
  await isTerminated(world, of, false);
  expect((await call(person, "quota")).code).toBe("limit_reached");
}

scenario("F-6", (row) => takesTooMuch(row, "own"));
scenario("F-7", (row) => takesTooMuch(row, "partner"));

/** Something is found out about the person or the endpoint while they are connected. */
async function found(row: Row, provider: Provider, find: (person: Person) => Promise<void>): Promise<void> {
  const endpoint = row.facts["type"] as EndpointKind;
  const person = await entered(world, await account(world, provider, ["full"]), { endpoint });
  const app = endpoint === "Guest" ? "ledger" : "rss1";
  const [of, bystander] = [await liveOf(person, app), await liveOf(await entered(world, await account(world, provider, ["full"]), { endpoint }), app)];
  await find(person);
  await isTerminated(world, of, find !== triesDoors);
  expect(await statusOf(person, app)).toBe(403);
  await goesOn(bystander);
}

const riskOf = (account: Account): Promise<void> => idOf(world, account).then((id) => world.verdict(`/users/${id}`, { risk: "high" }));
const triesDoors = async (person: Person): Promise<void> => {
  for (let door = 0; door < 10; door++) expect((await call(person, "task", { path: `/low/${door}` })).status).toBe(404);
};
const isSuspicious = async ({ account: who, machine }: Person): Promise<void> => (machine === undefined ? riskOf(who) : world.verdict(`/devices/${machine.id}`, { edr: false }));

scenario("F-8", (row) => found(row, "own", ({ account: who }) => riskOf(who)));
scenario("F-9", (row) => found(row, "partner", ({ account: who }) => riskOf(who)));
scenario("F-11", (row) => found(row, "own", triesDoors));
scenario("F-13", (row) => found(row, "partner", triesDoors));
scenario("F-16", (row) => found(row, "own", isSuspicious));
scenario("F-17", (row) => found(row, "partner", isSuspicious));

it("the record has each decision of these scenarios as it was seen (A-3)", async () => {
  expect(await expectRecorded(world)).toBeGreaterThan(20);
});
