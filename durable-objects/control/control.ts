/**
 * Control: the versions of the policy, the connectors, the service and enrolment tokens, the
 * receipts. Every change goes through here, one after the other; a receipt is stored before it
 * is answered, and an alarm resumes what a crash left. Not on a user's path (M8): lanes hold
 * leases on what it said. Sign-ins ask it.
 */
import type { PublicJwk } from "../../identity/keys.ts";
import { DurableObject } from "cloudflare:workers";
import type { ConnectorId, DeviceId, SessionId, SiteId, UserId } from "../../core/ids.ts";
import { parseUserId } from "../../core/ids.ts";
import { SETUP_SERVICE } from "../../policy/compile.ts";
import type { PolicyDocument } from "../../policy/document.ts";
import { recordNow } from "../audit/record.ts";
import type { AuditKind } from "../audit/rpc.ts";
import { CONTROL_AUDIT_NAME, type ObjectEnv, SIGNER_NAMES } from "../bindings.ts";
import { randomText } from "../random-text.ts";
import { Database } from "../sqlite.ts";
import { ACTOR_CHANGED, nameOf, stillActs } from "./actor.ts";
import { BreakGlass } from "./break-glass.ts";
import { carryOut, sessionIdOf } from "./effects.ts";
import { Changes, type ReceiptRow } from "./changes.ts";
import { type LoginCodeDecision, LoginCodes, type LoginCodePoll, type LoginCodeRequest } from "./login-codes.ts";
import * as devices from "./devices.ts";
import { documentDigest } from "./digest.ts";
import type { DirectoryRequest } from "./directory.ts";
import { givenGrant, Grants } from "./grants.ts";
import { hear, type Told } from "./hearing.ts";
import { Lanes } from "./lanes.ts";
import { ProviderWatch } from "./provider-watch.ts";
import { Provisioning } from "./provisioning.ts";
import * as registry from "./registry.ts";
import { Retake } from "./retake.ts";
import * as signals from "./signals.ts";
import { reserveToken, signInService } from "./service-sign-in.ts";
import type { Actor, ConnectorRecord, ControlRpc, GlassAct, GlassAnswer, PersonRecord, PolicyLease, PolicySnapshot, Receipt, Refused, RevokeKind, ServiceRecord, Signal, VersionRecord } from "./rpc.ts";
import { CONTROL_MIGRATIONS } from "./schema.ts";

interface VersionRow {
  readonly version: number;
  readonly digest: string;
  readonly text: string;
  readonly document: string;
  readonly at: number;
  readonly by: string;
}
/** Two tokens of one service may be valid at once, so that one can be rotated in (CONTRACT). */
const MAX_SERVICE_TOKENS_COUNT = 2;

export class Control extends DurableObject<ObjectEnv> implements ControlRpc {
  readonly #db = new Database(this.ctx.storage, CONTROL_MIGRATIONS);
  readonly #loginCodes = new LoginCodes(this.ctx.storage.kv);
  readonly #lanes = new Lanes(this.#db, this.env);
  readonly #retake = new Retake(this.ctx);
  readonly #soon = (): void => this.#retake.soon();
  readonly #changes = new Changes(this.#db, this.ctx, {
    effect: (row) => carryOut({ env: this.env, db: this.#db, lanes: this.#lanes, policy: () => this.policy() }, row),
    record: (row) => this.#recordChange(row),
    soon: this.#soon,
  });

