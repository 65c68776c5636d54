/** Control texts: every kind both ways, what is refused, and what both ends sign. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../core/bytes.ts";
import { KEEP_ALIVE_PING, KEEP_ALIVE_PONG, encodeControl, readConnectorMessage, readEdgeMessage } from "../../protocol/control.ts";
import type { Challenge, ConnectorMessage, EdgeMessage, Hello } from "../../protocol/control.ts";
import { SUPPORTED_VERSIONS, negotiateVersion, transcript } from "../../protocol/hello.ts";
import { MAX_CONTROL_BYTES, MAX_CUT_IDS_COUNT, MAX_HELLO_BYTES } from "../../protocol/limits.ts";

const JWS = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";
const SESSION = "ab".repeat(32);

const FROM_EDGE: readonly { readonly [field: string]: unknown }[] = [
  { t: "challenge", versions: [2, 1], nonce: "n".repeat(43), dh: "k".repeat(43), site: "berlin", lane: 3, time: 1_795_000_000_000 },
  { t: "welcome", v: 1, signature: JWS, config: JWS },
  { t: "welcome", v: 1, signature: JWS, config: JWS },
  { t: "refuse", code: "unknown_connector", message: "enrol this connector again" },
  { t: "admission", jws: JWS },
  { t: "config", jws: JWS },
  { t: "keys", jws: JWS },
  { t: "cut", id: "c1", streams: [2, 4], sessions: [SESSION] },
  { t: "cut", id: "c2", streams: [], sessions: [] },
  { t: "drain" },
];
const FROM_CONNECTOR: readonly { readonly [field: string]: unknown }[] = [
  { t: "hello", v: 1, connector: `c_${"a".repeat(22)}`, instance: "i".repeat(22), dh: "k".repeat(43), time: 1, versions: [1], software: "postern-connector 0.1.0", signature: "s".repeat(86) },
  { t: "cut_ack", id: "c1" },
  { t: "draining" },
  { t: "health", app: "wiki", up: false, detail: "503 from /healthz" },
  { t: "health", app: "wiki", up: true },
  { t: "target", app: "wiki", version: "4.2.1", digest: `sha256:${"0a".repeat(32)}`, critical: 0, high: 2, at: 1_795_000_000_000 },
  { t: "target", app: "wiki", at: 1_795_000_000_000 },
  { t: "count", opened: 12 },
];
const text = (value: unknown): string => JSON.stringify(value);

describe("kinds", () => {
  it.each(FROM_EDGE.map((message) => [message.t, message] as const))("CT1: %s from the edge is read as it was written", (_t, message) => {
    expect(readEdgeMessage(encodeControl(message as EdgeMessage))).toEqual({ type: "message", message });
  });
  it.each(FROM_CONNECTOR.map((message) => [message.t, message] as const))("CT1: %s from the connector is read as it was written", (_t, message) => {
    expect(readConnectorMessage(encodeControl(message as ConnectorMessage))).toEqual({ type: "message", message });
  });
  it("CT5: what one side may say is unknown from the other", () => {
    for (const message of FROM_EDGE) expect(readConnectorMessage(text(message))).toEqual({ type: "unknown" });
    for (const message of FROM_CONNECTOR) expect(readEdgeMessage(text(message))).toEqual({ type: "unknown" });
  });
  it("CT3: an unknown kind is unknown, unknown fields are dropped", () => {
    for (const t of ["reboot", "constructor", "__proto__", "toString", ""]) expect(readEdgeMessage(text({ t }))).toEqual({ type: "unknown" });
    expect(readEdgeMessage(text({ t: "drain", seconds: 30 }))).toEqual({ type: "message", message: { t: "drain" } });
  });
  it("KA1: the keep-alive pair are fixed texts, not control texts", () => {
    for (const raw of [KEEP_ALIVE_PING, KEEP_ALIVE_PONG]) {
      expect(readEdgeMessage(raw)).toEqual({ type: "keep_alive", text: raw });
      expect(readConnectorMessage(raw)).toEqual({ type: "keep_alive", text: raw });
    }
    expect(readEdgeMessage("PING")).toEqual({ type: "malformed", reason: "not_json" });
    expect(readEdgeMessage('"ping"')).toEqual({ type: "malformed", reason: "no_type" });
  });
});

describe("what is refused", () => {
  it.each(["", "{", "drain", "{'t':'drain'}"])("CT2: %j is no JSON", (raw) => {
    expect(readEdgeMessage(raw)).toEqual({ type: "malformed", reason: "not_json" });
  });
  it.each(["null", "1", "[]", "{}", '{"t":1}', '{"t":null}', '["t"]', '{"__proto__":{"t":"drain"}}'])("CT2: %s names no kind", (raw) => {
    expect(readEdgeMessage(raw)).toEqual({ type: "malformed", reason: "no_type" });
  });

  const OPTIONAL = new Set(["mac", "detail", "version", "digest", "critical", "high"]);
  const fields = [...FROM_EDGE.map((m) => ["edge", m] as const), ...FROM_CONNECTOR.map((m) => ["connector", m] as const)].flatMap(([side, m]) =>
    Object.keys(m)
      .filter((field) => field !== "t")
      .map((field) => [String(m.t), field, side, m] as const),
  );
  it.each(fields)("CT2: %s with a bad %s is malformed", (_t, field, side, message) => {
    const read = side === "edge" ? readEdgeMessage : readConnectorMessage;
    const bad: unknown[] = [null, {}, -1, 1.5, "", "a\nb", "\0", [null], [[]], "x".repeat(MAX_CONTROL_BYTES / 4).concat("é\r")];
    if (typeof message[field] !== "boolean") bad.push(true);
    for (const value of bad) expect([field, read(text({ ...message, [field]: value })).type]).toEqual([field, "malformed"]);
    const { [field]: _left, ...rest } = message;
    expect(read(text(rest)).type).toBe(OPTIONAL.has(field) ? "message" : "malformed");
  });

  it("CT2: a cut names at most 4,096 streams and no stream 0", () => {
    const cut = (streams: number[]): string => text({ t: "cut", id: "c", streams, sessions: [] });
    expect(readEdgeMessage(cut(Array.from({ length: MAX_CUT_IDS_COUNT }, (_, i) => i + 1))).type).toBe("message");
    expect(readEdgeMessage(cut(Array.from({ length: MAX_CUT_IDS_COUNT + 1 }, (_, i) => i + 1))).type).toBe("malformed");
    expect(readEdgeMessage(cut([0])).type).toBe("malformed");
  });

  it("CT6: a version of at most 128 characters, a digest that is one, no half finding", () => {
    const said = (fields: object): string => readConnectorMessage(text({ t: "target", app: "wiki", at: 1, ...fields })).type;
    expect([{ version: "v".repeat(128) }, { critical: 0 }, { high: 9_999 }].map(said)).toEqual(["message", "message", "message"]);
    for (const wrong of [{ version: "v".repeat(129) }, { digest: "sha256:0A" }, { digest: `sha256:${"0A".repeat(32)}` }, { critical: 0.5 }, { high: "0" }, { app: "Wiki" }]) expect([wrong, said(wrong)]).toEqual([wrong, "malformed"]);
  });

  it("CT4: a text above the cap is not parsed, and strangers have a smaller one", () => {
    const padded = (length: number): string => text({ t: "drain" }).padEnd(length, " ");
    expect(readEdgeMessage(padded(MAX_CONTROL_BYTES)).type).toBe("message");
    expect(readEdgeMessage(padded(MAX_CONTROL_BYTES + 1))).toEqual({ type: "too_large" });
    expect(readConnectorMessage("[".repeat(MAX_HELLO_BYTES + 1), MAX_HELLO_BYTES)).toEqual({ type: "too_large" });
    expect(readConnectorMessage(text(FROM_CONNECTOR[0]), MAX_HELLO_BYTES).type).toBe("message");
  });

  it("CT2: arbitrary JSON never throws", () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(...FROM_EDGE, ...FROM_CONNECTOR), fc.string(), fc.jsonValue(), (raw, message, key, value) => {
        for (const read of [readEdgeMessage, readConnectorMessage]) {
          expect(typeof read(raw).type).toBe("string");
          expect(typeof read(text({ ...message, [key]: value })).type).toBe("string");
        }
      }),
    );
  });
});

describe("the hello", () => {
  const challenge = FROM_EDGE[0] as unknown as Challenge;
  const hello = FROM_CONNECTOR[0] as unknown as Hello;
  const hex = (signer: "connector" | "edge", c: unknown = challenge, h: unknown = hello): string => toHex(transcript(signer, c as Challenge, h as Hello));
  /** Another value of the same type for every field. */
  const other = (value: unknown): unknown => (typeof value === "number" ? value + 1 : typeof value === "string" ? `${value}x` : [...(value as number[]), 9]);

  it.each(Object.keys(challenge).filter((field) => field !== "t"))("HS1: the challenge's %s is signed by both", (field) => {
    const changed = { ...challenge, [field]: other(challenge[field as keyof Challenge]) };
    expect(hex("connector", changed)).not.toBe(hex("connector"));
    expect(hex("edge", changed)).not.toBe(hex("edge"));
  });
  it.each(Object.keys(hello).filter((field) => field !== "t" && field !== "signature"))("HS1: the hello's %s is signed by both", (field) => {
    const changed = { ...hello, [field]: other(hello[field as keyof Hello]) };
    expect(hex("connector", challenge, changed)).not.toBe(hex("connector"));
    expect(hex("edge", challenge, changed)).not.toBe(hex("edge"));
  });
  it("HS1: moving a character or a list item from one field to the next changes the bytes", () => {
    expect(hex("edge", { ...challenge, nonce: "a", dh: "bc" })).not.toBe(hex("edge", { ...challenge, nonce: "ab", dh: "c" }));
    expect(hex("edge", { ...challenge, lane: 1, time: 23 })).not.toBe(hex("edge", { ...challenge, lane: 12, time: 3 }));
    expect(hex("edge", { ...challenge, versions: [1, 2] })).not.toBe(hex("edge", { ...challenge, versions: [12] }));
  });
  it("HS1: the bytes are pinned: every field as length and UTF-8", () => {
    const c = { t: "challenge", versions: [1], nonce: "N", dh: "D", site: "s", lane: 0, time: 9 } as unknown as Challenge;
    const h = { t: "hello", v: 1, connector: "c", instance: "i", dh: "E", time: 8, versions: [1], software: "w", signature: "S" } as unknown as Hello;
    const field = (value: string): string => value.length.toString(16).padStart(8, "0") + Buffer.from(value).toString("hex");
    const common = ["1", "1", "N", "D", "s", "0", "9", "1", "c", "i", "E", "8", "1", "1", "w"];
    expect(hex("connector", c, h)).toBe(["postern tunnel hello, connector", ...common].map(field).join(""));
    expect(hex("edge", c, h)).toBe(["postern tunnel hello, edge", ...common, "S"].map(field).join(""));
  });
  it("HS2: a signature of one side is never the other's, and the edge signs over the connector's", () => {
    expect(hex("edge").startsWith(hex("connector").slice(0, 60))).toBe(false);
    expect(hex("edge", challenge, { ...hello, signature: "t" })).not.toBe(hex("edge"));
    expect(hex("connector", challenge, { ...hello, signature: "t" })).toBe(hex("connector"));
  });

  const versions: readonly [readonly number[], readonly number[], number | undefined][] = [
    [[1], [1], 1],
    [[2, 1], [1], 1],
    [[1, 2], [3, 2], 2],
    [[3, 2, 1], [2, 3], 3],
    [[4], [3, 2], undefined],
    [[], [1], undefined],
  ];
  it.each(versions)("HS3: offered %j, supported %j: %s", (offered, supported, version) => {
    expect(negotiateVersion(offered, supported)).toBe(version);
  });
  it("HS3: at most the two newest versions are supported, newest first", () => {
    expect(SUPPORTED_VERSIONS.length).toBeLessThanOrEqual(2);
    expect([...SUPPORTED_VERSIONS].sort((a, b) => b - a)).toEqual(SUPPORTED_VERSIONS);
  });
});
