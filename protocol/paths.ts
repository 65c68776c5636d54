/**
 * The edge's addresses that programs call, once for both ends. Programs in the field have them
 * built in, so a change here locks those out. Not the pages that people open.
 */

/** Under it: the routes of admin-api-routes.ts. */
export const ADMIN_API = "/.postern/api/v1";
/** Opens the break-glass account, at the launcher. */
export const BREAK_GLASS_PATH = "/.postern/break-glass";
/** Enrolment of a connector's key, at the launcher. */
export const ENROLL_PATH = "/.postern/connectors/enroll";
/** The tunnel's WebSocket, at the launcher; `?connector&lane`. */
export const CONNECT_PATH = "/.postern/connect";
/** The agent's WebSocket, at the launcher; `?app`. */
export const AGENT_PATH = "/.postern/agent";
/** The connector's program as one file; its digest is at this and ".sha256". */
export const CONNECTOR_PROGRAM_PATH = "/.postern/connector.mjs";
export const READY_PATH = "/.postern/ready";
/** A person asks for access, at the launcher or at the app's own host. */
export const REQUEST_PATH = "/.postern/request";
export const ME_PATH = "/.postern/me";
export const LOGOUT_PATH = "/.postern/logout";
/** RFC 8628 §3.1 and §3.4, and RFC 8693. */
export const LOGIN_CODE_BEGIN_PATH = "/.postern/device/begin";
export const TOKEN_PATH = "/.postern/token";
/** Enrolment of a device; under it `/<id>/report`, and `/bind` for browsers. */
export const DEVICES_PATH = "/.postern/devices";
/** Under it, by the id of a lane's object: pieces of bodies that left the mux (M15). */
export const BULK_PATH = "/.postern/bulk/";
