/** What a version of the policy is known by: base64url SHA-256 of the canonical document. */
import { createHash } from "node:crypto";
import { canonicalDocument, type PolicyDocument } from "../../policy/document.ts";

export function documentDigest(document: PolicyDocument): string {
  return createHash("sha256").update(canonicalDocument(document)).digest("base64url");
}
