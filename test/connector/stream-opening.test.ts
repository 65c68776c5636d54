import { describe, expect, it } from "vitest";
import { TunnelStream } from "../../channel/tunnel-stream.ts";
import type { Refusal, StreamGate } from "../../connector/stream-gate.ts";
import { StreamOpening, type TcpService } from "../../connector/stream-opening.ts";
import { parseRequestId } from "../../core/ids.ts";
import { ok } from "../../core/result.ts";
import { frameOpenHead, HeadReader, type OpenHead, openHeadJson, parseAnswerHead } from "../../protocol/head.ts";
import type { Mux } from "../../protocol/mux.ts";
import { must, WIKI } from "./test-edge.ts";

const HEAD: OpenHead = { v: 1, kind: "http", app: WIKI, admission: "a".repeat(43), n: 2, req: must(parseRequestId(`r_${"B".repeat(22)}`)), method: "GET", path: "/", headers: [], body: "none" };

describe("a stream-open", () => {
  it("whose judging fails is refused, and told, and ends nothing else", async () => {
    const written: Uint8Array[] = [];
    const mux = { write: (_id: number, bytes: Uint8Array) => (written.push(bytes), bytes.length), end: () => undefined, reset: () => undefined, consumed: () => undefined } as unknown as Mux;
    const stream = new TunnelStream(2, mux, { touched: () => undefined, isCongested: () => false, forget: () => undefined });
    const gate = { authenticate: () => ok(HEAD), admit: () => Promise.reject(new Error("a fault of ours")) } as unknown as StreamGate;
    const refused: Refusal[] = [];
    const opening = new StreamOpening(stream, gate, { refused: (refusal) => refused.push(refusal), opened: () => undefined, finished: () => undefined }, {} as TcpService);
    stream.handler = opening;
    const json = openHeadJson(HEAD);
    if (!json.ok) throw new Error(json.error);
    opening.data(frameOpenHead(json.value, new Uint8Array(32)));
    await expect.poll(() => refused).toEqual([{ code: "bad_open", reason: "internal" }]);
    const read = new HeadReader("answer").feed(must(written[0]));
    expect(read.type === "head" && parseAnswerHead(read.json)).toMatchObject({ ok: true, value: { error: "bad_open" } });
  });
});
