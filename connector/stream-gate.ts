/**
 * May this stream be served? Every stream-open is judged anew, whatever the handshake proved
 * (class L, row 92): its MAC and counter, its admission, the signed configuration, the local
 * list. Fails closed at each step. Dialling is judged once more, by address, in dial.ts.
 */
import { createHmac, createSecretKey } from "node:crypto";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import type { SessionId } from "../core/ids.ts";
import type { VerifiedAdmission } from "../identity/admission.ts";
import type { OpenHead, UpstreamErrorCode } from "../protocol/head.ts";
import { parseOpenHead } from "../protocol/head.ts";
import { StreamOpenVerifier } from "../protocol/stream-mac.ts";
import type { AdmissionStore } from "./admission-store.ts";
import { chooseOrigin } from "./app-directory.ts";
import type { AppDirectory } from "./app-directory.ts";
import type { Origin } from "./origin.ts";
import type { App } from "./site-config.ts";

export interface Permit {
  readonly head: OpenHead;
  readonly app: App;
  readonly origin: Origin;
  /** Whose admission allows it. */
  readonly session: SessionId;
}

export interface Refusal {
  readonly code: UpstreamErrorCode;
  /** For logs and operators. */
  readonly reason: string;
}

export class StreamGate {
  readonly #opens: StreamOpenVerifier;
  readonly #admissions: AdmissionStore;
  readonly #apps: AppDirectory;

  constructor(macKey: Uint8Array, admissions: AdmissionStore, apps: AppDirectory) {
    // Made once: node makes a key object of raw bytes each time.
    const key = createSecretKey(macKey);
    this.#opens = new StreamOpenVerifier((_same, bytes) => createHmac("sha256", key).update(bytes).digest(), macKey);
    this.#admissions = admissions;
    this.#apps = apps;
  }

  /** Reads and authenticates a stream-open. Must be called in the order in which heads arrive: the counter says so. */
  authenticate(json: Uint8Array, mac: Uint8Array): Result<OpenHead, Refusal> {
    const head = parseOpenHead(json);
    if (!head.ok) return err({ code: "bad_open", reason: head.error });
    const verdict = this.#opens.verify(head.value.n, json, mac);
    return verdict === "ok" ? ok(head.value) : err({ code: "bad_open", reason: verdict });
  }

  /** Whether an authenticated stream-open is admitted, and to which origin; at once unless its admission is still being verified. */
  admit(head: OpenHead): Result<Permit, Refusal> | Promise<Result<Permit, Refusal>> {
    const found = this.#admissions.find(head.admission);
    return found instanceof Promise ? found.then((admission) => this.#permit(head, admission)) : this.#permit(head, found);
  }

  #permit(head: OpenHead, admission: VerifiedAdmission | undefined): Result<Permit, Refusal> {
    if (admission === undefined) return err({ code: "bad_admission", reason: "unknown_or_expired" });
    if (admission.app !== head.app) return err({ code: "bad_admission", reason: "other_app" });
    const entry = this.#apps.get(head.app);
    if (entry === undefined) return err({ code: "not_allowed", reason: "app_not_in_site_config" });
    const origin = chooseOrigin(entry);
    if (origin === undefined) return err({ code: "not_allowed", reason: "not_in_allow_list" });
    if ((head.kind === "tcp") !== (origin.upstream.scheme === "tcp")) return err({ code: "not_allowed", reason: "other_protocol" });
    return ok({ head, app: entry.app, origin, session: admission.sid });
  }
}
