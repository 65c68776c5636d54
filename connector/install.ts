/**
 * `postern-connector install`: a hardened systemd unit for this installation. Everything that
 * enters the unit is quoted or refused (class L, row 93). Not for launchd or Windows.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { type Endpoint, formatEndpoint } from "./allow-list.ts";
import { Failure } from "./failure.ts";

const UNIT_PATH = "/etc/systemd/system/postern-connector.service";

interface UnitPaths {
  /** The Node executable and the program, absolute. */
  readonly node: string;
  readonly program: string;
  readonly state: string;
  readonly ca: string | undefined;
  readonly canary?: Endpoint | undefined;
}

/** A path as one word of ExecStart. Only characters that mean nothing to systemd pass. */
function word(path: string): string {
  if (!/^\/[A-Za-z0-9._/@+:-]*$/.test(path)) {
    throw new Failure("unit_path", "a path has characters that a systemd unit cannot carry safely", "only absolute paths of letters, digits and . _ / @ + : - are written into the unit", "move the file to a plain path", 2);
  }
  return path;
}

/** The unit's text. */
export function systemdUnit(paths: UnitPaths): string {
  const state = word(paths.state);
  const command = [word(paths.node), word(paths.program), "run", "--state", state, ...(paths.ca === undefined ? [] : ["--ca", word(paths.ca)]), ...(paths.canary === undefined ? [] : ["--canary", formatEndpoint(paths.canary)])];
  return `[Unit]
Description=Postern connector
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart=${command.join(" ")}
# Optional: HTTPS_PROXY=, NO_PROXY= one a line
EnvironmentFile=-/etc/postern-connector.env
User=postern-connector
Group=postern-connector
Restart=on-failure
RestartSec=5s
# The edge refused this connector for good: do not knock again.
RestartPreventExitStatus=1 2
KillSignal=SIGTERM
TimeoutStopSec=40s
UMask=0077
ReadWritePaths=${state}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
SystemCallFilter=@system-service
MemoryMax=512M
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
`;
}

/** Prints the unit, or writes and starts it. */
export function install(paths: UnitPaths, printOnly: boolean, json: boolean, print: (text: string) => void): void {
  const unit = systemdUnit(paths);
  if (printOnly) {
    print(json ? `${JSON.stringify({ path: UNIT_PATH, unit })}\n` : unit);
    return;
  }
  if (process.platform !== "linux") throw new Failure("no_systemd", "install knows systemd only", "this machine runs something else", "postern-connector install --print");
  try {
    writeFileSync(UNIT_PATH, unit, { mode: 0o644 });
  } catch {
    throw new Failure("unit_unwritable", `${UNIT_PATH} cannot be written`, "installing a service needs root", "sudo postern-connector install, or --print");
  }
  const steps: readonly (readonly [string, ...string[]])[] = [
    ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "postern-connector"],
    ["chown", "-R", "postern-connector:postern-connector", paths.state],
    ["systemctl", "daemon-reload"],
    ["systemctl", "enable", "--now", "postern-connector.service"],
  ];
  for (const [program, ...args] of steps) {
    const done = spawnSync(program, args, { stdio: "ignore" });
    // useradd answers 9 when the user exists already.
    if (done.status !== 0 && !(program === "useradd" && done.status === 9)) {
      throw new Failure("install_step", `${program} failed`, `exit ${String(done.status)}`, `run it by hand: ${program} ${args.join(" ")}`);
    }
  }
  print(json ? `${JSON.stringify({ path: UNIT_PATH, started: true })}\n` : `installed ${UNIT_PATH} and started it; see: systemctl status postern-connector\n`);
}
