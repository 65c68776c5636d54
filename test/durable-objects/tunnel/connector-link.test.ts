import { describe, expect, it } from "vitest";
import type { ConnectorId } from "../../../core/ids.ts";
import { ConnectorLink } from "../../../durable-objects/tunnel/connector-link.ts";
import { MAX_RESETS_BURST_COUNT, MAX_RESETS_PER_SECOND_COUNT } from "../../../protocol/limits.ts";

describe("a connector's link", () => {
  it("AG8: lets agents begin fewer streams than resets would end its socket, whatever their number and however often they try", () => {
    let now = 0;
    const socket = { send: () => undefined, serializeAttachment: () => undefined } as unknown as WebSocket;
    const link = new ConnectorLink(socket, { v: 1, role: "connector", link: "one", connector: "c_one" as ConnectorId, thumbprint: "t", mac: "AAAA", idsUsed: 2, welcomedAt: 0 }, () => now);
    const begun = (): number => {
      let count = 0;
      while (link.begins()) count++;
      return count;
    };
    const burst = begun();
    expect(burst).toBeGreaterThan(1_000);
    expect(burst).toBeLessThanOrEqual(MAX_RESETS_BURST_COUNT / 2);
    for (let second = 1; second <= 60; second++) {
      now = second * 1_000;
      expect(begun()).toBeLessThanOrEqual(MAX_RESETS_PER_SECOND_COUNT / 2);
    }
  });
});
