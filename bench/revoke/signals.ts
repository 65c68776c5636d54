/**
 * The signals that are measured, one entry each: how a person or an operator or another system
 * says that trust changed, and what must be put right before the next receipt. A new signal is a
 * new entry here; the cases, the rows and the page follow from it.
 */
import { join } from "node:path";
import type { ReceiptAnswer } from "../../protocol/admin-api.ts";
import { machineAt } from "../../test/e2e/devices/machine.ts";
import { monotonicMs } from "./clock.ts";
import type { SignedIn } from "./sessions.ts";
import { type App, SERVICE, type Stage } from "./stage.ts";

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
  /** The policies while it is measured; absent: the usual ones. */
  readonly policies?: string;
  /** Over how many sessions the connections are spread. */
  readonly sessions: number;
  /** What is used up by one receipt: another is made for the next. */
  readonly spends: "session" | "person" | "nothing";
  /** Another way to come by a session than a person's sign-in. */
  readonly signIn?: (stage: Stage, person: string, app: App) => Promise<SignedIn>;
  /** What restoring takes on two quiet cores, when it takes long. */
  readonly seconds?: number;
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

async function revoke({ operator }: Stage, kind: string, id: string): Promise<Acknowledged> {
  const { json, ...rest } = await answered(`revoke ${kind}`, () => operator.call("POST", "/revoke", JSON.stringify({ kind, id })));
  return { ...rest, receipt: json as ReceiptAnswer };
}

async function apply({ operator }: Stage, document: string): Promise<Acknowledged> {
  const { json, ...rest } = await answered("apply", () => operator.call("POST", "/policy", document));
  return { ...rest, receipt: (json as { readonly receipt: ReceiptAnswer }).receipt };
}

const NOBODY = "  - { id: staff, effect: allow, apps: [web, pipe, shell], when: { group: [nobody] } }";

const IN_ORDER = "  - { id: staff, effect: allow, apps: [web, pipe, shell], when: { group: [staff], device: { registered: true, disk_encrypted: true, max_age: 15m } } }";

/** The devices of sessions: what each is to its edge, and its own side. */
const devices = new WeakMap<SignedIn, { readonly id: string; readonly reports: ReturnType<typeof machineAt> }>();
const deviceOf = ({ sessions: [session] }: Scene): { readonly id: string; readonly reports: ReturnType<typeof machineAt> } => {
  const device = session === undefined ? undefined : devices.get(session);
  if (device === undefined) throw new Error("this session has no device");
  return device;
};
let machines = 0;

/** Signals about a device: a person with a machine that is in order, and what takes that away. */
const ofDevice = {
  policies: IN_ORDER,
  sessions: 1,
  signIn: async (stage: Stage, person: string, app: App): Promise<SignedIn> => {
    const session = await stage.signInWithToken(person, app);
    const reports = machineAt(stage.stack.launcher, join(stage.folder, `machine-${++machines}`));
    const { id } = await reports.enrol(session.token, "bench");
    await reports.report({ disk_encrypted: true });
    devices.set(session, { id, reports });
    return session;
  },
} as const;

const inOrder = async (scene: Scene): Promise<void> => void (await deviceOf(scene).reports.report({ disk_encrypted: true }));

async function report(scene: Scene): Promise<Acknowledged> {
  const asked = monotonicMs();
  await deviceOf(scene).reports.report({ disk_encrypted: false });
  const at = monotonicMs();
  return { tookMs: at - asked, at };
}

async function verdict(scene: Scene, fact: object | null): Promise<Acknowledged> {
  const path = `/devices/${deviceOf(scene).id}/facts`;
  const { json: _counts, ...rest } = await answered("a verdict", () => scene.stage.operator.call("POST", path, JSON.stringify({ facts: { disk_encrypted: fact } })));
  return rest;
}

export const SIGNALS: readonly Signal[] = [
  { name: "session", isMain: true, sessions: 1, spends: "session", fire: ({ stage, sessions }) => revoke(stage, "session", sessions[0]?.sid ?? "") },
  {
    name: "policy",
    isMain: true,
    sessions: 10,
    spends: "nothing",
    fire: ({ stage }) => apply(stage, stage.document(NOBODY)),
    restore: async ({ stage }) => void (await apply(stage, stage.document())),
  },
  { name: "user", sessions: 2, spends: "person", fire: ({ stage, person }) => revoke(stage, "user", `${person}@example.com`) },
  { name: "app", sessions: 2, spends: "nothing", fire: ({ stage, app }) => revoke(stage, "app", app) },
  { name: "connector", seconds: 2, sessions: 2, spends: "nothing", fire: ({ stage }) => revoke(stage, "connector", stage.connector().id), restore: ({ stage }) => stage.renewConnector() },
  {
    name: "service",
    sessions: 1,
    spends: "session",
    signIn: async ({ operator, stack }) => {
      const token = await operator.createService(SERVICE);
      return { sid: "", token, headers: { host: `web.postern.localhost:${stack.port}`, authorization: `Bearer ${token}` } };
    },
    fire: ({ stage }) => revoke(stage, "service", SERVICE),
  },
  { ...ofDevice, name: "device", seconds: 0.4, spends: "session", fire: (scene) => revoke(scene.stage, "device", deviceOf(scene).id) },
  { ...ofDevice, name: "posture", spends: "nothing", fire: report, restore: inOrder },
  {
    ...ofDevice,
    name: "verdict",
    spends: "nothing",
    fire: (scene) => verdict(scene, { value: false, expires_at: new Date(Date.now() + 3_600_000).toISOString() }),
    restore: async (scene) => {
      await verdict(scene, null);
      await inOrder(scene);
    },
  },
];
