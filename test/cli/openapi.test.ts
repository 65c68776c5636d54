/** docs/openapi.json is what the routes say, and the routes are those that the edge has. */
import { describe, expect, it } from "vitest";
import { API } from "../../cli/edge-client.ts";
import { ADMIN_API_PATH, ADMIN_ROUTES } from "../../protocol/admin-api-routes.ts";
import { openapiText } from "../../scripts/openapi.ts";
import { routeTable } from "../../worker/app.ts";
import { read } from "../architecture/source-files.ts";

describe("the admin API", () => {
  it("is written down in docs/openapi.json as its routes and shapes say (else: node scripts/openapi.ts)", () => {
    expect(read("docs/openapi.json")).toBe(openapiText());
  });

  it("has exactly the routes that are mounted at the edge", () => {
    const mounted = routeTable.filter(([, path]) => path.startsWith(`/launcher${ADMIN_API_PATH}/`)).map(([method, path]) => `${method} ${path.replace("/launcher", "")}`);
    const written = ADMIN_ROUTES.map(({ method, path }) => `${method.toUpperCase()} ${ADMIN_API_PATH}${path.replaceAll(/\{([a-z]+)\}/g, ":$1")}`);
    expect(mounted.length).toBeGreaterThan(10);
    expect(written.sort()).toEqual(mounted.sort());
  });

  it("is what the command line calls", () => {
    expect(API).toBe(ADMIN_API_PATH);
  });
});
