import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { agentKey } from "../../agent/agent-key.ts";
import { KnownConnectors } from "../../agent/known-connectors.ts";
import { StateFolder } from "../../agent/state-folder.ts";
import { parseAppId, parseSiteId } from "../../core/ids.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { must } from "../connector/test-edge.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const made = (): StateFolder => new StateFolder(temporaryFolder("state"));

describe("the agent's folder", () => {
  it("writes a new file of its own under no name that somebody else could have taken", () => {
    const folder = made();
    const victim = join(folder.path, "victim");
    writeFileSync(victim, "precious");
    symlinkSync(victim, `${folder.file("known_connectors")}.${process.pid}.new`);
    writeFileSync(`${folder.file("agent-key.json")}.${process.pid}.new`, "");
    chmodSync(`${folder.file("agent-key.json")}.${process.pid}.new`, 0o666);
    const before = readdirSync(folder.path).length;
    folder.write("known_connectors", "pins");
    folder.write("agent-key.json", "key");
    expect([readFileSync(victim, "utf8"), folder.read("known_connectors")]).toEqual(["precious", "pins"]);
    expect(statSync(folder.file("agent-key.json")).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder.path).length).toBe(before + 2);
  });

  it("replaces a link by a file, and what it led to stays", () => {
    const folder = made();
    const victim = join(folder.path, "victim");
    writeFileSync(victim, "precious");
    symlinkSync(victim, folder.file("agent-key.json"));
    folder.write("agent-key.json", "key");
    expect(readFileSync(victim, "utf8")).toBe("precious");
  });

  it.each([0o777, 0o1777, 0o770])("that others may write (%o) is refused before anything is made or read there", async (mode) => {
    const folder = new StateFolder(join(temporaryFolder("state"), "shared"));
    mkdirSync(folder.path);
    chmodSync(folder.path, mode);
    await expect(agentKey(folder)).rejects.toMatchObject({ code: "state_unsafe" });
    expect(() => folder.read("known_connectors")).toThrow("not this user's alone");
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it("TL3: whose known connectors others may write is refused, and they are no pins", async () => {
    const folder = made();
    const key = (await generateConnectorKey(crypto.subtle)).publicJwk.x;
    writeFileSync(folder.file("known_connectors"), `https://edge.test home connector ${key} 2026-01-01T00:00:00Z first-use\n`);
    chmodSync(folder.file("known_connectors"), 0o666);
    const known = new KnownConnectors(folder, "https://edge.test", Date.now);
    await expect(known.check(must(parseAppId("pg")), must(parseSiteId("home")), key, [])).rejects.toMatchObject({ code: "state_unsafe" });
    chmodSync(folder.file("known_connectors"), 0o600);
    expect(await known.check(must(parseAppId("pg")), must(parseSiteId("home")), key, [])).toMatchObject({ how: "known" });
  });
});
