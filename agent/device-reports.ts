/**
 * What this machine says to one edge as a device: it enrols by a person's sign-in and reports under
 * its own key. A report whose answer was lost is sent again as it was, so that the edge never hears
 * one number in two ways from one machine.
 */
import { toBase64Url } from "../core/bytes.ts";
import { at } from "../core/time.ts";
import { signEnrollProof } from "../identity/enroll-proof.ts";
import { digestOf } from "../identity/digest.ts";
import { deviceIdOf, type PostureFacts, signReport } from "../identity/posture-report.ts";
import { DEVICES_PATH } from "../protocol/paths.ts";
import { AgentFailure } from "./agent-failure.ts";
import type { DeviceState, DeviceStateFile } from "./device-state.ts";

export interface EdgeAnswer {
  readonly status: number;
  /** Undefined when it is none. */
  readonly json: unknown;
}

/** One POST to the edge. Rejects with AgentFailure or the like when it could not be asked. */
export type Post = (path: string, sent: { readonly body: string; readonly type: string; readonly authorization?: string }) => Promise<EdgeAnswer>;

/** A lost answer, a report that grew old on the way, and a new one: more tries mean that something is wrong. */
const MAX_TRIES_COUNT = 4;
const NEW_DEVICE = "a new key makes this machine a new device: postern agent run --new-device";

export class DeviceReports {
  readonly #file: DeviceStateFile;
  readonly #post: Post;
  readonly #now: () => number;

  constructor(file: DeviceStateFile, post: Post, now: () => number) {
    this.#file = file;
    this.#post = post;
    this.#now = now;
  }

