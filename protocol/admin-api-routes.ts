/**
 * The admin API's routes as data, for docs/openapi.json: what each asks and answers, and the least
 * role it needs. The edge's table is worker/app.ts; a test holds the two together.
 */
import type * as z from "zod/mini";
import * as shapes from "./admin-api-shapes.ts";

export interface AdminRoute {
  readonly method: "get" | "post";
  /** Under ADMIN_API of paths.ts; `{id}` is a parameter. */
  readonly path: string;
  readonly summary: string;
  /** What the bearer must be: the setup key, or an operator's or service's token with at least this role. */
  readonly needs: "setup key" | "viewer" | "responder" | "operator";
  readonly question?: z.ZodMiniType | "document";
  readonly query?: Readonly<Record<string, string>>;
  readonly status: 200 | 201;
  readonly answer: z.ZodMiniType;
}

export const ADMIN_ROUTES: readonly AdminRoute[] = [
  { method: "post", path: "/setup", summary: "Bring the first document live; refused for ever once an operator is named", needs: "setup key", question: "document", status: 200, answer: shapes.setUp },
  {
    method: "post",
    path: "/policy",
    summary: "Make a document the live policy",
    needs: "operator",
    question: "document",
    query: { expect_version: "Refuse with version_conflict unless this version is live", allow_lockout: "1: apply even if the caller would no longer be an operator" },
    status: 200,
    answer: shapes.applied,
  },
  { method: "get", path: "/policy", summary: "The live document as it was applied: canonical JSON (YAML, if an older edge took it)", needs: "viewer", status: 200, answer: shapes.policyText },
  { method: "get", path: "/policy/history", summary: "The versions of the policy, newest first", needs: "viewer", status: 200, answer: shapes.versions },
  { method: "post", path: "/revoke", summary: "End trust now; answered when every lane confirmed or its lease is over", needs: "responder", question: shapes.revokeQuestion, status: 200, answer: shapes.receipt },
  { method: "get", path: "/receipts/{id}", summary: "The receipt of a change", needs: "viewer", status: 200, answer: shapes.receipt },
  { method: "get", path: "/grants", summary: "Who asks for access, and who has some for a while", needs: "viewer", status: 200, answer: shapes.grants },
  { method: "post", path: "/grants", summary: "Give a person other than oneself access to an app for a while, if the policy lets them have it", needs: "operator", question: shapes.grantQuestion, status: 201, answer: shapes.given },
  { method: "post", path: "/grants/{id}/deny", summary: "Say no to a question", needs: "responder", status: 200, answer: shapes.deniedGrant },
  { method: "post", path: "/services", summary: "Make a service token, shown once; two of a service are valid at a time", needs: "operator", question: shapes.serviceQuestion, status: 201, answer: shapes.serviceToken },
  { method: "get", path: "/services", summary: "Service tokens, without their secrets", needs: "viewer", status: 200, answer: shapes.services },
  { method: "post", path: "/break-glass", summary: "Seal the break-glass account: for two people, or behind a clock. The codes are shown once; a seal before this one is void", needs: "operator", question: shapes.sealQuestion, status: 201, answer: shapes.sealed },
  { method: "get", path: "/break-glass", summary: "Whether there is a seal, a clock runs, or the account is open", needs: "viewer", status: 200, answer: shapes.breakGlass },
  { method: "post", path: "/break-glass/cancel", summary: "Void the seal, and its clock with it; what is open is ended by revoking the service break-glass", needs: "responder", status: 200, answer: shapes.breakGlass },
  { method: "post", path: "/enroll-tokens", summary: "Make a one-time token that enrols a connector at a site", needs: "operator", question: shapes.enrollQuestion, status: 201, answer: shapes.enrollToken },
  { method: "get", path: "/connectors", summary: "Enrolled connectors", needs: "viewer", status: 200, answer: shapes.connectors },
  { method: "get", path: "/edge-status", summary: "Every lane, and what keeps it awake", needs: "viewer", status: 200, answer: shapes.edgeStatus },
  { method: "get", path: "/sessions", summary: "Live sessions and their streams", needs: "viewer", status: 200, answer: shapes.sessions },
  { method: "get", path: "/devices", summary: "Enrolled devices, and what is known of each", needs: "viewer", status: 200, answer: shapes.devices },
  { method: "post", path: "/devices/{id}", summary: "Say whose a device is and what it is: its tags, whether the company manages it", needs: "operator", question: shapes.deviceQuestion, status: 200, answer: shapes.facts },
  { method: "post", path: "/devices/{id}/facts", summary: "A verdict of another system on a device, each fact with its end; answered once its streams are decided again. `managed` needs the role operator", needs: "responder", question: shapes.factsQuestion, status: 200, answer: shapes.facts },
  { method: "post", path: "/users/{id}/facts", summary: "A verdict of another system on a person: risk low, medium or high, with its end", needs: "responder", question: shapes.factsQuestion, status: 200, answer: shapes.facts },
  { method: "get", path: "/explain/{id}", summary: "A recorded decision, made again from its recorded facts", needs: "viewer", status: 200, answer: shapes.explainedRequest },
];
