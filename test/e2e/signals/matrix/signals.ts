/** The signals of the matrix, one function each: who holds the connections, and how the signal comes, by its real route. */
import { type LoopbackAnswer } from "../../../../start/loopback-http.ts";
import type { FactsAnswer, GivenAnswer, ReceiptAnswer } from "../../../../protocol/admin-api.ts";
import { loopbackFetch } from "../../../../start/loopback-http.ts";
import { until } from "../../../start/running-stack.ts";
import { A_MOMENT_S, type Ground, NEEDS } from "./ground.ts";
import type { Answer, Opened, Said, Scene } from "./scenario.ts";
import { enrolled, service, signInSomebody, type Somebody, stepUp } from "./somebody.ts";

export type Signal = (ground: Ground) => Promise<Scene>;

const IN_AN_HOUR_MS = 3_600_000;
/** As many denials as make a burst (docs/risk.md). */
const DENIALS_COUNT = 10;
/** Longest wait for an end that comes by itself. */
const RUNS_OUT_WITHIN_MS = 40_000;
/** A lane may know of the last byte a little less than its sender. */
const IDLE_EARLY_MS = 1_000;
/** Clocks of one machine, read by two processes. */
const ENDED_EARLY_MS = 50;
/** Factors that were shown then are not fresh ones. */
const LONG_AGO_S = 1_800;
const LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout";
const GOOD = { disk_encrypted: true };
let people = 0;
const nameFor = (what: string): string => `${what}-${++people}`;

async function good(asked: Promise<LoopbackAnswer>): Promise<LoopbackAnswer> {
  const answer = await asked;
  if (answer.status < 200 || answer.status > 299) throw new Error(`answered with ${answer.status}: ${answer.text.slice(0, 300)}`);
  return answer;
}

const counted = async (receipt: Promise<ReceiptAnswer>): Promise<Said> => ({ answer: await receipt });
const sum = (answers: readonly Answer[]): Answer => ({
  found: answers.reduce((all, one) => all + one.found, 0),
  closed: answers.reduce((all, one) => all + one.closed, 0),
  frozen: answers.reduce((all, one) => all + (one.frozen ?? 0), 0),
  kept: answers.reduce((all, one) => all + (one.kept ?? 0), 0),
  unconfirmed: answers.flatMap((one) => one.unconfirmed ?? []),
});
const uncounted = async (asked: Promise<LoopbackAnswer>): Promise<Said> => {
  await good(asked);
  return {};
};
const facts = async (asked: Promise<LoopbackAnswer>): Promise<Said> => ({ answer: JSON.parse((await good(asked)).text) as FactsAnswer });
const verdict = (name: string, value: unknown): string => JSON.stringify({ facts: { [name]: { value, expires_at: new Date(Date.now() + IN_AN_HOUR_MS).toISOString() } } });

/** Somebody at the apps of a need, and a signal about them. */
const about = (need: string, what: string, say: (ground: Ground, somebody: Somebody) => Promise<Said>, goesOn = false, agoSeconds?: number): Signal => async (ground) => {
  const holder = await signInSomebody(ground, nameFor(what), "own", agoSeconds === undefined ? {} : { authTime: Math.floor(Date.now() / 1_000) - agoSeconds });
  return { holder, need, say: () => say(ground, holder), ...(goesOn ? { goesOn: () => stepUp(ground, holder) } : {}) };
};

export const revokeSession = about("plain", "session", ({ operator }, { sid }) => counted(operator.revoke("session", sid)));
export const revokeUser = about("plain", "user", ({ operator }, { name }) => counted(operator.revoke("user", `${name}@example.com`)));
export const revokeApp = about("plain", "app", async ({ operator }) => ({ answer: sum(await Promise.all(["web", "pipe", "shell"].map((face) => operator.revoke("app", `${face}-plain`)))) }));

