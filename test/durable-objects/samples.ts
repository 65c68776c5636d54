/** Ids, a sign-in and a lease question to build states from. Values only. */
import type { AppId, ReceiptId, SessionId, SiteId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { LeaseQuestion } from "../../durable-objects/session/rpc.ts";
import type { NewCredential, SignIn } from "../../durable-objects/user/rpc.ts";

/** Where test clocks start. */
export const T0 = Date.parse("2026-11-20T10:00:00Z");
export const HOUR = 3_600_000;

export const sidOf = (n: number): SessionId => n.toString(16).padStart(64, "0") as SessionId;
export const SID = sidOf(0xa11);
export const WIKI = "wiki" as AppId;
export const CRM = "crm" as AppId;
export const BERLIN = "berlin" as SiteId;
export const RECEIPT = `rcpt_${"R".repeat(22)}` as ReceiptId;
export const ANN = `u_${"A".repeat(43)}`;

export const hash = (text: string): string => text.padEnd(43, "_");

export const credential = (more: Partial<NewCredential> = {}): NewCredential => ({
  kind: "cookie",
  audience: "host:wiki.access.example.com",
  hash: hash("wiki"),
  expiresAt: T0 + 8 * HOUR,
  ...more,
});

export const signIn = (more: Partial<SignIn> = {}): SignIn => ({
  owner: ANN,
  subject: { kind: "user", id: ANN },
  display: { sub: "ann", provider: "corp", email: "ann@example.com" },
  facts: { user: { value: "corp:ann", source: "corp", observedAt: at(T0) } },
  attemptStartedAt: T0,
  endsAt: T0 + 8 * HOUR,
  idleMs: HOUR,
  credential: credential(),
  ...more,
});

export const question = (more: Partial<LeaseQuestion> = {}): LeaseQuestion => ({
  v: 1,
  site: BERLIN,
  lane: 0,
  nonce: "instance-1",
  recorded: false,
  holds: "sockets",
  app: WIKI,
  connector: "thumbprint",
  policyVersion: 1,
  issuer: "https://access.example.com",
  lastActiveAt: 0,
  usedBytes: 0,
  requests: 0,
  connection: {},
  ...more,
});
