/** docs/openapi.json is what the routes say, and the routes are those that the edge has. */
import { describe, expect, it } from "vitest";
import { ADMIN_ROUTES } from "../../protocol/admin-api-routes.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { openapiText } from "../../scripts/openapi.ts";
import { routeTable } from "../../worker/app.ts";
import { read } from "../architecture/source-files.ts";

describe("the admin API", () => {
  it("is written down in docs/openapi.json as its routes and shapes say (else: node scripts/openapi.ts)", () => {
    expect(read("docs/openapi.json")).toBe(openapiText());
  });

  it("has exactly the routes that are mounted at the edge", () => {
    const mounted = routeTable.filter(([, path]) => path.startsWith(`/launcher${ADMIN_API}/`)).map(([method, path]) => `${method} ${path.replace("/launcher", "")}`);
    const written = ADMIN_ROUTES.map(({ method, path }) => `${method.toUpperCase()} ${ADMIN_API}${path.replaceAll(/\{([a-z]+)\}/g, ":$1")}`);
    expect(mounted.length).toBeGreaterThan(10);
    expect(written.sort()).toEqual(mounted.sort());
  });
});