export const revokeService: Signal = async (ground) => ({ holder: await service(ground), need: "plain", say: () => counted(ground.operator.revoke("service", "robot")) });

export const revokeConnector: Signal = async (ground) => ({
  holder: await signInSomebody(ground, nameFor("connector")),
  need: "plain",
  say: () => counted(ground.operator.revoke("connector", ground.connector().id)),
  restore: ground.renewConnector,
});

export const revokeDevice: Signal = async (ground) => {
  const holder = await signInSomebody(ground, nameFor("device"));
  const { id, reports } = await enrolled(ground, holder);
  await reports.report(GOOD);
  return { holder, need: "machine", say: () => counted(ground.operator.revoke("device", id)) };
};

/** An operator gives somebody access to each of their apps. */
async function grantTo(ground: Ground, { id: user }: Somebody, length: string): Promise<readonly GivenAnswer[]> {
  const given: GivenAnswer[] = [];
  for (const face of ["web", "pipe", "shell"]) {
    const asked = JSON.stringify({ user, app: `${face}-granted`, for: length, reason: "an incident" });
    given.push(JSON.parse((await good(ground.operator.call("POST", "/grants", asked))).text) as GivenAnswer);
  }
  return given;
}

/** One grant after the other: each answer counts what is open then, and what it keeps. */
export const revokeGrant: Signal = async (ground) => {
  const holder = await signInSomebody(ground, nameFor("grant"));
  const grants = await grantTo(ground, holder, "1h");
  const say = async (): Promise<Said> => {
    const receipts: ReceiptAnswer[] = [];
    for (const { id } of grants) receipts.push(await ground.operator.revoke("grant", id));
    return { answer: { ...sum(receipts), found: receipts[0]?.found ?? 0, kept: receipts.at(-1)?.kept ?? 0 } };
  };
  return { holder, need: "granted", say };
};

/** A document under which the apps `plain` are another matter. */
const applied = (what: string, changed: (ground: Ground) => string, goesOn: boolean): Signal => async (ground) => {
  const holder = await signInSomebody(ground, nameFor(what));
  const apply = async (document: string): Promise<Said> => ({ answer: (await ground.operator.apply(document)).receipt });
  return { holder, need: "plain", say: () => apply(changed(ground)), ...(goesOn ? { goesOn: () => stepUp(ground, holder) } : {}), restore: () => apply(ground.document()) };
};
export const appTakenAway = applied("taken", ({ document }) => document({ ...NEEDS, plain: "country: [AQ]" }), false);
export const secondFactorWanted = applied("wanted", ({ document }) => document({ ...NEEDS, plain: "mfa: { max_age: 30s }" }), true);
export const readOnly = applied("reader", ({ document }) => document(NEEDS, `  - { id: readers, effect: limit, apps: [web-plain, pipe-plain, shell-plain], when: { provider: [own] }, limits: { read_only: true } }`), false);

/** Somebody whom the directory has in the group that policies ask for. */
const inDirectory = (what: string, say: (ground: Ground, of: { readonly user: string; readonly group: string }) => Promise<LoopbackAnswer>): Signal => async (ground) => {
  const name = nameFor(what);
  const made = async (path: string, body: object): Promise<string> => (JSON.parse((await good(ground.scim("POST", path, body))).text) as { readonly id: string }).id;
  const user = await made("/Users", { userName: name, externalId: name, active: true });
  const group = await made("/Groups", { displayName: "Crew", members: [{ value: user }] });
  const holder = await signInSomebody(ground, name, "dir");
  return { holder, need: "plain", say: () => uncounted(say(ground, { user, group })), restore: () => ground.scim("DELETE", `/Groups/${group}`, {}) };
};
const patch = (...Operations: object[]): object => ({ schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], Operations });
export const deactivated = inDirectory("deactivated", ({ scim }, { user }) => scim("PATCH", `/Users/${user}`, patch({ op: "replace", value: { active: false } })));
export const leftGroup = inDirectory("left", ({ scim }, { user, group }) => scim("PATCH", `/Groups/${group}`, patch({ op: "Remove", path: `members[value eq "${user}"]` })));

