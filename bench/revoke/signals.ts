/**
 * The signals that are measured, one entry each: how a person or an operator or another system
 * says that trust changed, and what must be put right before the next receipt. A new signal is a
 * new entry here; the cases, the rows and the page follow from it.
 */
import { join } from "node:path";
import type { ReceiptAnswer } from "../../protocol/admin-api.ts";
import { type LoopbackAnswer, loopbackFetch } from "../../start/loopback-http.ts";
import { machineAt } from "../../test/e2e/devices/machine.ts";
import { monotonicMs, pause } from "./clock.ts";
import type { SignedIn } from "./sessions.ts";
import { type App, type DocumentParts, SERVICE, type Stage, when, WITH_SCIM } from "./stage.ts";

/** Who holds the connections of one receipt. */
export interface Scene {
  readonly stage: Stage;
  readonly app: App;
  readonly person: string;
  readonly sessions: readonly SignedIn[];
}

/** What was acknowledged, and when it was in the caller's hands. */
export interface Acknowledged {
  readonly tookMs: number;
  readonly at: number;
  /** Of signals that are answered with one. */
  readonly receipt?: ReceiptAnswer;
}

export interface Signal {
  readonly name: string;
  /** With 1, 100 and 1,000 live connections; otherwise with ten. */
  readonly isMain?: boolean;
  /** The document while it is measured, where it is not the usual one. */
  readonly document?: (stage: Stage) => DocumentParts;
  /** Over how many sessions the connections are spread. */
  readonly sessions: number;
  /** What is used up by one receipt: another is made for the next. */
  readonly spends: "session" | "person" | "nothing";
  /** Another way to come by a session than a person's sign-in. */
  readonly signIn?: (stage: Stage, person: string, app: App) => Promise<SignedIn>;
  /** What restoring takes on two quiet cores, when it takes long. */
  readonly seconds?: number;
  /** What must be so before anything is opened; once for each new set of sessions. */
  readonly prepare?: (scene: Scene) => Promise<void>;
  /** What allows the connections runs out by itself, sooner than a busy machine may have opened them: gives it again for longer, the more often it was tried. */
  readonly longer?: (scene: Scene, tries: number) => Promise<void>;
  /** It did not run out meanwhile. */
  readonly isInTime?: (scene: Scene) => boolean;
  /** A fresh sign-in would do: what it stops is held where it stands and not ended. */
  readonly holds?: boolean;
  readonly fire: (scene: Scene) => Promise<Acknowledged>;
  /** Makes the next crowd possible. */
  readonly restore?: (scene: Scene) => Promise<void>;
}

/** Asks and takes the time; throws unless the answer is a good one. */
async function answered(what: string, ask: () => Promise<{ readonly status: number; readonly text: string }>): Promise<Acknowledged & { readonly json: unknown }> {
  const asked = monotonicMs();
  const { status, text } = await ask();
  const at = monotonicMs();
  if (status < 200 || status > 299) throw new Error(`${what} was answered with ${status}: ${text.slice(0, 300)}`);
  return { tookMs: at - asked, at, json: text === "" ? undefined : (JSON.parse(text) as unknown) };
}

/** The same, of what is answered without a receipt. */
async function acknowledged(what: string, ask: () => Promise<{ readonly status: number; readonly text: string }>): Promise<Acknowledged> {
  const { tookMs, at } = await answered(what, ask);
  return { tookMs, at };
}

async function revoke({ operator }: Stage, kind: string, id: string): Promise<Acknowledged> {
  const { json, ...rest } = await answered(`revoke ${kind}`, () => operator.call("POST", "/revoke", JSON.stringify({ kind, id })));
  return { ...rest, receipt: json as ReceiptAnswer };
}

async function apply({ operator }: Stage, document: string): Promise<Acknowledged> {
  const { json, ...rest } = await answered("apply", () => operator.call("POST", "/policy", document));
  return { ...rest, receipt: (json as { readonly receipt: ReceiptAnswer }).receipt };
}


/** SCIM, as the provider's directory asks it. */
const scim = ({ stack, scimToken }: Stage, method: string, path: string, body: unknown): Promise<LoopbackAnswer> =>
  loopbackFetch(`${stack.launcher}/.postern/scim/v2${path}`, { method, headers: { authorization: `Bearer ${scimToken}`, "content-type": "application/scim+json" }, body: JSON.stringify(body), timeoutMs: 45_000 });
