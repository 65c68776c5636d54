/**
 * The stage of the tests of the agent's link: a lane with a connector, somebody signed in, their
 * agent, and what all of them ask of these. Not a test.
 */
import { evictDurableObject } from "cloudflare:test";
import { vi } from "vitest";
import type { SessionId } from "../../core/ids.ts";
import { Signer } from "../../durable-objects/signer/signer.ts";
import { BERLIN, ISSUER, laneOf, laneStub, objects, setUp, signedIn } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { type AgentStream, TestAgent } from "./test-agent.ts";
import { connected, type TcpEnd, type TestConnector } from "./test-connector.ts";

export class AgentStage {
  connector: TestConnector;
  readonly sid: SessionId;
  readonly agent: TestAgent;

  private constructor(connector: TestConnector, sid: SessionId, agent: TestAgent) {
    this.connector = connector;
    this.sid = sid;
    this.agent = agent;
  }

  static async begin(): Promise<AgentStage> {
    await setUp();
    const connector = await connected();
    const sid = await signedIn();
    return new AgentStage(connector, sid, await TestAgent.dial(sid));
  }

  /** The connector's end of the newest stream. */
  get far(): TcpEnd {
    const last = [...this.connector.tcp.values()].at(-1);
    if (last === undefined) throw new Error("the connector has no stream");
    return last;
  }

  /** Some stream's far end was last told this. */
  hears(text: string): Promise<void> {
    return eventually(() => [...this.connector.tcp.values()].some((one) => one.text.endsWith(text)));
  }

  /** A stream that has carried bytes both ways. */
  async live(by = this.agent): Promise<AgentStream> {
    const stream = await by.open();
    by.write(stream, "hello");
    await this.hears("hello");
    await eventually(() => stream.bytes > 0);
    return stream;
  }

  /** The lane goes to sleep once it has nothing more to write down. */
  async sleep(): Promise<void> {
    await eventually(async () => (await laneOf().status())?.awake.length === 0);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
  }

  /** Its connector leaves, and the lane has seen it. */
  async leave(): Promise<void> {
    this.connector.leave();
    await eventually(async () => (await laneOf().status())?.connectors.length === 0);
  }

  async state(): Promise<string | undefined> {
    return (await laneOf().streams(this.sid)).streams[0]?.state;
  }

  /** From now on a lane's questions to sessions wait, until the test lets them be answered. */
  async heldAnswers(): Promise<{ asked: () => Promise<void>; answer: () => void }> {
    const gate = Promise.withResolvers<void>();
    const question = { sid: this.sid, app: "my" as never, site: BERLIN, epoch: 1, policyVersion: 1, connector: "c", issuer: ISSUER, assert: false, user: { sub: "" } };
    const admitted = await objects.SIGNER.getByName("signer/0").admit(question);
    const questions = vi.spyOn(Signer.prototype, "admit").mockImplementation(() => gate.promise.then(() => admitted));
    return { asked: () => eventually(() => questions.mock.calls.length > 0), answer: gate.resolve };
  }
}
