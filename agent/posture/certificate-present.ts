/** Facts `certificate_<name>`: the certificate that the team named by its SHA-256 is there, and valid today. Not whether its key is. */
import { X509Certificate } from "node:crypto";
import { type Check, type CheckContext, found, outputOf } from "./check.ts";
import type { PostureFacts } from "../../identity/posture-report.ts";
import type { CertificateWanted } from "./checks-wanted.ts";
import { powershell } from "./powershell.ts";

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export const certificatePresent: Check = async (context) => {
  const wanted = Object.entries(context.wanted.certificates);
  if (wanted.length === 0) return {};
  const store = await systemStore(context);
  const each = await Promise.all(
    wanted.map(async ([name, one]) => {
      const among = one.file === undefined ? store : await inFile(context, one.file);
      return found(`certificate_${name}`, among === undefined ? undefined : isAmong(one, among, context.now));
    }),
  );
  return Object.assign({}, ...each) as PostureFacts;
};

/** The keychains of macOS, the user's and the machine's own certificates of Windows; Linux has no store of the kind. */
async function systemStore({ system }: CheckContext): Promise<readonly X509Certificate[] | undefined> {
  if (system.platform === "darwin") return parsed((await outputOf(system, "/usr/bin/security", "find-certificate", "-a", "-p"))?.match(PEM) ?? undefined);
  if (system.platform !== "win32") return undefined;
  const text = await powershell(system, "Get-ChildItem Cert:\\LocalMachine\\My, Cert:\\CurrentUser\\My | ForEach-Object { [Convert]::ToBase64String($_.RawData) }");
  return parsed(text?.split(/\r?\n/).filter((line) => line !== "").map((line) => Buffer.from(line, "base64")));
}

async function inFile({ system }: CheckContext, path: string): Promise<readonly X509Certificate[] | undefined> {
  const isThere = await system.exists(path);
  return isThere === true ? parsed((await system.read(path))?.match(PEM) ?? undefined) : isThere === false ? [] : undefined;
}

/** Undefined if any cannot be read: it might have been the one. */
function parsed(certificates: readonly (string | Buffer)[] | undefined): readonly X509Certificate[] | undefined {
  try {
    return certificates?.map((one) => new X509Certificate(one));
  } catch {
    return undefined;
  }
}

function isAmong({ sha256 }: CertificateWanted, certificates: readonly X509Certificate[], now: number): boolean {
  return certificates.some((one) => one.fingerprint256.toLowerCase().replaceAll(":", "") === sha256 && Date.parse(one.validFrom) <= now && now < Date.parse(one.validTo));
}
