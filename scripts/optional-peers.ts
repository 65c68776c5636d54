/** Programs that some tests compare us with; where one is absent its tests are skipped. Installs nothing. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Program and what it is the oracle for. */
export const OPTIONAL_PEERS: readonly { readonly program: string; readonly for: string }[] = [
  { program: "go", for: "hashicorp/yamux as the other end of the tunnel" },
  { program: "ssh", for: "postern ssh with a real client" },
  { program: "sshd", for: "postern ssh with a real server" },
  { program: "curl", for: "README's curl lines" },
  { program: "systemd-analyze", for: "the connector's systemd unit" },
];

function isOnPath(program: string, path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** One line for each absent peer. */
export function absentPeers(path: string): string[] {
  return OPTIONAL_PEERS.filter(({ program }) => !isOnPath(program, `${path}${delimiter}/usr/sbin${delimiter}/sbin`)).map((peer) => `optional peer absent: ${peer.program} (${peer.for}); its tests are skipped`);
}
