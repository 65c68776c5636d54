/** The admin API in types: what the worker answers and the CLI and console read. Types only; admin-api-shapes.ts is their source. */
import type * as z from "zod/mini";
import type * as shapes from "./admin-api-shapes.ts";

export type RefusalAnswer = z.infer<typeof shapes.refusal>;
export type ProblemAnswer = z.infer<typeof shapes.problem>;
export type ReceiptAnswer = z.infer<typeof shapes.receipt>;
export type AppliedAnswer = z.infer<typeof shapes.applied>;
export type SetUpAnswer = z.infer<typeof shapes.setUp>;
export type PolicyTextAnswer = z.infer<typeof shapes.policyText>;
export type VersionsAnswer = z.infer<typeof shapes.versions>;
export type RevokeQuestion = z.infer<typeof shapes.revokeQuestion>;
export type ServiceQuestion = z.infer<typeof shapes.serviceQuestion>;
export type ServiceTokenAnswer = z.infer<typeof shapes.serviceToken>;
export type ServicesAnswer = z.infer<typeof shapes.services>;
export type EnrollQuestion = z.infer<typeof shapes.enrollQuestion>;
export type EnrollTokenAnswer = z.infer<typeof shapes.enrollToken>;
export type ConnectorsAnswer = z.infer<typeof shapes.connectors>;
export type EdgeStatusAnswer = z.infer<typeof shapes.edgeStatus>;
export type SessionsAnswer = z.infer<typeof shapes.sessions>;
export type ExplanationAnswer = z.infer<typeof shapes.explanation>;
export type ExplainedRequestAnswer = z.infer<typeof shapes.explainedRequest>;
export type MeAnswer = z.infer<typeof shapes.me>;
export type VisibleAppsAnswer = z.infer<typeof shapes.visibleApps>;
export type ReadinessAnswer = z.infer<typeof shapes.readiness>;