const idIn = ({ status, text }: LoopbackAnswer): string => {
  if (status !== 201) throw new Error(`the directory was answered with ${status}: ${text.slice(0, 300)}`);
  return (JSON.parse(text) as { readonly id: string }).id;
};
/** Ids of the directory by what they are of. */
const entries = new Map<string, string>();
async function entry(stage: Stage, kind: "Users" | "Groups", name: string): Promise<string> {
  const key = `${stage.folder} ${kind} ${name}`;
  const id = entries.get(key) ?? idIn(await scim(stage, "POST", `/${kind}`, kind === "Users" ? { userName: name, externalId: name, active: true } : { displayName: name }));
  entries.set(key, id);
  return id;
}
const patched = async (stage: Stage, kind: "Users" | "Groups", name: string, operation: unknown): Promise<LoopbackAnswer> =>
  scim(stage, "PATCH", `/${kind}/${await entry(stage, kind, name)}`, { schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], Operations: [operation] });
const joins = async ({ stage, person }: Scene): Promise<void> => void (await patched(stage, "Groups", "crew", { op: "add", path: "members", value: [{ value: await entry(stage, "Users", person) }] }));

/** The transmitter is the provider: its key signs both. */
const FEED_AUDIENCE = "https://receiver.example.com";
const withFeed = ({ issuer }: Stage): string => `signals: [{ id: feed, issuer: "${issuer.issuer}", jwks_uri: "${issuer.issuer}/jwks", audience: "${FEED_AUDIENCE}", provider: own }]`;

async function pushed({ stage, person }: Scene, type: string, payload: object = {}): Promise<Acknowledged> {
  const { issuer, sign } = stage.issuer;
  const claims = { iss: issuer, aud: FEED_AUDIENCE, iat: Math.floor(Date.now() / 1_000), jti: crypto.randomUUID(), sub_id: { format: "iss_sub", iss: issuer, sub: person }, events: { [`https://schemas.openid.net/secevent/${type}`]: payload } };
  const body = await sign(claims, { typ: "secevent+jwt" });
  return acknowledged(type, () => loopbackFetch(`${stage.stack.launcher}/.postern/ssf/feed`, { method: "POST", headers: { "content-type": "application/secevent+jwt" }, body, timeoutMs: 45_000 }));
}

async function signedOut({ stage, person }: Scene): Promise<Acknowledged> {
  const { issuer, sign, clientId } = stage.issuer;
  const now = Math.floor(Date.now() / 1_000);
  const token = await sign({ iss: issuer, aud: clientId, iat: now, exp: now + 120, jti: crypto.randomUUID(), sub: person, events: { "http://schemas.openid.net/event/backchannel-logout": {} } }, { typ: "logout+jwt" });
  return acknowledged("the logout", () => loopbackFetch(`${stage.stack.launcher}/.postern/backchannel/own`, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams({ logout_token: token }).toString(), timeoutMs: 45_000 }));
}

const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();
/** Facts by the API, as an EDR or an MDM says them. */
const said = ({ operator }: Stage, path: string, facts: object): Promise<LoopbackAnswer> => operator.call("POST", `${path}/facts`, JSON.stringify({ facts }));
const riskOf = async ({ stage, sessions }: Scene, value: string): Promise<Acknowledged> => {
  const user = (await sessions[0]?.user()) ?? "";
  return acknowledged("the risk", () => said(stage, `/users/${user}`, { risk: { value, expires_at: inAnHour() } }));
};

