/**
 * Control: the versions of the policy, the connectors, the service and enrolment tokens, the
 * receipts. Every change goes through here, one after the other; a receipt is stored before it
 * is answered, and an alarm resumes what a crash left. Not on a user's path (M8): lanes hold
 * leases on what it said.
 */
import type { PublicJwk } from "../../identity/keys.ts";
import { createHash } from "node:crypto";
import { DurableObject } from "cloudflare:workers";
import { toBase64Url } from "../../core/bytes.ts";
import type { ConnectorId, ReceiptId, SessionId, SiteId } from "../../core/ids.ts";
import { parseSessionId, parseUserId } from "../../core/ids.ts";
import { canonicalDocument, type PolicyDocument } from "../../policy/document.ts";
import { recordNow } from "../audit/record.ts";
import type { AuditKind } from "../audit/rpc.ts";
import { CONTROL_AUDIT_NAME, type ObjectEnv, SIGNER_COUNT } from "../bindings.ts";
import { addReports, type CutReport } from "../cut-report.ts";
import { Database } from "../sqlite.ts";
import { ATTEMPT_SKEW_MS, type SignIn } from "../user/rpc.ts";
import { type DeviceDecision, DeviceCodes, type DevicePoll, type DeviceRequest } from "./device-codes.ts";
import { Lanes } from "./lanes.ts";
import * as registry from "./registry.ts";
import type {
  ConnectorRecord,
  ControlRpc,
  PersonRecord,
  PolicySnapshot,
  Receipt,
  Refused,
  RevokeKind,
  ServiceRecord,
  VersionRecord,
} from "./rpc.ts";
import { CONTROL_MIGRATIONS } from "./schema.ts";

interface VersionRow {
  readonly version: number;
  readonly digest: string;
  readonly text: string;
  readonly document: string;
  readonly at: number;
  readonly by: string;
}
interface ReceiptRow {
  readonly id: ReceiptId;
  readonly kind: Receipt["kind"];
  readonly target: string;
  readonly version: number;
  readonly at: number;
  readonly by: string;
  readonly report: string | null;
}

/** An unfinished change is taken up again this long after it began, should this object be replaced. */
const RESUME_MS = 5_000;
/** Two tokens of one service may be valid at once, so that one can be rotated in (CONTRACT). */
const MAX_SERVICE_TOKENS_COUNT = 2;

export class Control extends DurableObject<ObjectEnv> implements ControlRpc {
  readonly #db = new Database(this.ctx.storage, CONTROL_MIGRATIONS);
  readonly #devices = new DeviceCodes(this.ctx.storage.kv);
  readonly #lanes = new Lanes(this.#db, this.env);
  readonly #running = new Map<string, Promise<Receipt>>();
  /** Service tokens that are being made, by name. */
  readonly #making = new Map<string, number>();

  async policy(known?: number): Promise<PolicySnapshot | undefined> {
    const current = this.#current();
    if (current === undefined || current.version === known) return undefined;
    return { version: current.version, digest: current.digest, document: JSON.parse(current.document) as PolicyDocument };
  }

