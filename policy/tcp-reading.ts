/** A warning for authors, which the edge does not carry: a rule lets a TCP app go on reading, which TCP cannot do by itself (P7, P19). */
import type { Finding } from "./problems.ts";

const KEYS = ["on_identity_loss", "on_audit_loss", "on_control_loss"] as const;

type Written = { readonly upstream?: unknown; readonly [key: string]: unknown };
const isReading = (rule: unknown): boolean => rule === "read_only" || (typeof rule === "object" && rule !== null && "read_only" in rule);

/** Of a value that is a document: at each such word of an app. */
export function tcpReadingFindings(document: unknown): readonly Finding[] {
  const { apps = [] } = document as { readonly apps?: readonly Written[] };
  return apps.flatMap((app, i) =>
    KEYS.filter((key) => isReading(app[key]) && [app.upstream].flat().some((one) => String(one).startsWith("tcp:"))).map(
      (key): Finding => ({ code: "no_effect", message: `${key}: TCP cannot be read only, so its connections are cut`, fix: "write cut", path: ["apps", i, key], warning: true }),
    ),
  );
}