/** Devices by the sessions that go by them. */
const devices = new WeakMap<readonly SignedIn[], { readonly id: string; readonly reports: ReturnType<typeof machineAt> }>();
const deviceOf = ({ sessions }: Scene): { readonly id: string; readonly reports: ReturnType<typeof machineAt> } => {
  const device = devices.get(sessions);
  if (device === undefined) throw new Error("the session goes by no device");
  return device;
};
/** A machine is enrolled by the session's own command line, and reports that all is well. */
async function enrolled({ stage, sessions }: Scene): Promise<void> {
  const reports = machineAt(stage.stack.launcher, join(stage.folder, `machine-${crypto.randomUUID()}`));
  const { id } = await reports.enrol((await sessions[0]?.token()) ?? "", "bench");
  await reports.report({ disk_encrypted: true });
  devices.set(sessions, { id, reports });
}
const verdict = (scene: Scene, value: boolean, expiresAt = inAnHour()): Promise<Acknowledged> => acknowledged("the verdict", () => said(scene.stage, `/devices/${deviceOf(scene).id}`, { compliant: { value, expires_at: expiresAt } }));
const withDevice = (conditions: string) => (): DocumentParts => ({ policies: when(`{ group: [staff], device: ${conditions} }`) });
const complies = async (scene: Scene): Promise<void> => void (await pushed(scene, "caep/event-type/device-compliance-change", { previous_status: "not-compliant", current_status: "compliant" }));
/** Grants by the sessions whose person has them. */
const grants = new WeakMap<readonly SignedIn[], string>();
async function granted({ stage, sessions, app }: Scene): Promise<void> {
  const user = (await sessions[0]?.user()) ?? "";
  const { json } = await answered("the grant", () => stage.operator.call("POST", "/grants", JSON.stringify({ user, app, for: "1h", reason: "bench" })));
  grants.set(sessions, (json as { readonly id: string }).id);
}
/** An event after which only a second factor that is shown anew would do. */
const stepUp = (name: string, type: string, payload: object = {}): Signal => ({
  name,
  sessions: 2,
  spends: "person",
  holds: true,
  document: (stage) => ({ policies: when("{ group: [staff], mfa: true }"), sections: withFeed(stage) }),
  fire: (scene) => pushed(scene, type, payload),
});

/** A fact is given so long, and then not again: long enough to open connections meanwhile, which logins take a second for. */
const EXPIRY_MS = 700;
const LOGIN_EXPIRY_MS = 1_500;
/** How late a timer may be, and the clock that a busy process reads. */
const TIMER_MS = 50;
const expiries = new WeakMap<readonly SignedIn[], number>();
async function soonOver(scene: Scene, tries = 0): Promise<void> {
  const expiresAt = Date.now() + (scene.app === "shell" ? LOGIN_EXPIRY_MS : EXPIRY_MS) * 2 ** tries;
  await verdict(scene, true, new Date(expiresAt).toISOString());
  expiries.set(scene.sessions, expiresAt);
}