  readonly #provisioning = new Provisioning(this.#db, {
    document: () => this.#document(),
    signal: (signal) => this.signal(signal),
    record: (data) => this.#record("directory", data),
    soon: this.#soon,
    ctx: this.ctx,
  });

  readonly #grants = new Grants(this.#db, {
    signal: (signal) => this.signal(signal),
    stillActs: (by) => this.#stillActs(by),
    record: (data) => this.#record("grant", data),
    wakeAt: (at) => this.#retake.by(at),
  });
  readonly #glass = new BreakGlass({ kv: this.ctx.storage.kv, db: this.#db, env: this.env, record: (data) => this.#record("break_glass", data), stillActs: (by) => this.#stillActs(by) });

  readonly #watch = new ProviderWatch(this.ctx, {
    document: () => this.#document(),
    tell: (away) => this.#lanes.push((stub) => stub.providersAway(away)),
    record: (data) => this.#record("loss", data),
    wakeAt: (at) => this.#retake.by(at),
  });

  async policy(known?: number): Promise<PolicySnapshot | undefined> {
    const current = this.#current();
    if (current === undefined || current.version === known) return undefined;
    return { version: current.version, digest: current.digest, document: JSON.parse(current.document) as PolicyDocument };
  }

  async leasePolicy(lane: { site: SiteId; lane: number }, known: number): Promise<PolicyLease> {
    this.#lanes.grant(lane, Date.now());
    const newer = await this.policy(known);
    return { ...(newer === undefined ? {} : { newer }), barred: registry.barredConnectors(this.#db, lane.site), away: this.#watch.away() };
  }

  async providerAway(id: string): Promise<boolean> {
    return this.#watch.called(id);
  }

  async policyText(): Promise<{ version: number; digest: string; text: string } | undefined> {
    const current = this.#current();
    return current === undefined ? undefined : { version: current.version, digest: current.digest, text: current.text };
  }

  async version(version: number): Promise<PolicySnapshot | undefined> {
    const row = this.#db.one<VersionRow>("SELECT * FROM versions WHERE version = ?", version);
    return row === undefined ? undefined : { version, digest: row.digest, document: JSON.parse(row.document) as PolicyDocument };
  }

  async history(): Promise<readonly VersionRecord[]> {
    return this.#db.all<VersionRecord>("SELECT version, digest, at, by FROM versions ORDER BY version DESC LIMIT 200");
  }

  async setupOpen(): Promise<boolean> {
    return this.#db.one("SELECT 1 FROM versions WHERE names_operator = 1 LIMIT 1") === undefined;
  }

  async setup(request: Parameters<ControlRpc["setup"]>[0]): Promise<{ ok: true; receipt: Receipt; previous: number } | Refused<"setup_closed">> {
    await this.#record("setup", { digest: documentDigest(request.document), names_operator: String(request.namesOperator) });
    // From here to the reserved token nothing is awaited: of parallel calls one finds it open.
    const previous = this.#current()?.version ?? 0;
    const version = this.#db.transaction(() => {
      const closed = this.#db.one("SELECT 1 FROM versions WHERE names_operator = 1 LIMIT 1") !== undefined;
      return closed ? undefined : this.#insertVersion(request, "setup", Date.now());
    });
    if (version === undefined) return { ok: false, code: "setup_closed" };
    reserveToken(this.#db, this.env, SETUP_SERVICE, request.token);
    const receipt = await this.#changes.begin({ kind: "policy", target: String(version), by: "setup", version });
    await signInService(this.#db, this.env, SETUP_SERVICE, request.token);
    return { ok: true, receipt, previous };
  }

  async apply(request: Parameters<ControlRpc["apply"]>[0]): Promise<{ ok: true; receipt: Receipt; previous: number } | Refused<"version_conflict" | "actor_changed">> {
    const conflict = this.#conflict(request.expectVersion);
    if (conflict !== undefined) return conflict;
    // On record before it is live: what follows may allow more than before.
    await this.#record("policy_applied", { digest: documentDigest(request.document), after: this.#current()?.version ?? 0, by: nameOf(request.by) });
    if (!(await this.#stillActs(request.by))) return ACTOR_CHANGED;
    const raced = this.#conflict(request.expectVersion);
    if (raced !== undefined) return raced;
    const previous = this.#current()?.version ?? 0;
    const version = this.#db.transaction(() => this.#insertVersion(request, nameOf(request.by), Date.now()));
    const receipt = await this.#changes.begin({ kind: "policy", target: String(version), by: nameOf(request.by), version });
    return { ok: true, receipt, previous };
  }

  #conflict(expected: number | undefined): Refused<"version_conflict"> | undefined {
    const live = this.#current()?.version ?? 0;
    return expected === undefined || expected === live ? undefined : { ok: false, code: "version_conflict", detail: `version ${live} is live` };
  }

  async revoke(request: { kind: RevokeKind; id: string; by: Actor }): Promise<{ ok: true; receipt: Receipt } | Refused<"unknown_id" | "actor_changed">> {
    const target = this.#resolve(request.kind, request.id);
    if (target === undefined) return { ok: false, code: "unknown_id", detail: `no ${request.kind} ${request.id.slice(0, 80)}` };
    if (!(await this.#stillActs(request.by))) return ACTOR_CHANGED;
    const receipt = await this.#changes.begin({ kind: request.kind, target, by: nameOf(request.by), version: this.#current()?.version ?? 0 });
    return { ok: true, receipt };
  }

  async signal(signal: Signal): Promise<{ ok: true; receipt: Receipt; repeated: boolean } | Refused<"unknown_id">> {
    const { source, id, target } = signal;
    const seen = signals.receiptOf(this.#db, source, id);
    const before = seen === undefined ? undefined : await this.#changes.receipt(seen);
    if (before !== undefined) return { ok: true, receipt: before, repeated: true };
    if (target.kind === "session" && sessionIdOf(this.env, target.id) === undefined) return { ok: false, code: "unknown_id" };
    const change = { kind: "signal" as const, target: target.id, by: source, version: this.#current()?.version ?? 0 };
    const receipt = await this.#changes.begin(change, (receiptId) => signals.add(this.#db, signal, receiptId, Date.now()));
    return { ok: true, receipt, repeated: false };
  }

  async hear(told: Told): Promise<void> {
    await hear({ db: this.#db, env: this.env, signal: (signal) => this.signal(signal), record: (data) => this.#record("device", data) }, told);
  }

  async provision(provider: string, request: DirectoryRequest): ReturnType<ControlRpc["provision"]> {
    return this.#provisioning.request(provider, request);
  }

  async standing(person: Parameters<ControlRpc["standing"]>[0]): ReturnType<ControlRpc["standing"]> {
    return this.#provisioning.standing(person);
  }

  async receipt(id: string): Promise<Receipt | undefined> {
    return this.#changes.receipt(id);
  }

  async askGrant(request: Parameters<ControlRpc["askGrant"]>[0]): ReturnType<ControlRpc["askGrant"]> {
    return this.#grants.ask(request);
  }

  async giveGrant(request: Parameters<ControlRpc["giveGrant"]>[0]): ReturnType<ControlRpc["giveGrant"]> {
    return this.#grants.give(request, request.id !== undefined);
  }

  async denyGrant(id: string, by: Actor): ReturnType<ControlRpc["denyGrant"]> {
    return this.#grants.deny(id, by);
  }

  async grants(): ReturnType<ControlRpc["grants"]> {
    return this.#grants.list();
  }

  async createService(request: Parameters<ControlRpc["createService"]>[0]): Promise<{ ok: true } | Refused<"too_many_tokens" | "actor_changed">> {
    if (!(await this.#stillActs(request.by))) return ACTOR_CHANGED;
    // Counted and taken in one step, before anything is awaited: of parallel calls two succeed.
    const live = registry.validTokens(this.#db, request.name, Date.now()).length;
    if (live >= MAX_SERVICE_TOKENS_COUNT) return { ok: false, code: "too_many_tokens", detail: `${request.name} has ${live} valid tokens` };
    reserveToken(this.#db, this.env, request.name, request);
    try {
      await this.#record("service", { act: "create", name: request.name, expires_at: request.expiresAt, by: nameOf(request.by) });
      await signInService(this.#db, this.env, request.name, request);
    } catch (cause) {
      registry.dropToken(this.#db, request.tokenId);
      throw cause;
    }
    return { ok: true };
  }

  async services(): Promise<readonly ServiceRecord[]> {
    return registry.services(this.#db);
  }

  async breakGlass(act: GlassAct): Promise<GlassAnswer> {
    return this.#glass.take(act);
  }

  async createEnrollToken(request: Parameters<ControlRpc["createEnrollToken"]>[0]): Promise<{ ok: true } | Refused<"unknown_site" | "actor_changed">> {
    if (this.#site(request.site) === undefined) return { ok: false, code: "unknown_site", detail: request.site };
    await this.#record("enroll_token", { site: request.site, expires_at: request.expiresAt, by: nameOf(request.by) });
    if (!(await this.#stillActs(request.by))) return ACTOR_CHANGED;
    registry.addEnrollToken(this.#db, request);
    return { ok: true };
  }

  async enroll(request: Parameters<ControlRpc["enroll"]>[0]): Promise<{ ok: true; connector: ConnectorRecord; lanes: number; keySet: string } | Refused<"enroll_token_invalid">> {
    const keySet = await this.#keySet();
    const id = `c_${randomText(16)}` as ConnectorId;
    // No await between reading and spending the token: of parallel calls one finds it unspent.
    const connector = registry.redeemEnrollToken(this.#db, request, id, Date.now());
    if (connector === undefined) return { ok: false, code: "enroll_token_invalid" };
    await this.#record("connector", { act: "enroll", id, site: connector.site, name: connector.name, thumbprint: connector.thumbprint });
    return { ok: true, connector, lanes: this.#site(connector.site)?.lanes ?? 1, keySet };
  }

  async connector(id: string): Promise<{ record: ConnectorRecord; lanes: number; keySet: string } | undefined> {
    const record = registry.connector(this.#db, id);
    const site = record === undefined ? undefined : this.#site(record.site);
    if (record === undefined || site === undefined) return undefined;
    return { record, lanes: site.lanes, keySet: await this.#keySet() };
  }

  async connectors(): Promise<readonly ConnectorRecord[]> {
    return registry.connectors(this.#db);
  }

  async enrolDevice(id: DeviceId, owner: UserId): Promise<boolean> {
    return devices.addDevice(this.#db, id, owner, Date.now());
  }

  async isDevice(id: DeviceId): Promise<boolean> {
    return devices.isDevice(this.#db, id);
  }

  async devices(): Promise<readonly DeviceId[]> {
    return devices.devices(this.#db);
  }

  async beginLoginCode(request: LoginCodeRequest): Promise<boolean> {
    return this.#loginCodes.begin(request, Date.now());
  }

  async loginCode(userCode: string): Promise<LoginCodeRequest | undefined> {
    return this.#loginCodes.find(userCode, Date.now());
  }

  async decideLoginCode(userCode: string, decision: LoginCodeDecision): Promise<boolean> {
    return this.#loginCodes.decide(userCode, decision, Date.now());
  }

  async pollLoginCode(deviceHash: string): Promise<LoginCodePoll> {
    return this.#loginCodes.poll(deviceHash, Date.now());
  }

  async noteSignIn(person: PersonRecord, login?: { id: string; sid: SessionId; endsAt: number }): Promise<boolean> {
    registry.notePerson(this.#db, person);
    // What their directory said of somebody whom it did not know when it was asked, nobody was told.
    return (login === undefined || signals.noteLogin(this.#db, { issuer: person.issuer, ...login }, Date.now())) && this.#provisioning.standing(person) !== "inactive";
  }

  async people(): Promise<readonly PersonRecord[]> {
    return registry.people(this.#db);
  }

  async sealKey(): Promise<Uint8Array<ArrayBuffer>> {
    const stored = this.ctx.storage.kv.get("seal-key") as Uint8Array<ArrayBuffer> | undefined;
    if (stored !== undefined) return stored;
    const fresh = crypto.getRandomValues(new Uint8Array(32));
    this.ctx.storage.kv.put("seal-key", fresh);
    return fresh;
  }

  async publicKeys(): Promise<readonly PublicJwk[]> {
    const sets = await Promise.all(this.#signers().map((signer) => signer.publicKeys()));
    return sets.flat();
  }

  async lanes(): Promise<readonly { site: SiteId; lane: number }[]> {
    return this.#lanes.all();
  }

  /** Takes up every change that has no report yet, tells who was not told of what their directory says, lets grants go that are over, and looks at providers. */
  override async alarm(): Promise<void> {
    this.#retake.came();
    await Promise.all([this.#changes.resume(), this.#provisioning.resume(), this.#grants.sweep().catch(this.#soon), this.#lookAtProviders().catch(this.#soon)]);
  }

  /** What fails here keeps no change from being taken up. */
  async #lookAtProviders(): Promise<void> {
    this.#watch.resume();
  }

  /** The canonical target of a revocation, or undefined when nothing has that name. */
  #resolve(kind: RevokeKind, id: string): string | undefined {
    switch (kind) {
      case "session":
        return sessionIdOf(this.env, id);
      case "user":
        return parseUserId(id) ?? registry.personByEmail(this.#db, id);
      case "service":
        return registry.isService(this.#db, id) ? id : undefined;
      case "connector":
        return registry.connector(this.#db, id)?.id;
      case "app":
        return this.#document()?.apps.some((one) => one.id === id) === true ? id : undefined;
      case "device":
        return devices.isDevice(this.#db, id) ? id : undefined;
      case "grant":
        return givenGrant(this.#db, id);
      default:
        kind satisfies never;
        return undefined;
    }
  }

  #stillActs(actor: Actor): Promise<boolean> {
    return stillActs(this.#db, this.env, actor, () => this.#current()?.version ?? 0);
  }

  #insertVersion(request: { document: PolicyDocument; text: string; namesOperator: boolean }, by: string, now: number): number {
    const version = (this.#current()?.version ?? 0) + 1;
    this.#db.run(
      "INSERT INTO versions (version, digest, text, document, at, by, names_operator) VALUES (?, ?, ?, ?, ?, ?, ?)",
      version, documentDigest(request.document), request.text, JSON.stringify(request.document), now, by, request.namesOperator ? 1 : 0,
    );
    return version;
  }

  #current(): VersionRow | undefined {
    return this.#db.one<VersionRow>("SELECT * FROM versions ORDER BY version DESC LIMIT 1");
  }

  #document(): PolicyDocument | undefined {
    const current = this.#current();
    return current === undefined ? undefined : (JSON.parse(current.document) as PolicyDocument);
  }

  #site(id: string): PolicyDocument["sites"][number] | undefined {
    return this.#document()?.sites.find((one) => one.id === id);
  }

  #signers(): ReturnType<ObjectEnv["SIGNER"]["getByName"]>[] {
    return SIGNER_NAMES.map((name) => this.env.SIGNER.getByName(name));
  }

  async #keySet(): Promise<string> {
    const keys = await this.publicKeys();
    const [first] = this.#signers();
    if (first === undefined) throw new Error("no signer");
    return first.signKeySet(keys, Math.floor(Date.now() / 1000));
  }

  /** A policy is on record before it is live; whatever takes trust away, once it did. Under the receipt's name and time, so that a repetition is known as one. */
  async #recordChange({ id, kind, target, version, by, at }: ReceiptRow): Promise<void> {
    if (kind === "signal") {
      const signal = signals.byReceipt(this.#db, id);
      await this.#record("signal", { receipt: id, source: by, name: signal?.name, target, version, effect: JSON.stringify(signal?.effect) }, id, at);
    } else if (kind !== "policy") await this.#record("revocation", { receipt: id, kind, target, version, by }, id, at);
  }

  #record(kind: AuditKind, data: Record<string, string | number | undefined>, id = `a_${randomText(16)}`, at = Date.now()): Promise<void> {
    return recordNow(this.env, CONTROL_AUDIT_NAME, { id, at, kind, data });
  }
}
