/** A lane's agents' sockets by themselves, as a wake finds them: what it writes down, and what closed ones keep. */
import { expect, it } from "vitest";
import { AgentLinks } from "../../durable-objects/tunnel/agent-links.ts";
import { packStreams } from "../../durable-objects/tunnel/agent-streams.ts";
import type { AgentAttachment } from "../../durable-objects/tunnel/attachments.ts";
import type { StreamEnd } from "../../durable-objects/tunnel/live-stream.ts";
import { newSplice } from "../../protocol/splice.ts";

/** As the runtime shows one: open, or closed from here and not answered yet. */
class Socket {
  readonly readyState: number;
  stored: AgentAttachment;
  constructor(stored: Partial<AgentAttachment> = {}, isOpen = true) {
    this.readyState = isOpen ? WebSocket.READY_STATE_OPEN : WebSocket.READY_STATE_CLOSING;
    this.stored = { v: 1, role: "agent", id: "", sid: "s" as never, connection: {}, issuer: "", newest: 1, left: 0, apps: [], links: [], streams: new Uint32Array(), ...stored };
  }
  deserializeAttachment = (): AgentAttachment => structuredClone(this.stored);
  serializeAttachment(stored: AgentAttachment): void {
    this.stored = structuredClone(stored);
  }
  send(): void {}
  close(): void {}
}

/** A lane that has no connector, with these agents. */
function woken(...sockets: Socket[]) {
  const ended: StreamEnd[] = [];
  const kv = { get() {}, put() {}, delete() {}, list: () => [] };
  const admissions = { admit: async () => ({ policy: { version: 1 } }) };
  const parts = { links: { byId() {} }, leases: { last: (sid: string) => ({ snapshot: { subject: { id: sid[0] } } }) } };
  const ctx = { storage: { kv }, acceptWebSocket() {}, getWebSocketAutoResponseTimestamp: () => new Date() };
  const links = new AgentLinks(ctx as never, { finished: (_live: unknown, how: StreamEnd) => ended.push(how) } as never, parts as never, admissions as never, {} as never, undefined as never);
  links.restore(sockets as never);
  return { links, ended };
}

it("AG11 AG9: a stream whose connector went meanwhile ends once, however often the lane wakes", () => {
  const socket = new Socket(packStreams([{ id: 1, number: 1, app: "pg" as never, link: "gone", splice: newSplice(0), openedAt: 0, bytesIn: 0, bytesOut: 0, bytesTold: 0 }]));
  const { links, ended } = woken(socket);
  expect(ended).toEqual(["link"]);
  // What its agent was told is to be asked for.
  expect(links.moving).toBe(1);
  expect(woken(socket).ended).toEqual([]);
});
