import { describe, expect, it } from "vitest";
import { ANY_AUDIENCE, appAudience, bearerAudience, hostAudience, NO_AUDIENCE, OPERATOR_AUDIENCE } from "../../core/audience.ts";
import { ADMIN_APP, type AppId } from "../../core/ids.ts";

const WIKI = "wiki" as AppId;

describe("audiences", () => {
  it("keep the spelling that sessions of older versions hold", () => {
    expect([hostAudience("wiki.example.com"), appAudience(WIKI), OPERATOR_AUDIENCE, ANY_AUDIENCE]).toEqual(["host:wiki.example.com", "app:wiki", "operator", "any"]);
  });

  it.each([
    ["an app", WIKI, "app:wiki"],
    ["the administration", ADMIN_APP, OPERATOR_AUDIENCE],
    ["a host that no app has", "" as AppId, "app:"],
    ["a place that takes no bearer", undefined, NO_AUDIENCE],
  ])("a bearer at %s is for that alone", (_title, app, audience) => {
    expect(bearerAudience(app)).toBe(audience);
    expect(bearerAudience(app)).not.toBe(ANY_AUDIENCE);
  });

  it("no app's name spells another kind", () => {
    for (const name of ["operator", "any", ""]) expect([OPERATOR_AUDIENCE, ANY_AUDIENCE, NO_AUDIENCE]).not.toContain(appAudience(name as AppId));
  });
});
