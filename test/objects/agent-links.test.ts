/** A lane's agents' sockets by themselves, as a wake finds them: what it writes down, and what closed ones keep. */
import { expect, it } from "vitest";
import { AgentLinks } from "../../durable-objects/tunnel/agent-links.ts";
import { packStreams } from "../../durable-objects/tunnel/agent-streams.ts";
import type { AgentAttachment } from "../../durable-objects/tunnel/attachments.ts";
import type { StreamEnd } from "../../durable-objects/tunnel/live-stream.ts";
import { MAX_AGENT_BYTES, MESSAGE_WEIGHT_BYTES } from "../../protocol/limits.ts";
import { newSplice } from "../../protocol/splice.ts";

/** As the runtime shows one: open, or closed from here and not answered yet. */
class Socket {
  readonly readyState: number;
  stored: AgentAttachment;
  constructor(stored: Partial<AgentAttachment> = {}, isOpen = true) {
    this.readyState = isOpen ? WebSocket.READY_STATE_OPEN : WebSocket.READY_STATE_CLOSING;
    this.stored = { v: 1, role: "agent", id: "", sid: "s" as never, connection: {}, issuer: "", newest: 1, left: 0, who: "a", apps: [], links: [], streams: new Uint32Array(), ...stored };
  }
  deserializeAttachment = (): AgentAttachment => structuredClone(this.stored);
  serializeAttachment(stored: AgentAttachment): void {
    this.stored = structuredClone(stored);
  }
  sent = 0;
  send(): void {
    this.sent++;
  }
  closed: number | undefined;
  close(code: number): void {
    this.closed = code;
  }
}

/** A lane that has no connector, with these agents. */
function woken(...sockets: Socket[]) {
  const ended: StreamEnd[] = [];
  const kv = { get() {}, put() {}, delete() {}, list: () => [] };
  const admissions = { admit: async () => ({ policy: { version: 1 } }) };
  const parts = { links: { byId() {} }, leases: { last: (sid: string) => ({ snapshot: { subject: { id: sid.slice(0, 1) } } }) } };
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

/** Almost what a person may leave unread. */
const MOST = MAX_AGENT_BYTES - 64 * 1024;
const closed = (who: string, left: number): Socket => new Socket({ who, left }, false);
const greet = async (links: AgentLinks, sid: string): Promise<string> => {
  const reply = await links.greet({ sid, connection: {}, issuer: "", request: "r" } as never);
  return reply.kind === "refused" ? reply.refusal.code : reply.kind;
};
/** So many messages of 60,000 bytes for that agent; answers how many went. */
const told = (links: AgentLinks, socket: Socket, count: number): number => {
  const before = socket.sent;
  for (let i = 0; i < count; i++) links.of(socket as never)?.pass(new Uint8Array(60_000));
  return socket.sent - before;
};

it("AG8: what one person's closed sockets keep costs no other's socket, stream or byte", async () => {
  const other = new Socket({ who: "b", sid: "b" as never });
  const sockets = [closed("a", MOST), closed("a", MOST), closed("a", MOST), other];
  const { links } = woken(...sockets);
  // Far above what an object has for all of them: what lives goes on.
  expect(told(links, other, 120)).toBeGreaterThanOrEqual(120);
  expect(other.closed).toBeUndefined();
  // Nothing begins until one of them is gone, however it ended, and then nothing by who holds the others.
  expect(links.full).toBe(true);
  links.gone(sockets[0] as never, { code: 1006, reason: "" });
  expect(links.full).toBe(false);
  expect(await greet(links, "b")).toBe("switched");
  expect(await greet(links, "a")).toBe("overloaded");
});

it("AG8: what a person's closed sockets keep is taken off what their others may leave unread, in any session", async () => {
  const [mine, another, other] = [new Socket({ sid: "a2" as never }), new Socket({ sid: "a3" as never }), new Socket({ who: "b", sid: "b" as never })];
  const { links } = woken(mine, another, other);
  const count = Math.ceil(MOST / (60_000 + MESSAGE_WEIGHT_BYTES));
  expect(told(links, mine, count)).toBeGreaterThanOrEqual(count);
  // However it ends.
  links.drop(mine as never, { code: 4400, reason: "malformed" });
  expect(links.keptOf("a")).toBeGreaterThanOrEqual(MOST);
  expect(told(links, another, 10)).toBeLessThan(10);
  expect([another.closed, other.closed]).toEqual([1013, undefined]);
  expect(await greet(links, "a4")).toBe("overloaded");
  for (const socket of [mine, another]) links.gone(socket as never, { code: 1006, reason: "" });
  expect([links.keptOf("a"), await greet(links, "a4")]).toEqual([0, "switched"]);
});

it("AG8: sockets that are closed and not gone are among those that a session may have", async () => {
  const sockets = Array.from({ length: 256 }, () => closed("a", 0));
  const { links } = woken(...sockets);
  expect(await greet(links, "s")).toBe("overloaded");
  links.gone(sockets[0] as never, { code: 1006, reason: "" });
  expect(await greet(links, "s")).toBe("switched");
});