export const SIGNALS: readonly Signal[] = [
  { name: "session", isMain: true, sessions: 1, spends: "session", fire: ({ stage, sessions }) => revoke(stage, "session", sessions[0]?.sid ?? "") },
  {
    name: "policy",
    isMain: true,
    sessions: 10,
    spends: "nothing",
    fire: ({ stage }) => apply(stage, stage.document({ policies: when("{ group: [nobody] }") })),
    restore: async ({ stage }) => void (await apply(stage, stage.document())),
  },
  { name: "user", sessions: 2, spends: "person", fire: ({ stage, person }) => revoke(stage, "user", `${person}@example.com`) },
  { name: "app", sessions: 2, spends: "nothing", fire: ({ stage, app }) => revoke(stage, "app", app) },
  { name: "connector", seconds: 1.2, sessions: 2, spends: "nothing", fire: ({ stage }) => revoke(stage, "connector", stage.connector().id), restore: ({ stage }) => stage.renewConnector() },
  {
    name: "service",
    sessions: 1,
    spends: "session",
    signIn: async ({ operator, stack }) => {
      const token = await operator.createService(SERVICE);
      return { sid: "", token: () => Promise.resolve(token), user: () => Promise.resolve(""), headers: { host: `web.postern.localhost:${stack.port}`, authorization: `Bearer ${token}` } };
    },
    fire: ({ stage }) => revoke(stage, "service", SERVICE),
  },
  {
    name: "scim-deactivate",
    sessions: 2,
    spends: "person",
    document: () => ({ policies: when("{ provider: [own] }"), provider: WITH_SCIM }),
    prepare: async ({ stage, person }) => void (await entry(stage, "Users", person)),
    fire: ({ stage, person }) => acknowledged("the deactivation", () => patched(stage, "Users", person, { op: "replace", value: { active: false } })),
  },
  {
    name: "scim-group",
    sessions: 2,
    spends: "nothing",
    document: () => ({ policies: when("{ group: [crew] }"), provider: WITH_SCIM }),
    prepare: joins,
    fire: async ({ stage, person }) => {
      const member = await entry(stage, "Users", person);
      return acknowledged("the group", () => patched(stage, "Groups", "crew", { op: "remove", path: `members[value eq "${member}"]` }));
    },
    restore: joins,
  },
  { name: "backchannel-logout", sessions: 2, spends: "person", fire: signedOut },
  { name: "ssf-session-revoked", sessions: 2, spends: "person", document: (stage) => ({ sections: withFeed(stage) }), fire: (scene) => pushed(scene, "caep/event-type/session-revoked") },
  {
    name: "ssf-token-claims-change",
    sessions: 2,
    spends: "person",
    document: (stage) => ({ sections: withFeed(stage) }),
    fire: (scene) => pushed(scene, "caep/event-type/token-claims-change", { claims: { groups: [] } }),
  },
  { name: "ssf-account-disabled", sessions: 2, spends: "person", document: (stage) => ({ sections: withFeed(stage) }), fire: (scene) => pushed(scene, "risc/event-type/account-disabled") },
  {
    name: "ssf-device-compliance-change",
    sessions: 2,
    spends: "nothing",
    document: (stage) => ({ ...withDevice("{ compliant: true }")(), sections: withFeed(stage) }),
    prepare: complies,
    fire: (scene) => pushed(scene, "caep/event-type/device-compliance-change", { previous_status: "compliant", current_status: "not-compliant" }),
    restore: complies,
  },
  stepUp("ssf-credential-change", "caep/event-type/credential-change", { credential_type: "fido2-roaming", change_type: "revoke" }),
  stepUp("ssf-assurance-level-change", "caep/event-type/assurance-level-change", { namespace: "RFC8176", current_level: "pwd", previous_level: "mfa", change_direction: "decrease" }),
  stepUp("ssf-account-credential-change-required", "risc/event-type/account-credential-change-required"),
  {
    name: "risk",
    sessions: 2,
    spends: "nothing",
    document: () => ({ policies: when("{ group: [staff], risk: [low] }") }),
    prepare: async (scene) => void (await riskOf(scene, "low")),
    fire: (scene) => riskOf(scene, "high"),
    restore: async (scene) => void (await riskOf(scene, "low")),
  },
  {
    name: "grant",
    sessions: 2,
    spends: "nothing",
    document: () => ({ policies: when("{ group: [staff], grant: true }") }),
    prepare: granted,
    fire: (scene) => revoke(scene.stage, "grant", grants.get(scene.sessions) ?? ""),
    restore: granted,
  },
  { name: "device", sessions: 1, spends: "person", document: withDevice("{ registered: true }"), prepare: enrolled, fire: (scene) => revoke(scene.stage, "device", deviceOf(scene).id) },
  {
    name: "posture",
    sessions: 1,
    spends: "nothing",
    document: withDevice("{ disk_encrypted: true }"),
    prepare: enrolled,
    fire: async (scene) => {
      const asked = monotonicMs();
      await deviceOf(scene).reports.report({ disk_encrypted: false });
      const at = monotonicMs();
      return { tookMs: at - asked, at };
    },
    restore: async (scene) => void (await deviceOf(scene).reports.report({ disk_encrypted: true })),
  },
  {
    name: "verdict",
    sessions: 1,
    spends: "nothing",
    document: withDevice("{ compliant: true }"),
    prepare: async (scene) => {
      await enrolled(scene);
      await verdict(scene, true);
    },
    fire: (scene) => verdict(scene, false),
    restore: async (scene) => void (await verdict(scene, true)),
  },
  {
    // Nobody answers for it: instead of a receipt the fact's end counts, and as much as a timer may be late.
    name: "fact-expiry",
    sessions: 1,
    spends: "nothing",
    seconds: EXPIRY_MS / 1_000,
    document: withDevice("{ compliant: true }"),
    prepare: async (scene) => {
      await enrolled(scene);
      await soonOver(scene);
    },
    fire: async ({ sessions }) => {
      const left = (expiries.get(sessions) ?? 0) + TIMER_MS - Date.now();
      const at = monotonicMs() + left;
      await pause(left);
      return { tookMs: 0, at };
    },
    restore: (scene) => soonOver(scene),
    longer: soonOver,
    isInTime: ({ sessions }) => Date.now() + TIMER_MS < (expiries.get(sessions) ?? 0),
  },
];
