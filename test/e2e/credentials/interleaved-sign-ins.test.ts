/**
 * Many people who sign in at once, their provider's answers delayed at random (class E): each
 * session has its own person in it, at the edge and at the app. Seeded and bounded.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { userIdOf } from "../../../identity/claims.ts";
import { seeded } from "../../seeded.ts";
import { valuesAt } from "../corpus/recording-origin.ts";
import { ownProvider, type PeopleEdge, peopleEdge, SESSION_COOKIE, type SignedIn, signInAs } from "./people-edge.ts";
import { ask } from "./plain-request.ts";

const PEOPLE_COUNT = 200;
const AT_ONCE_COUNT = 32;
const MAX_DELAY_MS = 120;
const SEED = 20_261_122;
const WHOLE_RUN_MS = 90_000;

const DOCUMENT = `version: 1
domain: postern.localhost
identity: { providers: [${ownProvider()}] }
sites: [{ id: office, lanes: 2 }]
apps: [{ id: alpha, site: office, upstream: "ORIGIN" }, { id: beta, site: office, upstream: "ORIGIN" }]
policies:
  - { id: team, effect: allow, apps: [alpha], when: { email_domain: [example.com] } }
  - { id: even, effect: allow, apps: [beta], when: { group: [even] } }
`;

let edge: PeopleEdge;
beforeAll(async () => {
  edge = await peopleEdge({ document: DOCUMENT });
});
afterAll(() => edge?.stop());

describe("interleaved sign-ins", () => {
  it(`${PEOPLE_COUNT} people, ${AT_ONCE_COUNT} at a time: every session is its own person's`, async () => {
    const random = seeded(SEED);
    const names = Array.from({ length: PEOPLE_COUNT }, (_, index) => `member-${index}`);
    for (const [index, name] of names.entries()) edge.issuer.people.set(name, { groups: index % 2 === 0 ? ["even"] : ["odd"] });
    let asking = 0;
    let most = 0;
    edge.issuer.delay = () => {
      most = Math.max(most, asking);
      return Math.floor(random() * MAX_DELAY_MS);
    };
    const signedIn: SignedIn[] = [];
    const next = names.values();
    const worker = async (): Promise<void> => {
      for (const name of next) {
        asking++;
        signedIn.push(await signInAs(edge, name, edge.at("alpha", `/first-${name}-`)));
        asking--;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE_COUNT }, worker));
    edge.issuer.delay = () => 0;
    expect(most).toBeGreaterThan(AT_ONCE_COUNT / 2);
    expect(new Set(signedIn.map(({ sid }) => sid)).size).toBe(PEOPLE_COUNT);

    const faults: string[] = [];
    const check = async (person: SignedIn): Promise<void> => {
      const email = `${person.user}@example.com`;
      const sub = await userIdOf(edge.issuer.issuer, person.user);
      const cookie = (url: string): [string, string][] => [["Cookie", `${SESSION_COOKIE}=${person.cookie(url)}`]];
      for (const host of [edge.launcher, edge.at("alpha", "")]) {
        const me = await ask({ url: `${host}/.postern/me`, headers: cookie(`${host}/`) });
        const said = JSON.parse(me.text) as { email?: string; name?: string; groups?: string[] };
        const groups = [`own:${Number(person.user.split("-")[1]) % 2 === 0 ? "even" : "odd"}`];
        if (said.email !== email || said.name !== `Person ${person.user}` || JSON.stringify(said.groups) !== JSON.stringify(groups)) faults.push(`${person.user} at ${host} is ${me.text}`);
      }
      await ask({ url: edge.at("alpha", `/again-${person.user}-`), headers: cookie(edge.at("alpha")) });
      for (const mark of ["first", "again"]) {
        const hits = edge.origin.hits.filter(({ target }) => target === `/${mark}-${person.user}-`);
        const claims = hits.map((hit) => JSON.parse(Buffer.from(valuesAt(hit, "x-postern-assertion")[0]?.split(".")[1] ?? "", "base64url").toString()) as { email?: string; sid?: string; sub?: string });
        const sound = hits.length === 1 && valuesAt(hits[0], "x-postern-user")[0] === email && claims[0]?.email === email && claims[0].sid === person.sid && claims[0].sub === sub;
        if (!sound) faults.push(`the app saw ${hits.length} times /${mark}-${person.user}-: ${JSON.stringify(claims)}`);
      }
      const apps = await ask({ url: `${edge.launcher}/`, headers: cookie(edge.launcher) });
      const shown = (JSON.parse(apps.text) as { apps: { id: string }[] }).apps.map(({ id }) => id).join(" ");
      if (shown !== (Number(person.user.split("-")[1]) % 2 === 0 ? "alpha beta" : "alpha")) faults.push(`${person.user} is shown ${shown}`);
    };
    const people = signedIn.values();
    await Promise.all(Array.from({ length: AT_ONCE_COUNT }, async () => {
      for (const person of people) await check(person);
    }));
    expect(faults).toEqual([]);
  }, WHOLE_RUN_MS);
});
