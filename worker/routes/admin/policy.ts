/** The live document: setting it up, changing it, reading it. It comes as JSON, which has one reading; what it means is found out here, by no client. */
import { equalSecrets, toBase64Url } from "../../../core/bytes.ts";
import { ADMIN_APP } from "../../../core/ids.ts";
import { at } from "../../../core/time.ts";
import { CONTROL_NAME } from "../../../durable-objects/bindings.ts";
import { compile, SETUP_SERVICE } from "../../../policy/compile.ts";
import { parseCanonical } from "../../../policy/canonical-text.ts";
import type { PolicyDocument } from "../../../policy/document.ts";
import type { Problem } from "../../../policy/problems.ts";
import { runTests } from "../../../policy/run-tests.ts";
import { MAX_DOCUMENT_BYTES } from "../../../policy/source.ts";
import { unknownDenies } from "../../../policy/unknown-denies.ts";
import { formatServiceToken, hashSecret, newCredentialId, newSecret } from "../../../identity/session-token.ts";
import type { AppliedAnswer, PolicyTextAnswer, SetUpAnswer, VersionsAnswer } from "../../../protocol/admin-api.ts";
import { readBoundedText } from "../../bounded-body.ts";
import type { Exchange } from "../../exchange.ts";
import { OPERATOR_TOKEN_MS } from "../../lifetimes.ts";
import { random } from "../../random.ts";
import { json, refuse } from "../../respond.ts";
import { liveSessions, truncatedHeader } from "./live-sessions.ts";
import { asOperator, carryOut, roleOf } from "./operator.ts";
import { receiptJson } from "./revocation.ts";
import { liveCases } from "./sessions.ts";

/** Bytes that a setup key must have at least: 32 random bytes as text. */
const MIN_SETUP_KEY_CHARS = 43;

interface ReadDocument {
  readonly document: PolicyDocument;
  readonly text: string;
  readonly warnings: readonly Problem[];
}

async function readDocument(x: Exchange): Promise<ReadDocument | Response> {
  const text = await readBoundedText(x.request, MAX_DOCUMENT_BYTES);
  if (text === undefined) return refuse(x, "document_invalid", { detail: `It must be canonical JSON, at most ${MAX_DOCUMENT_BYTES} bytes.` });
  const parsed = parseCanonical(text);
  if (!parsed.ok) {
    return refuse(x, "document_invalid", { detail: parsed.error[0]?.message, extra: { problems: parsed.error } });
  }
  const { document, warnings } = parsed.value;
  const failures = runTests(compile(document, 0), at(x.now));
  if (failures.length > 0) {
    return refuse(x, "document_invalid", { detail: `${failures.length} of the document's own tests fail.`, extra: { tests: failures } });
  }
  return { document, text: text.trimEnd(), warnings };
}

function namesOperator(document: PolicyDocument): boolean {
  return document.policies.some((one) => one.effect === "allow" && one.apps.includes(ADMIN_APP) && one.limits?.role === "operator");
}

/** POST /.postern/api/v1/setup, with the setup key as bearer */
export async function setup(x: Exchange): Promise<Response> {
  const control = x.env.CONTROL.getByName(CONTROL_NAME);
  const key = x.env.POSTERN_SETUP_KEY ?? "";
  const given = /^Bearer (\S+)$/.exec(x.request.headers.get("authorization") ?? "")?.[1] ?? "";
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  if (key.length < MIN_SETUP_KEY_CHARS || !equalSecrets(encode(key), encode(given))) return refuse(x, "setup_key_wrong");
  if (!(await control.setupOpen())) return refuse(x, "setup_closed");
  const read = await readDocument(x);
  if (read instanceof Response) return read;
  const secret = newSecret(random);
  const tokenId = newCredentialId(random);
  const expiresAt = x.now + OPERATOR_TOKEN_MS;
  const done = await control.setup({
    document: read.document,
    text: read.text,
    namesOperator: namesOperator(read.document),
    token: { tokenId, hash: toBase64Url(await hashSecret(secret)), expiresAt },
  });
  if (!done.ok) return refuse(x, "setup_closed");
  return json(x, {
    version: done.receipt.version,
    previous: done.previous,
    token: formatServiceToken({ id: tokenId, secret }),
    token_expires_at: new Date(expiresAt).toISOString(),
    service: SETUP_SERVICE,
    setup_closed: namesOperator(read.document),
    warnings: read.warnings,
    receipt: receiptJson(done.receipt),
  } satisfies SetUpAnswer);
}

/** POST /.postern/api/v1/policy[?expect_version=N][&allow_lockout=1] */
export async function apply(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "operator");
  if (operator instanceof Response) return operator;
  const query = new URLSearchParams(x.url.query);
  const expected = query.get("expect_version");
  if (expected !== null && !/^[0-9]{1,9}$/.test(expected)) return refuse(x, "bad_argument", { detail: "expect_version must be a number." });
  const read = await readDocument(x);
  if (read instanceof Response) return read;
  const live = await liveSessions(x);
  const candidate = compile(read.document, operator.policy.version + 1);
  const denies = unknownDenies(candidate, liveCases(x, candidate, live), at(x.now));
  const done = await carryOut(x, "operator", async ({ by, facts }) => {
    if (query.get("allow_lockout") !== "1" && roleOf(candidate, facts, x) !== "operator") return { ok: false, code: "lockout" } as const;
    return x.env.CONTROL.getByName(CONTROL_NAME).apply({
      document: read.document,
      text: read.text,
      by,
      namesOperator: namesOperator(read.document),
      ...(expected === null ? {} : { expectVersion: Number(expected) }),
    });
  });
  if (done instanceof Response) return done;
  if (!done.ok && done.code === "lockout") return refuse(x, "lockout");
  if (!done.ok) return refuse(x, "version_conflict", "detail" in done ? { detail: done.detail } : {});
  return json(x, {
    version: done.receipt.version,
    previous: done.previous,
    receipt: receiptJson(done.receipt),
    warnings: read.warnings,
    denied_by_unknown_facts: denies,
  } satisfies AppliedAnswer, 200, truncatedHeader(live));
}

/** GET /.postern/api/v1/policy */
export async function read(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const text = await x.env.CONTROL.getByName(CONTROL_NAME).policyText();
  return text === undefined ? refuse(x, "unknown_id") : json(x, text satisfies PolicyTextAnswer);
}

/** GET /.postern/api/v1/policy/history */
export async function history(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const versions = await x.env.CONTROL.getByName(CONTROL_NAME).history();
  return json(x, versions.map((one) => ({ ...one, at: new Date(one.at).toISOString() })) satisfies VersionsAnswer);
}

