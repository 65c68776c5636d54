/**
 * Devices, as their owners reach them: a key is enrolled by a person's own sign-in, a report is
 * signed by that key and needs nothing else, and a browser counts as the device once its person
 * says so there. What a report is worth is the device's object's to judge.
 */
import { ADMIN_APP, type DeviceId, parseDeviceId, type UserId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import type { SessionSnapshot } from "../../durable-objects/session/rpc.ts";
import { verifyEnrollProof } from "../../identity/enroll-proof.ts";
import { parsePublicJwk } from "../../identity/keys.ts";
import { digestOf } from "../../identity/digest.ts";
import { deviceIdOf, REPORT_MAX_CHARS } from "../../identity/posture-report.ts";
import type { EnrolledDeviceAnswer, ReportedAnswer } from "../../protocol/admin-api.ts";
import { DEVICES_PATH } from "../../protocol/paths.ts";
import { readBoundedJson, readBoundedText } from "../bounded-body.ts";
import { readCredential } from "../credentials.ts";
import { type Exchange, originOf } from "../exchange.ts";
import { type DeviceStub, knownDevice } from "../known-device.ts";
import { bindDevicePage } from "../pages/bind-device.ts";
import { personAtLauncher } from "../person-at-launcher.ts";
import { recordAct } from "../record.ts";
import { json, page, redirect, refuse } from "../respond.ts";
import { verifiedSession } from "../session-cache.ts";

const MAX_BODY_BYTES = 8 * 1024;
const MAX_NAME_CHARS = 63;

/** POST /.postern/devices {public_key, name, proof}, with the token of `postern login` */
export async function enrol(x: Exchange): Promise<Response> {
  const credential = readCredential(x.request, x.env, x.url.host, ADMIN_APP);
  if (credential.kind !== "presented" || credential.cookie) return refuse(x, "sign_in_required");
  const body = await readBoundedJson(x.request, MAX_BODY_BYTES);
  const session = await verifiedSession(x.env, credential.presented, x.now, true);
  if (session?.subject.kind !== "user") return refuse(x, "token_invalid");
  const key = await parsePublicJwk(body?.["public_key"]);
  const { name, proof } = body ?? {};
  const token = await digestOf(x.request.headers.get("authorization") ?? "");
  if (key === undefined || typeof name !== "string" || typeof proof !== "string" || !(await verifyEnrollProof(proof, key, token, at(x.now)))) {
    return refuse(x, "bad_argument", { detail: "It must be {public_key, name, proof}, by a right clock." });
  }
  const id = deviceIdOf(key);
  const owner = session.subject.id as UserId;
  const stub = x.env.DEVICE.getByName(id);
  const enrolled = (await x.env.CONTROL.getByName(CONTROL_NAME).enrolDevice(id, owner)) && (await stub.enrol({ key, owner, name: name.replace(/[^\x20-\x7e]/g, "?").slice(0, MAX_NAME_CHARS), sid: session.sid }));
  return (await go(x, session, "enrol", id, enrolled ? stub : undefined)) ? json(x, { id } satisfies EnrolledDeviceAnswer) : refuse(x, "device_barred");
}

/** POST /.postern/devices/:id/report, a signed report */
export async function report(x: Exchange, text: string): Promise<Response> {
  const jws = await readBoundedText(x.request, REPORT_MAX_CHARS);
  if (parseDeviceId(text) === undefined || jws === undefined) return refuse(x, "bad_argument");
  const device = await knownDevice(x.env, text);
  if (device === undefined) return refuse(x, "unknown_id");
  const done = await device.stub.report(jws);
  if (done.ok) return json(x, { seq: done.seq, kept: done.kept } satisfies ReportedAnswer);
  return refuse(x, done.code, "fault" in done ? { extra: { fault: done.fault } } : {});
}

/** GET /.postern/devices/bind?device&code */
export async function askToBind(x: Exchange): Promise<Response> {
  const signedIn = await personAtLauncher(x);
  const query = new URLSearchParams(x.url.query);
  if (signedIn === undefined) return redirect(x, `${x.launcher}/.postern/login?to=${encodeURIComponent(`${x.launcher}${x.url.path}${x.url.query}`)}`);
  return page(x, bindDevicePage({ actionUrl: `${DEVICES_PATH}/bind`, user: signedIn.name, device: query.get("device") ?? "", code: query.get("code") ?? "" }));
}

/** POST /.postern/devices/bind */
export async function bind(x: Exchange): Promise<Response> {
  if (x.request.headers.get("origin") !== originOf(x.url)) return refuse(x, "origin_not_allowed");
  const session = (await personAtLauncher(x))?.session;
  if (session === undefined) return refuse(x, "sign_in_required");
  const form = new URLSearchParams((await readBoundedText(x.request, MAX_BODY_BYTES)) ?? "");
  const id = parseDeviceId(form.get("device") ?? "");
  if (id === undefined) return refuse(x, "bad_argument");
  const device = await knownDevice(x.env, id);
  const fits = await device?.stub.redeem(await digestOf(form.get("code") ?? ""), session.subject.id, session.sid);
  return (await go(x, session, "bind", id, fits === true ? device?.stub : undefined)) ? page(x, bindDevicePage()) : refuse(x, "device_link_over");
}

/** The session goes by this device from now on, and by the one before no more: on record first. Without the stub it may not, which is on record, too. */
async function go(x: Exchange, { sid, subject, facts }: SessionSnapshot, act: "enrol" | "bind", device: DeviceId, stub: DeviceStub | undefined): Promise<boolean> {
  await recordAct(x, "device", sid, { act, device, owner: subject.id, sid, ...(stub === undefined && { refused: true }) });
  if (stub === undefined) return false;
  const known = facts["device.id"]?.value;
  const before = typeof known === "string" && known !== device ? await knownDevice(x.env, known) : undefined;
  await before?.stub.forget(sid);
  return stub.bind(sid);
}
