import { describe, expect, it } from "vitest";
import * as paths from "../../protocol/paths.ts";
import { routeTable } from "../../worker/app.ts";

/** Connectors and command lines of earlier versions have these built in. */
const RELEASED = {
  ADMIN_API: "/.postern/api/v1",
  BREAK_GLASS_PATH: "/.postern/break-glass",
  ENROLL_PATH: "/.postern/connectors/enroll",
  CONNECT_PATH: "/.postern/connect",
  AGENT_PATH: "/.postern/agent",
  BULK_PATH: "/.postern/bulk/",
  CONNECTOR_PROGRAM_PATH: "/.postern/connector.mjs",
  READY_PATH: "/.postern/ready",
  REQUEST_PATH: "/.postern/request",
  ME_PATH: "/.postern/me",
  LOGOUT_PATH: "/.postern/logout",
  DEVICES_PATH: "/.postern/devices",
  LOGIN_CODE_BEGIN_PATH: "/.postern/device/begin",
  TOKEN_PATH: "/.postern/token",
};

describe("the addresses that programs call", () => {
  it("stay where released programs look for them", () => {
    expect({ ...paths }).toEqual(RELEASED);
  });

  it.each(Object.values(RELEASED))("%s is mounted at the edge", (path) => {
    expect(routeTable.some(([, mounted]) => mounted.endsWith(path) || mounted.includes(path.endsWith("/") ? path : `${path}/`))).toBe(true);
  });
});