/** The provider's session is over, and nobody is named. */
export const providerSignOut: Signal = async (ground) => {
  const session = crypto.randomUUID();
  const holder = await signInSomebody(ground, nameFor("signed-out"), "own", { session });
  const { people: provider, stack } = ground;
  const say = async (): Promise<Said> => {
    const now = Math.floor(Date.now() / 1_000);
    const token = await provider.sign({ iss: provider.issuer, aud: provider.clientId, iat: now, exp: now + 120, jti: crypto.randomUUID(), sid: session, events: { [LOGOUT_EVENT]: {} } }, { typ: "logout+jwt" });
    return uncounted(loopbackFetch(`${stack.launcher}/.postern/backchannel/own`, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams({ logout_token: token }).toString(), timeoutMs: 45_000 }));
  };
  return { holder, need: "plain", say };
};

const told = (need: keyof typeof NEEDS, type: string, payload: object = {}, goesOn = false): Signal =>
  about(need, type.split("/")[1] ?? "", ({ event }, { name }) => uncounted(event(type, name, payload, goesOn ? A_MOMENT_S : 0)), goesOn);
export const sessionRevoked = told("plain", "caep/session-revoked");
export const accountDisabled = told("plain", "risc/account-disabled");
export const credentialChange = told("strong", "caep/credential-change", { credential_type: "fido2-roaming", change_type: "revoke" }, true);
export const assuranceLevelChange = told("strong", "caep/assurance-level-change", { namespace: "NIST-AAL", current_level: "nist-aal1", previous_level: "nist-aal2", change_direction: "decrease" }, true);
export const credentialChangeRequired = told("recent", "risc/account-credential-change-required", {}, true);
export const claimsChange = told("plain", "caep/token-claims-change", { claims: { groups: ["leavers"] } });
export const complianceChange: Signal = async (ground) => {
  const status = (current_status: string, previous_status: string) => ({ current_status, previous_status });
  const holder = await signInSomebody(ground, nameFor("compliance"));
  await good(ground.event("caep/device-compliance-change", holder.name, status("compliant", "not-compliant")));
  return { holder, need: "compliant", say: () => uncounted(ground.event("caep/device-compliance-change", holder.name, status("not-compliant", "compliant"))) };
};

/** The machine says itself that its disk is not encrypted any more. */
export const postureReport: Signal = async (ground) => {
  const holder = await signInSomebody(ground, nameFor("posture"));
  const { reports } = await enrolled(ground, holder);
  await reports.report(GOOD);
  return {
    holder,
    need: "machine",
    say: async () => {
      await reports.report({ disk_encrypted: false });
      return {};
    },
  };
};

/** Another system says of the machine that it does not comply. */
export const deviceVerdict: Signal = async (ground) => {
  const holder = await signInSomebody(ground, nameFor("verdict"));
  const { id } = await enrolled(ground, holder);
  const says = (value: boolean): Promise<LoopbackAnswer> => ground.operator.call("POST", `/devices/${id}/facts`, verdict("compliant", value));
  await good(says(true));
  return { holder, need: "compliant", say: () => facts(says(false)) };
};

export const highRisk = about("careful", "risk", ({ operator }, { id }) => facts(operator.call("POST", `/users/${id}/facts`, verdict("risk", "high"))), true, LONG_AGO_S);

/** They try a door that is not theirs, again and again: the sign is Postern's own, and nobody is answered. */
export const denialBurst: Signal = async (ground) => {
  const holder = await signInSomebody(ground, nameFor("denied"));
  return {
    holder,
    need: "calm",
    say: async ({ connections }) => {
      const headers = await holder.headers("nobodys");
      for (let n = 0; n < DENIALS_COUNT; n++) await loopbackFetch(`${ground.urlOf("nobodys")}/`, { headers: { ...headers, accept: "application/json" } });
      await until(() => [...connections.values()].every((one) => one.endedAt !== undefined), "all has ended");
      return {};
    },
  };
};

