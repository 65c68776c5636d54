/** A device inside a test of the objects: a key, the number of its last report, and what it was told is kept. Each way to be a wrong device is a change of these. */
import type { DeviceId, SessionId, UserId } from "../../core/ids.ts";
import type { DeviceRpc } from "../../durable-objects/device/rpc.ts";
import { type ConnectorKey, generateConnectorKey } from "../../identity/connector-proof.ts";
import { deviceIdOf, type PostureFacts, type PostureReport, signReport } from "../../identity/posture-report.ts";
import { objects, stubs, userId } from "./deployment.ts";

export const GOOD: PostureFacts = { disk_encrypted: true, firewall: true, os: "linux" };
export const BAD: PostureFacts = { ...GOOD, disk_encrypted: false };

export const deviceOf = (id: DeviceId): ReturnType<typeof objects.DEVICE.getByName> => objects.DEVICE.getByName(id);
export const deviceStub = (id: DeviceId): DurableObjectStub => stubs.DEVICE.getByName(id);

export class TestDevice {
  readonly key: ConnectorKey;
  seq = 0;
  kept = "";

  constructor(key: ConnectorKey) {
    this.key = key;
  }

  static async make(): Promise<TestDevice> {
    return new TestDevice(await generateConnectorKey(crypto.subtle));
  }

  /** Made, and enrolled by its owner in this session. */
  static async enrolled(sid: SessionId, owner = userId()): Promise<TestDevice> {
    const device = await TestDevice.make();
    if (!(await device.enrol(sid, owner))) throw new Error("not enrolled");
    return device;
  }

  get id(): DeviceId {
    return deviceIdOf(this.key.publicJwk);
  }

  /** As the edge enrols it: at control first, then here. */
  async enrol(sid: SessionId, owner = userId()): Promise<boolean> {
    const taken = await objects.CONTROL.getByName("control").enrolDevice(this.id, owner as UserId);
    return taken && (await deviceOf(this.id).enrol({ key: this.key.publicJwk, owner, name: "laptop", sid })) && deviceOf(this.id).bind(sid);
  }

  /** Another machine with the same state. */
  copy(): TestDevice {
    return Object.assign(new TestDevice(this.key), { seq: this.seq, kept: this.kept });
  }

  sign(facts: PostureFacts, more: Partial<PostureReport> = {}): Promise<string> {
    return signReport({ device: this.id, seq: this.seq + 1, at: Date.now(), previous: this.kept, facts, ...more }, this.key);
  }

  /** The next report, sent; what the edge answers is remembered. */
  async report(facts: PostureFacts = GOOD, more: Partial<PostureReport> = {}): Promise<Awaited<ReturnType<DeviceRpc["report"]>>> {
    const answer = await deviceOf(this.id).report(await this.sign(facts, more));
    if (answer.ok) Object.assign(this, { seq: answer.seq, kept: answer.kept });
    return answer;
  }
}
