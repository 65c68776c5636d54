/** What `postern ssh-config --write` does to the file: its mode, links to it, and what others put in its way. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../temporary-folder.ts";
import { type Ran, runCommand } from "./run-command.ts";

let home: string;
let config: string;
beforeEach(() => {
  home = temporaryFolder("ssh");
  config = join(home, ".ssh/config");
});

const write = (): Promise<Ran> => runCommand(["ssh-config", "pg", "--write", "--edge", "http://127.0.0.1:1", "--token-file", join(home, "token")], { env: { HOME: home } });
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

describe("ssh-config --write", () => {
  it("makes folder and file for their owner only", async () => {
    expect((await write()).exit).toBe(0);
    expect([modeOf(join(home, ".ssh")), modeOf(config)]).toEqual(["700", "600"]);
    expect(readFileSync(config, "utf8")).toContain("Host pg.");
    expect(readdirSync(join(home, ".ssh"))).toEqual(["config"]);
  });

  it.each([0o600, 0o644, 0o664])("keeps the mode %o of a file that is there, and its other lines", async (mode) => {
    mkdirSync(join(home, ".ssh"));
    writeFileSync(config, "Host elsewhere\n");
    chmodSync(config, mode);
    expect((await write()).exit).toBe(0);
    expect(modeOf(config)).toBe(mode.toString(8));
    expect(readFileSync(config, "utf8")).toMatch(/^# BEGIN postern [\s\S]*Host elsewhere\n$/);
  });

  it("writes through no link and into no file that somebody put where the new one might be made", async () => {
    mkdirSync(join(home, ".ssh"));
    const victim = join(home, "victim");
    writeFileSync(victim, "precious");
    symlinkSync(victim, `${config}.postern-new`);
    expect((await write()).exit).toBe(0);
    expect(readFileSync(victim, "utf8")).toBe("precious");
    expect(lstatSync(config).isSymbolicLink()).toBe(false);
  });

  it("leaves the file itself where a link leads to it", async () => {
    mkdirSync(join(home, ".ssh"));
    const kept = join(home, "dotfiles-config");
    writeFileSync(kept, "Host elsewhere\n");
    symlinkSync(kept, config);
    expect((await write()).exit).toBe(0);
    expect(lstatSync(config).isSymbolicLink()).toBe(true);
    expect(readFileSync(kept, "utf8")).toContain("Host pg.");
  });
});
