/** What an agent says as a device, against the edge's own judgement of it: lost answers, old reports, two processes, a wrong clock, a copied key. */
import { chmodSync, copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DeviceReports, type EdgeAnswer, type Post } from "../../agent/device-reports.ts";
import { DeviceStateFile } from "../../agent/device-state.ts";
import { StateFolder } from "../../agent/state-folder.ts";
import { type SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import * as machine from "../../durable-objects/device/machine.ts";
import { verifyEnrollProof } from "../../identity/enroll-proof.ts";
import type { PublicJwk } from "../../identity/keys.ts";
import { digestOf } from "../../identity/digest.ts";
import { deviceIdOf, type PostureFacts, readReport } from "../../identity/posture-report.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const EDGE = "https://access.example.com";
const GOOD: PostureFacts = { disk_encrypted: true, os: "linux" };

/** The edge's side: its machine and its words. `sleeps` forgets what was not stored, as an object does that is replaced. */
class Edge {
  now = Date.parse("2026-11-22T12:00:00Z");
  state: machine.DeviceState | undefined;
  last: machine.Last | undefined;
  readonly heard: PostureFacts[] = [];
  /** What happens to the next answers: lost on the way, or the request never arrives. */
  readonly fates: ("answer lost" | "never arrives")[] = [];

  readonly post: Post = async (path, sent) => {
    const fate = this.fates.shift();
    if (fate === "never arrives") throw new Error("no way");
    const answer = await this.answer(path, sent);
    if (fate === "answer lost") throw new Error("lost");
    return answer;
  };

  sleeps(): void {
    this.last = undefined;
  }

  async answer(path: string, { body, authorization }: Parameters<Post>[1]): Promise<EdgeAnswer> {
    const no = (status: number, code: string, fault?: string): EdgeAnswer => ({ status, json: { error: { code, fault, request_id: `r_${"A".repeat(22)}` } } });
    if (path === "/.postern/devices") {
      const { public_key: key, proof } = JSON.parse(body) as { public_key: PublicJwk; proof: string };
      if (authorization !== "Bearer pso_token") return no(401, "token_invalid");
      if (!(await verifyEnrollProof(proof, key, await digestOf(authorization), at(this.now)))) return no(400, "bad_argument");
      this.state ??= machine.enrolled({ key, owner: "u_ann", name: "laptop", sid: "s" as SessionId }, this.now);
      return { status: 200, json: { id: deviceIdOf(key) } };
    }
    if (this.state === undefined || path !== `/.postern/devices/${machine.idOf(this.state)}/report`) return no(404, "unknown_id");
    if (this.state.barred !== undefined) return no(403, "device_barred");
    const report = await readReport(body, this.state.key);
    if (report === undefined) return no(409, "report_refused", "invalid");
    const judged = machine.judge(this.state, this.last ?? this.state.last, report, await digestOf(body), this.now);
    if (judged.kind === "refused" && judged.fault === "cloned") this.state = machine.bar(this.state, "cloned");
    if (judged.kind === "refused") return no(409, "report_refused", judged.fault);
    if (judged.kind === "counted") {
      this.heard.push(report.facts);
      this.last = judged.last;
      if (judged.store) this.state = { ...judged.state, owed: false };
    }
    return { status: 200, json: { seq: (this.last ?? this.state.last).seq, kept: this.state.kept } };
  }
}

interface Agent {
  readonly folder: StateFolder;
  readonly reports: DeviceReports;
}
function agent(edge: Edge, folder = new StateFolder(temporaryFolder("device")), skewMs = 0): Agent {
  return { folder, reports: new DeviceReports(new DeviceStateFile(folder, EDGE), edge.post, () => edge.now + skewMs) };
}
async function enrolled(): Promise<{ edge: Edge } & Agent> {
  const edge = new Edge();
  const made = agent(edge);
  expect(await made.reports.enrol("pso_token", "laptop")).toMatchObject({ isNew: true });
  return { edge, ...made };
}

describe("a device's reports", () => {
  it("count one after the other, by a key that only its owner may read", async () => {
    const { edge, folder, reports } = await enrolled();
    for (const seq of [1, 2, 3]) expect(await reports.report({ ...GOOD, patch_age_days: seq })).toMatchObject({ seq });
    expect(edge.heard).toHaveLength(3);
    expect(statSync(folder.file("devices.json")).mode & 0o777).toBe(0o600);
    expect(await reports.enrol("pso_token", "laptop")).toMatchObject({ isNew: false });
  });

  it.each([false, true])("whose answer is lost, or that never arrive, are said again as they were (the edge forgets: %s)", async (sleeps) => {
    const { edge, reports } = await enrolled();
    await reports.report(GOOD);
    for (const fate of ["answer lost", "never arrives", "answer lost", "answer lost"] as const) {
      edge.fates.push(fate);
      await expect(reports.report(GOOD)).rejects.toThrow();
      if (sleeps) edge.sleeps();
      edge.now += 30_000;
    }
    expect(await reports.report({ ...GOOD, disk_encrypted: false })).toBeDefined();
    expect(edge.heard.at(-1)).toEqual({ ...GOOD, disk_encrypted: false });
    expect(edge.state?.barred).toBeUndefined();
  });

  it("that could not be sent for an hour are made anew, under a number that is free", async () => {
    const { edge, reports } = await enrolled();
    edge.fates.push("never arrives");
    await expect(reports.report(GOOD)).rejects.toThrow();
    edge.now += 3_600_000;
    expect(await reports.report(GOOD)).toMatchObject({ seq: 1 });
    // One that did arrive, and whose answer was lost an hour ago.
    edge.fates.push("answer lost");
    await expect(reports.report({ os: "linux" })).rejects.toThrow();
    edge.sleeps();
    edge.now += 3_600_000;
    expect(await reports.report(GOOD)).toMatchObject({ seq: 3 });
    expect(edge.state?.barred).toBeUndefined();
  });

  it("of two processes of one machine contradict nothing", async () => {
    const { edge, folder, reports } = await enrolled();
    const other = agent(edge, folder);
    await Promise.all([1, 2, 3, 4].flatMap((n) => [reports.report({ ...GOOD, patch_age_days: n }), other.reports.report({ ...GOOD, patch_age_days: -n })]).map((one) => one.catch((error: unknown) => expect(error).toMatchObject({ code: "report_overtaken" }))));
    expect(await reports.report(GOOD)).toBeDefined();
    expect(edge.state?.barred).toBeUndefined();
  });

  it("of a copied folder do: both machines are told, and neither is believed (row 89)", async () => {
    const { edge, folder, reports } = await enrolled();
    await reports.report(GOOD);
    const copied = new StateFolder(temporaryFolder("copy"));
    copyFileSync(folder.file("devices.json"), copied.file("devices.json"));
    await agent(edge, copied).reports.report({ os: "macos" });
    await expect(reports.report(GOOD)).rejects.toMatchObject({ code: "device_cloned", isPassing: false });
    await expect(agent(edge, copied).reports.report(GOOD)).rejects.toMatchObject({ code: "device_barred" });
    // A new key is a new device.
    await new DeviceStateFile(folder, EDGE).forget();
    edge.state = undefined;
    edge.sleeps();
    await reports.enrol("pso_token", "laptop");
    expect(await reports.report(GOOD)).toMatchObject({ seq: 1 });
  });

  it.each([
    ["behind", -360_000],
    ["ahead", 120_000],
  ])("by a clock that is %s say so, and count once it is right", async (word, skewMs) => {
    const { edge, folder } = await enrolled();
    await expect(agent(edge, folder, skewMs).reports.report(GOOD)).rejects.toMatchObject({ code: "clock_wrong", message: expect.stringContaining(word) });
    expect(await agent(edge, folder).reports.report(GOOD)).toMatchObject({ seq: 1 });
  });

  it("of a machine that is not enrolled, or by a sign-in that is over, say what to do", async () => {
    const edge = new Edge();
    const { reports } = agent(edge);
    await expect(reports.report(GOOD)).rejects.toMatchObject({ code: "device_unknown" });
    await expect(reports.enrol("pso_other", "laptop")).rejects.toMatchObject({ code: "sign_in_required", requestId: `r_${"A".repeat(22)}` });
  });

  it("from a state that is damaged, or that others may read, are not made", async () => {
    const { folder, reports } = await enrolled();
    const text = readFileSync(folder.file("devices.json"), "utf8");
    for (const odd of ["{", "[]", '{"https://access.example.com": 1}', '{"https://access.example.com": {}}', text.replace('"seq":0', '"seq":-1')]) {
      writeFileSync(folder.file("devices.json"), odd, { mode: 0o600 });
      await expect(reports.report(GOOD), odd).rejects.toMatchObject({ code: "device_state_damaged" });
    }
    writeFileSync(folder.file("devices.json"), text);
    chmodSync(folder.file("devices.json"), 0o644);
    await expect(reports.report(GOOD)).rejects.toMatchObject({ code: "key_exposed" });
  });
});
