/** All checks of this machine together: what each found. One that fails or finds nothing takes none of the others along. */
import type { PostureFacts } from "../../identity/posture-report.ts";
import { certificatePresent } from "./certificate-present.ts";
import type { Check, CheckContext } from "./check.ts";
import { diskEncryption } from "./disk-encryption.ts";
import { endpointProtection } from "./endpoint-protection.ts";
import { filePresent } from "./file-present.ts";
import { firewall } from "./firewall.ts";
import { operatingSystem } from "./operating-system.ts";
import { patchAge } from "./patch-age.ts";
import { screenLock } from "./screen-lock.ts";

const CHECKS: readonly Check[] = [operatingSystem, patchAge, diskEncryption, firewall, screenLock, endpointProtection, filePresent, certificatePresent];

/** Looks at the machine once. Names are sorted, so that the same findings are the same text. */
export async function posture(context: CheckContext): Promise<PostureFacts> {
  const each = await Promise.all(CHECKS.map((check) => check(context).catch(() => ({}))));
  const all = Object.assign({}, ...each) as PostureFacts;
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}