/** Milliseconds since 1970, as this process counts. */
const here = (instant: number): number => instant - performance.timeOrigin;
const allEnded = (opened: Opened, what: string): Promise<void> => until(() => [...opened.connections.values()].every((one) => one.endedAt !== undefined), what, RUNS_OUT_WITHIN_MS);

/** The machine reports once more while they are open, and then no more: what it said counts for `maxAgeMs`. */
export const staleReport = (need: string, maxAgeMs: number): Signal => async (ground) => {
  const holder = await signInSomebody(ground, nameFor("stale"));
  const { reports } = await enrolled(ground, holder);
  await reports.report(GOOD);
  const say: Scene["say"] = async (opened) => {
    await reports.report(GOOD);
    const at = performance.now() + maxAgeMs;
    await allEnded(opened, "what the report allowed has ended");
    return { at };
  };
  return { holder, need, say };
};

/** Given for an hour, and once all is open for a moment instead; then nobody does anything. */
export const grantEnd = (length: string): Signal => async (ground) => {
  const holder = await signInSomebody(ground, nameFor("granted"));
  await grantTo(ground, holder, "1h");
  const say: Scene["say"] = async (opened) => {
    const ends = (await grantTo(ground, holder, length)).map(({ until: end }) => Date.parse(end));
    await allEnded(opened, "what the grants opened has ended");
    const first = Math.min(...[...opened.connections.values()].map(({ endedAt = 0 }) => endedAt));
    if (first < here(Math.min(...ends)) - ENDED_EARLY_MS) throw new Error("something ended before its grant");
    return { at: here(Math.max(...ends)) };
  };
  return { holder, need: "granted", say };
};

/** Nobody does anything: the session is over at the instant that it was given when it began. */
export const sessionEnd: Signal = async (ground) => {
  const holder = await signInSomebody(ground, nameFor("ended"));
  const say: Scene["say"] = async (opened) => {
    const endsAt = (await ground.operator.sessions()).find(({ id }) => id === holder.sid)?.expires_at ?? "";
    await allEnded(opened, "the session's end");
    return { at: here(Date.parse(endsAt)) };
  };
  return { holder, need: "plain", say };
};

/** They send nothing any more, whatever they are sent. */
export const idleEnd = (idleMs: number): Signal => async (ground) => {
  const holder = await signInSomebody(ground, nameFor("idle"));
  const say: Scene["say"] = async (opened) => {
    for (const { said } of opened.connections.values()) said?.hush();
    const hushedAt = performance.now();
    await allEnded(opened, "the session's end for idleness");
    const first = Math.min(...[...opened.connections.values()].map(({ endedAt = 0 }) => endedAt));
    if (first < hushedAt + idleMs - IDLE_EARLY_MS) throw new Error(`ended after ${first - hushedAt} ms of ${idleMs}`);
    return {};
  };
  return { holder, need: "plain", say };
};

/** The connector learns something of the app by itself, tells the edge, and nobody is answered. */
const reported = (need: string, what: string, becomes: (ground: Ground) => void): Signal => async (ground) => ({
  holder: await signInSomebody(ground, nameFor(what)),
  need,
  say: async (opened) => {
    becomes(ground);
    await allEnded(opened, `what a connector says (${what}) has ended all`);
    return {};
  },
});
export const criticalFinding = (need: string): Signal => reported(need, "finding", ({ tell }) => tell(need, { critical: 1 }));
export const otherImage = (need: string, digest: string): Signal => reported(need, "image", ({ tell }) => tell(need, { digest }));
export const unhealthy = (need: string): Signal => reported(need, "unhealthy", ({ fallIll }) => fallIll());