  async leasePolicy(lane: { site: SiteId; lane: number }, known: number): Promise<PolicySnapshot | undefined> {
    this.#lanes.grant(lane, Date.now());
    return this.policy(known);
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
    const previous = this.#current()?.version ?? 0;
    const version = this.#db.transaction(() => {
      const closed = this.#db.one("SELECT 1 FROM versions WHERE names_operator = 1 LIMIT 1") !== undefined;
      return closed ? undefined : this.#insertVersion(request, "setup", Date.now());
    });
    if (version === undefined) return { ok: false, code: "setup_closed" };
    const receipt = await this.#begin({ kind: "policy", target: String(version), by: "setup" }, "setup");
    this.#reserveToken("postern:setup", request.token);
    await this.#signInService("postern:setup", request.token);
    return { ok: true, receipt, previous };
  }

  async apply(request: Parameters<ControlRpc["apply"]>[0]): Promise<{ ok: true; receipt: Receipt; previous: number } | Refused<"version_conflict">> {
    const previous = this.#current()?.version ?? 0;
    if (request.expectVersion !== undefined && request.expectVersion !== previous) {
      return { ok: false, code: "version_conflict", detail: `version ${previous} is live` };
    }
    const version = this.#db.transaction(() => this.#insertVersion(request, request.by, Date.now()));
    const receipt = await this.#begin({ kind: "policy", target: String(version), by: request.by }, "policy_applied");
    return { ok: true, receipt, previous };
  }

  async revoke(request: { kind: RevokeKind; id: string; by: string }): Promise<{ ok: true; receipt: Receipt } | Refused<"unknown_id" | "bad_argument">> {
    const target = this.#resolve(request.kind, request.id);
    if (target === undefined) return { ok: false, code: "unknown_id", detail: `no ${request.kind} ${request.id.slice(0, 80)}` };
    const receipt = await this.#begin({ kind: request.kind, target, by: request.by }, "revocation");
    return { ok: true, receipt };
  }

  async receipt(id: string): Promise<Receipt | undefined> {
    const running = this.#running.get(id);
    if (running !== undefined) return running;
    const row = this.#db.one<ReceiptRow>("SELECT * FROM receipts WHERE id = ?", id);
    if (row === undefined) return undefined;
    return row.report === null ? this.#run(row) : finished(row, JSON.parse(row.report) as CutReport);
  }

  async createService(request: Parameters<ControlRpc["createService"]>[0]): Promise<{ ok: true } | Refused<"too_many_tokens">> {
    // Counted and taken in one step, before anything is awaited: of parallel calls two succeed.
    const making = this.#making.get(request.name) ?? 0;
    const live = registry.liveTokens(this.#db, request.name, Date.now()) + making;
    if (live >= MAX_SERVICE_TOKENS_COUNT) return { ok: false, code: "too_many_tokens", detail: `${request.name} has ${live} valid tokens` };
    this.#reserveToken(request.name, request);
    // Counted from here: of parallel calls only as many go on as may.
    this.#making.set(request.name, making + 1);
    try {
      await this.#record("service", { act: "create", name: request.name, expires_at: request.expiresAt, by: request.by });
      await this.#signInService(request.name, request);
    } finally {
      const left = (this.#making.get(request.name) ?? 1) - 1;
      if (left > 0) this.#making.set(request.name, left);
      else this.#making.delete(request.name);
    }
    return { ok: true };
  }

  async services(): Promise<readonly ServiceRecord[]> {
    return registry.services(this.#db);
  }

  async createEnrollToken(request: Parameters<ControlRpc["createEnrollToken"]>[0]): Promise<{ ok: true } | Refused<"unknown_site">> {
    if (this.#site(request.site) === undefined) return { ok: false, code: "unknown_site", detail: request.site };
    await this.#record("enroll_token", { site: request.site, expires_at: request.expiresAt, by: request.by });
    registry.addEnrollToken(this.#db, request);
    return { ok: true };
  }

  async enroll(request: Parameters<ControlRpc["enroll"]>[0]): Promise<{ ok: true; connector: ConnectorRecord; lanes: number; keySet: string } | Refused<"enroll_token_invalid">> {
    const keySet = await this.#keySet();
    const id = `c_${toBase64Url(crypto.getRandomValues(new Uint8Array(16)))}` as ConnectorId;
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

  async beginDevice(request: DeviceRequest): Promise<boolean> {
    return this.#devices.begin(request, Date.now());
  }

  async device(userCode: string): Promise<DeviceRequest | undefined> {
    return this.#devices.find(userCode, Date.now());
  }

  async decideDevice(userCode: string, decision: DeviceDecision): Promise<boolean> {
    return this.#devices.decide(userCode, decision, Date.now());
  }

  async pollDevice(deviceHash: string): Promise<DevicePoll> {
    return this.#devices.poll(deviceHash, Date.now());
  }

  async noteSignIn(person: PersonRecord): Promise<void> {
    registry.notePerson(this.#db, person);
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

  /** Takes up every change that has no report yet. */
  override async alarm(): Promise<void> {
    const open = this.#db.all<ReceiptRow>("SELECT * FROM receipts WHERE report IS NULL");
    await Promise.all(open.map((row) => this.#run(row)));
  }

  /** Stores that the change is under way, records it, carries it out, stores the receipt. */
  async #begin(change: { kind: Receipt["kind"]; target: string; by: string }, audit: AuditKind): Promise<Receipt> {
    const id = `rcpt_${toBase64Url(crypto.getRandomValues(new Uint8Array(16)))}` as ReceiptId;
    const version = this.#current()?.version ?? 0;
    const now = Date.now();
    this.#db.run("INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, NULL)", id, change.kind, change.target, version, now, change.by);
    await this.ctx.storage.setAlarm(now + RESUME_MS);
    await this.#record(audit, { receipt: id, kind: change.kind, target: change.target, version, by: change.by });
    return this.#run({ id, ...change, version, at: now, report: null });
  }

  #run(row: ReceiptRow): Promise<Receipt> {
    const running = this.#running.get(row.id);
    if (running !== undefined) return running;
    const work = this.#carryOut(row).finally(() => this.#running.delete(row.id));
    this.#running.set(row.id, work);
    // The change completes even if whoever asked is gone (CONTRACT "The receipt").
    this.ctx.waitUntil(work.catch(() => undefined));
    return work;
  }

  async #carryOut(row: ReceiptRow): Promise<Receipt> {
    const startedAt = Date.now();
    const report = await this.#effect(row);
    const timed = { ...report, slowestMs: Math.max(report.slowestMs, Date.now() - startedAt) };
    this.#db.run("UPDATE receipts SET report = ? WHERE id = ?", JSON.stringify(timed), row.id);
    return finished(row, timed);
  }

  async #effect(row: ReceiptRow): Promise<CutReport> {
    switch (row.kind) {
      case "policy": {
        const snapshot = await this.policy();
        return snapshot === undefined ? addReports([]) : this.#lanes.push((stub, lane) => stub.applyPolicy(lane, snapshot));
      }
      case "session":
        return this.env.SESSION.get(this.env.SESSION.idFromString(row.target)).end("revoked", row.id);
      case "user":
        return this.env.USER.getByName(row.target).revoke(row.id);
      case "service": {
        registry.revokeService(this.#db, row.target, Date.now());
        return this.env.USER.getByName(`service:${row.target}`).revoke(row.id);
      }
      case "app":
        return this.#lanes.push((stub) => stub.endApp(row.target as never));
      case "connector": {
        registry.revokeConnector(this.#db, row.target, Date.now());
        return this.#lanes.push((stub) => stub.endConnector(row.target as ConnectorId, row.id));
      }
      case "device":
      case "grant":
        return addReports([]);
      default:
        row.kind satisfies never;
        return addReports([]);
    }
  }

  /** The canonical target of a revocation, or undefined when nothing has that name. */
  #resolve(kind: RevokeKind, id: string): string | undefined {
    switch (kind) {
      case "session":
        return this.#sessionId(id);
      case "user":
        return parseUserId(id) ?? registry.personByEmail(this.#db, id);
      case "service":
        return registry.services(this.#db).some((one) => one.name === id) ? id : undefined;
      case "connector":
        return registry.connector(this.#db, id)?.id;
      case "app":
        return this.#document()?.apps.some((one) => one.id === id) === true ? id : undefined;
      case "device":
      case "grant":
        return undefined;
      default:
        kind satisfies never;
        return undefined;
    }
  }

  #sessionId(id: string): SessionId | undefined {
    const sid = parseSessionId(id);
    if (sid === undefined) return undefined;
    try {
      this.env.SESSION.idFromString(sid);
      return sid;
    } catch {
      return undefined;
    }
  }

  /** A token of a service is a session of the service, so that it is leased and cut like any other. */
  #reserveToken(name: string, token: { tokenId: string; expiresAt: number }): void {
    const sid = this.env.SESSION.idFromName(serviceSession(token.tokenId)).toString() as SessionId;
    registry.addService(this.#db, { name, tokenId: token.tokenId, sid, createdAt: Date.now(), expiresAt: token.expiresAt });
  }

  async #signInService(name: string, token: { tokenId: string; hash: string; expiresAt: number }): Promise<void> {
    const now = Date.now();
    const signIn: SignIn = {
      owner: `service:${name}`,
      subject: { kind: "service", id: name },
      display: { sub: `service:${name}`, name },
      facts: { service: { value: name, source: "postern", observedAt: now as never } },
      attemptStartedAt: now + ATTEMPT_SKEW_MS,
      endsAt: token.expiresAt,
      idleMs: token.expiresAt - now,
      credential: { kind: "service", audience: "any", hash: token.hash, expiresAt: token.expiresAt },
      sessionName: serviceSession(token.tokenId),
    };
    const signedIn = await this.env.USER.getByName(signIn.owner).signIn(signIn);
    if (!signedIn.ok) throw new Error("the service could not be signed in");
  }

  #insertVersion(request: { document: PolicyDocument; text: string; namesOperator: boolean }, by: string, now: number): number {
    const version = (this.#current()?.version ?? 0) + 1;
    const canonical = canonicalDocument(request.document);
    const digest = createHash("sha256").update(canonical).digest("base64url");
    this.#db.run(
      "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)",
      version, digest, request.text, JSON.stringify(request.document), now, by, request.namesOperator ? 1 : 0,
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
    return Array.from({ length: SIGNER_COUNT }, (_, i) => this.env.SIGNER.getByName(`signer/${i}`));
  }

  async #keySet(): Promise<string> {
    const keys = await this.publicKeys();
    const [first] = this.#signers();
    if (first === undefined) throw new Error("no signer");
    return first.signKeySet(keys, Math.floor(Date.now() / 1000));
  }

  #record(kind: AuditKind, data: Record<string, string | number | undefined>): Promise<void> {
    return recordNow(this.env, CONTROL_AUDIT_NAME, { id: `a_${toBase64Url(crypto.getRandomValues(new Uint8Array(16)))}`, at: Date.now(), kind, data });
  }
}

/** The name by which a service token's session object is found. */
const serviceSession = (tokenId: string): string => `service:${tokenId}`;

function finished(row: ReceiptRow, report: CutReport): Receipt {
  const { id, kind, target, version, at } = row;
  return { id, kind, target, version, at, report, complete: report.unconfirmed.length === 0 };
}