  /** Enrols this machine by the sign-in of a token, or binds that sign-in to it, unless that was done. Throws AgentFailure. */
  async enrol(token: string, name: string): Promise<{ readonly id: string; readonly isNew: boolean }> {
    const state = await this.#file.read();
    const by = await digestOf(token);
    const id = deviceIdOf(state.key.publicJwk);
    if (state.enrolledBy === by) return { id, isNew: false };
    const authorization = `Bearer ${token}`;
    const proof = await signEnrollProof(state.key, await digestOf(authorization), at(this.#now()));
    const body = JSON.stringify({ public_key: state.key.publicJwk, name, proof });
    const answer = await this.#post(DEVICES_PATH, { body, type: "application/json", authorization });
    if (answer.status !== 200) throw refused(answer);
    await this.#file.change((latest) => (latest.key.thumbprint === state.key.thumbprint ? { ...latest, enrolledBy: by } : latest));
    return { id, isNew: true };
  }

  /** Reports what was found; resolves once the edge counted it. Throws AgentFailure: `isPassing` if trying again may help. */
  async report(facts: PostureFacts, bind?: string): Promise<{ readonly id: string; readonly seq: number }> {
    let mine: string | undefined;
    for (let tries = 0; tries < MAX_TRIES_COUNT; tries++) {
      const state = await this.#next(facts, bind);
      const { pending = "" } = state;
      const id = deviceIdOf(state.key.publicJwk);
      mine ??= state.isMine ? pending : undefined;
      const answer = await this.#post(`${DEVICES_PATH}/${id}/report`, { body: pending, type: "application/jose" });
      const kept = keptOf(answer);
      if (kept !== undefined) {
        await this.#file.change((latest) => settled(latest, pending, kept));
        if (pending === mine) return { id, seq: kept.seq };
        continue;
      }
      const { code, fault } = errorOf(answer);
      // Nothing of it counts, so its number is free.
      if (code === "report_refused" && fault !== "cloned") await this.#file.change((latest) => settled(latest, pending));
      if (code === "report_refused" && fault !== "cloned" && pending !== mine) continue;
      throw refused(answer);
    }
    throw new AgentFailure("report_overtaken", "the report did not get through", "another process of this machine reported all the while", ["is a second postern agent run at work?"], { isPassing: true });
  }

  /** The report that is to be sent now: one that is on its way still, or a new one, written down before it leaves. */
  async #next(facts: PostureFacts, bind: string | undefined): Promise<DeviceState & { readonly isMine: boolean }> {
    const before = await this.#file.read();
    if (before.pending !== undefined) return { ...before, isMine: false };
    const report = { device: deviceIdOf(before.key.publicJwk), seq: before.seq + 1, at: this.#now(), previous: before.kept, facts, ...(bind === undefined ? {} : { bind }) };
    const signed = await signReport(report, before.key);
    // Another process may have been first: then its report goes before.
    const state = await this.#file.change((latest) => (latest.pending === undefined && latest.seq === before.seq && latest.kept === before.kept && latest.key.thumbprint === before.key.thumbprint ? { ...latest, pending: signed } : latest));
    return { ...state, isMine: state.pending === signed };
  }
}

/** 32 random bytes as the text of a link, and their digest for the report that announces it. */
export async function newLink(random: (bytes: number) => Uint8Array): Promise<{ readonly code: string; readonly bind: string }> {
  const code = toBase64Url(random(32));
  return { code, bind: await digestOf(code) };
}

interface Kept {
  readonly seq: number;
  readonly kept: string;
}

function settled(state: DeviceState, sent: string, kept?: Kept): DeviceState {
  if (state.pending !== sent) return state;
  const { pending: _done, ...rest } = state;
  return { ...rest, ...kept };
}

function keptOf({ status, json }: EdgeAnswer): Kept | undefined {
  const { seq, kept } = objectOf(json);
  return status === 200 && Number.isSafeInteger(seq) && typeof kept === "string" ? { seq: seq as number, kept } : undefined;
}

const objectOf = (json: unknown): Readonly<Record<string, unknown>> => (typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>) : {});

function errorOf({ json }: EdgeAnswer): { readonly code: string; readonly fault: string; readonly requestId: string | undefined } {
  const { code, fault, request_id: id } = objectOf(objectOf(json)["error"]);
  const word = (value: unknown): string => (typeof value === "string" && /^[a-z_]{1,40}$/.test(value) ? value : "");
  return { code: word(code), fault: word(fault), requestId: typeof id === "string" && /^r_[A-Za-z0-9_-]{22}$/.test(id) ? id : undefined };
}

/** What the edge's no means for whoever sits at this machine. */
function refused(answer: EdgeAnswer): AgentFailure {
  const { code, fault, requestId } = errorOf(answer);
  const failure = (word: string, what: string, why: string, fix: readonly string[], isPassing = false): AgentFailure => new AgentFailure(word, what, why, fix, { requestId, isPassing });
  if (fault === "cloned") return failure("device_cloned", "the edge believes this machine no more", "two machines reported with its key, or an old copy of its state was restored", ["find out who else has the key", NEW_DEVICE]);
  if (code === "device_barred") return failure(code, "this machine's key does not count at the edge", "it was revoked, used by two machines, or is somebody else's; or too many are enrolled", [NEW_DEVICE]);
  if (code === "unknown_id") return failure("device_unknown", "the edge does not know this machine", "it was never enrolled there, or the edge was set up anew", ["postern login, then postern posture --report", NEW_DEVICE]);
  if (fault === "stale" || fault === "early") return failure("clock_wrong", `this machine's clock is ${fault === "stale" ? "behind" : "ahead"}`, "the edge takes no report that is more than 5 minutes old or 60 seconds ahead", ["set the clock to automatic"], true);
  if (code === "report_refused" || code === "bad_argument") return failure(code, "the edge does not accept what this machine says", "the clock is wrong, or edge and agent are of different versions", ["set the clock to automatic", "update the clone that you run this from"]);
  if (answer.status === 401) return failure("sign_in_required", "the sign-in no longer holds", "it ended, was revoked, or the token is a service's", ["postern login"]);
  return failure(code || "odd_answer", `the edge answered ${answer.status}`, "a part of it did not answer, or the address is another site's", ["try again; postern status shows what answers"], answer.status >= 500);
}
