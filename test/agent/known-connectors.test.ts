import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { KnownConnectors } from "../../agent/known-connectors.ts";
import { StateFolder } from "../../agent/state-folder.ts";
import { parseAppId, parseSiteId } from "../../core/ids.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { must } from "../connector/test-edge.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const EDGE = "https://edge.test";
const [PG, WIKI] = [must(parseAppId("pg")), must(parseAppId("wiki"))];
const [HOME, OTHER] = [must(parseSiteId("home")), must(parseSiteId("other"))];
const key = async (): Promise<string> => (await generateConnectorKey(crypto.subtle)).publicJwk.x;
const known = (folder: StateFolder, given: readonly string[] = [], edge = EDGE) => new KnownConnectors(folder, edge, Date.now, given);
const fresh = (): StateFolder => new StateFolder(temporaryFolder("known"));

describe("the site that the edge names", () => {
  it("TL3: is kept with the app's first use; another one is refused, whatever key answers, until its line is removed", async () => {
    const folder = fresh();
    const [real, edges] = [await key(), await key()];
    expect(await known(folder).check(PG, HOME, real, [])).toMatchObject({ how: "first_use", besides: [] });
    for (const one of [edges, real]) await expect(known(folder).check(PG, OTHER, one, [])).rejects.toMatchObject({ code: "app_moved" });
    expect(readFileSync(known(folder).file, "utf8")).not.toContain(` ${OTHER} `);
    expect(await known(folder).check(PG, HOME, real, [])).toMatchObject({ how: "known" });
    writeFileSync(known(folder).file, readFileSync(known(folder).file, "utf8").replace(/.* app pg .*\n/, ""));
    expect(await known(folder).check(PG, OTHER, edges, [])).toMatchObject({ how: "first_use", besides: [HOME] });
  });

  it("TL3: is kept for an app of a site whose connector is known already", async () => {
    const folder = fresh();
    const real = await key();
    await known(folder).check(PG, HOME, real, []);
    expect(await known(folder).check(WIKI, HOME, real, [])).toMatchObject({ how: "known" });
    await expect(known(folder).check(WIKI, OTHER, await key(), [])).rejects.toMatchObject({ code: "app_moved" });
  });

  it("TL5: makes no first use where an offline key was given for another site of the edge, and one at another edge", async () => {
    const folder = fresh();
    const team = await key();
    await expect(known(folder, [team]).check(PG, HOME, await key(), [])).rejects.toMatchObject({ code: "connector_key_unknown" });
    for (const app of [PG, WIKI]) await expect(known(folder).check(app, OTHER, await key(), [])).rejects.toMatchObject({ code: "connector_key_unknown" });
    expect(await known(folder, [], "https://elsewhere.test").check(PG, OTHER, await key(), [])).toMatchObject({ how: "first_use" });
  });
});
