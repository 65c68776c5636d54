/** Each check on each system: what was recorded there, what is odd, in another language, refused, hung or endless. */
import { describe, expect, it } from "vitest";
import type { Check } from "../../../agent/posture/check.ts";
import { type ChecksWanted, NOTHING_WANTED } from "../../../agent/posture/checks-wanted.ts";
import { diskEncryption } from "../../../agent/posture/disk-encryption.ts";
import { endpointProtection } from "../../../agent/posture/endpoint-protection.ts";
import { filePresent } from "../../../agent/posture/file-present.ts";
import { firewall } from "../../../agent/posture/firewall.ts";
import { operatingSystem } from "../../../agent/posture/operating-system.ts";
import { patchAge } from "../../../agent/posture/patch-age.ts";
import { posture } from "../../../agent/posture/posture.ts";
import { screenLock } from "../../../agent/posture/screen-lock.ts";
import { machine, type Recording } from "./recorded-machine.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const DAY = 86_400_000;
type Row = readonly [title: string, recording: Recording, expected: object];

const table = (check: Check, rows: readonly Row[], wanted: ChecksWanted = NOTHING_WANTED): void => {
  it.each(rows)("%s", async (_title, recording, expected) => {
    expect(await check({ system: machine(recording), wanted, now: NOW })).toEqual(expected);
  });
};

const HUGE = "x".repeat(2 * 1024 * 1024);

describe("the operating system", () => {
  table(operatingSystem, [
    ["Ubuntu", { platform: "linux", files: { "/etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n' } }, { os: "linux", os_name: "ubuntu", os_version: "24.04" }],
    ["Arch, which has no version", { platform: "linux", files: { "/etc/os-release": 'NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\n' } }, { os: "linux", os_name: "arch" }],
    ["a distribution without os-release", { platform: "linux" }, { os: "linux" }],
    ["an os-release of two megabytes", { platform: "linux", files: { "/etc/os-release": `ID=ubuntu\n${HUGE}` } }, { os: "linux" }],
    ["an os-release with a command in it", { platform: "linux", files: { "/etc/os-release": "ID=$(id)\nVERSION_ID=`id`\n" } }, { os: "linux" }],
    ["macOS", { platform: "darwin", runs: { sw_vers: "15.1.1\n" } }, { os: "macos", os_name: "macos", os_version: "15.1.1" }],
    ["macOS whose sw_vers hangs", { platform: "darwin", runs: { sw_vers: "hangs" } }, { os: "macos", os_name: "macos" }],
    ["Windows", { platform: "win32", runs: { OSVersion: "10.0.26100.0\r\n" } }, { os: "windows", os_name: "windows", os_version: "10.0.26100.0" }],
    ["Windows whose PowerShell is forbidden", { platform: "win32", runs: { OSVersion: { code: 1, err: "Die Ausführung von Skripts ist auf diesem System deaktiviert." } } }, { os: "windows", os_name: "windows" }],
  ]);
  it("is nothing on a system that nobody knows", async () => {
    expect(await operatingSystem({ system: { ...machine({ platform: "linux" }), platform: "aix" }, wanted: NOTHING_WANTED, now: NOW })).toEqual({});
  });
});

const days = (age: number): object => ({ patch_age_days: age, patched_7d: age <= 7, patched_30d: age <= 30, patched_90d: age <= 90 });

describe("the age of the last update", () => {
  const stamp = (age: number): string => new Date(NOW - age * DAY - 3_600_000).toISOString();
  const dpkg = (age: number, act: string): string => `${stamp(age).slice(0, 10)} ${stamp(age).slice(11, 19)} ${act} libc6:amd64 2.39-0ubuntu8.3 2.39-0ubuntu8.4\n`;
  table(patchAge, [
    ["dpkg: the newest upgrade counts", { platform: "linux", files: { "/var/log/dpkg.log": dpkg(40, "upgrade") + dpkg(3, "upgrade") + dpkg(0, "install") } }, days(3)],
    ["dpkg: an installation by hand is no update", { platform: "linux", files: { "/var/log/dpkg.log": dpkg(1, "install") } }, {}],
    ["dpkg: the log was rotated this morning", { platform: "linux", files: { "/var/log/dpkg.log": "", "/var/log/dpkg.log.1": dpkg(35, "upgrade") } }, days(35)],
    ["dpkg: an update from next year is a clock that was wrong", { platform: "linux", files: { "/var/log/dpkg.log": dpkg(-300, "upgrade") } }, {}],
    ["rpm: of the packages that every update brings", { platform: "linux", runs: { "rpm -q": { code: 1, out: `package kernel-default is not installed\n${(NOW - 10 * DAY) / 1000}\n${(NOW - 8 * DAY) / 1000}\n` } } }, days(8)],
    ["rpm: in German, and nothing installed", { platform: "linux", runs: { "rpm -q": { code: 4, out: "Das Paket glibc ist nicht installiert\n" } } }, {}],
    ["rpm: never answers", { platform: "linux", runs: { "rpm -q": "hangs" } }, {}],
    ["pacman", { platform: "linux", files: { "/var/log/pacman.log": `[${stamp(91).slice(0, 19)}+0000] [ALPM] upgraded glibc (2.40-1 -> 2.40-2)\n[${stamp(2).slice(0, 19)}+0000] [ALPM] installed vim (9-1)\n` } }, days(91)],
    ["macOS: an update of the system, not of what it downloads by itself", { platform: "darwin", files: { "/Library/Receipts/InstallHistory.plist": plist(["XProtectPlistConfigData", stamp(1)], ["macOS 15.1.1", stamp(12)], ["macOS 15.1", stamp(30)], ["Keynote", stamp(2)]) } }, days(12)],
    ["macOS: a history in another form", { platform: "darwin", files: { "/Library/Receipts/InstallHistory.plist": "bplist00\u0001macOS" } }, {}],
    ["Windows", { platform: "win32", runs: { "Microsoft.Update.AutoUpdate": `${stamp(5).slice(0, 19)}Z\r\n` } }, days(5)],
    ["Windows that was never updated: its date of long ago is none", { platform: "win32", runs: { "Microsoft.Update.AutoUpdate": "0001-01-01T00:00:00Z\r\n" } }, {}],
    ["Windows with a date in a local form", { platform: "win32", runs: { "Microsoft.Update.AutoUpdate": "20.11.2026 06:25:10\r\n" } }, {}],
  ]);
});

function plist(...entries: readonly (readonly [string, string])[]): string {
  const dict = ([title, at]: readonly [string, string]): string => `\t<dict>\n\t\t<key>date</key>\n\t\t<date>${at.slice(0, 19)}Z</date>\n\t\t<key>displayName</key>\n\t\t<string>${title}</string>\n\t\t<key>processName</key>\n\t\t<string>softwareupdated</string>\n\t</dict>\n`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">\n<array>\n${entries.map(dict).join("")}</array>\n</plist>\n`;
}

describe("disk encryption", () => {
  const mounts = (...lines: readonly string[]): string => ["22 1 0:21 / /proc rw - proc proc rw", ...lines, ""].join("\n");
  const root = (source: string, type = "ext4"): string => `27 1 253:1 / / rw,relatime shared:1 - ${type} ${source} rw`;
  const luksOnLvm: Recording = {
    platform: "linux",
    files: { "/proc/self/mountinfo": mounts(root("/dev/mapper/vg-root")), "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/dm-2                               partition\t8388604\t0\t-2\n", "/sys/class/block/dm-0/dm/uuid": "CRYPT-LUKS2-9f1d-luks-9f1d\n", "/sys/class/block/dm-1/dm/uuid": "LVM-abc\n", "/sys/class/block/dm-2/dm/uuid": "LVM-def\n" },
    folders: { "/sys/class/block/dm-0": [], "/sys/class/block/dm-1": [], "/sys/class/block/dm-2": [], "/sys/class/block/dm-1/slaves": ["dm-0"], "/sys/class/block/dm-2/slaves": ["dm-0"], "/sys/class/block/nvme0n1p3": [] },
    links: { "/dev/mapper/vg-root": "/dev/dm-1" },
  };
  const files = luksOnLvm.files ?? {};
  const plain = { "/sys/class/block/sda1": [], "/sys/class/block/sda1/slaves": [] };
  const noSwap = "Filename\tType\tSize\tUsed\tPriority\n";
  table(diskEncryption, [
    ["LVM on LUKS, the swap too", luksOnLvm, { disk_encrypted: true }],
    ["a plain partition", { platform: "linux", files: { "/proc/self/mountinfo": mounts(root("/dev/sda1")), "/proc/swaps": noSwap }, folders: plain }, { disk_encrypted: false }],
    ["an encrypted root and a plain swap partition", { ...luksOnLvm, files: { ...files, "/proc/swaps": `${noSwap}/dev/sda1 partition 1 0 -2\n` }, folders: { ...luksOnLvm.folders, ...plain } }, { disk_encrypted: false }],
    ["an encrypted root and swap in memory or in a file", { ...luksOnLvm, files: { ...files, "/proc/swaps": `${noSwap}/dev/zram0 partition 1 0 100\n/swapfile file 1 0 -2\n` } }, { disk_encrypted: true }],
    ["an encrypted root and a plain /home", { ...luksOnLvm, files: { ...files, "/proc/self/mountinfo": mounts(root("/dev/mapper/vg-root"), "30 27 8:1 / /home rw - ext4 /dev/sda1 rw") }, folders: { ...luksOnLvm.folders, ...plain } }, { disk_encrypted: false }],
    ["a plain disk beside it, mounted elsewhere", { ...luksOnLvm, files: { ...files, "/proc/self/mountinfo": mounts(root("/dev/mapper/vg-root"), "30 27 8:1 / /mnt rw - ext4 /dev/sda1 rw") }, folders: { ...luksOnLvm.folders, ...plain } }, { disk_encrypted: true }],
    ["dm-verity only checks", { ...luksOnLvm, files: { ...files, "/sys/class/block/dm-0/dm/uuid": "CRYPT-VERITY-9f1d-root\n" } }, { disk_encrypted: false }],
    ["a mirror of which one half is plain", { platform: "linux", files: { "/proc/self/mountinfo": mounts(root("/dev/md0")), "/proc/swaps": noSwap, "/sys/class/block/dm-0/dm/uuid": "CRYPT-LUKS1-1-x\n" }, folders: { ...plain, "/sys/class/block/md0": [], "/sys/class/block/md0/slaves": ["dm-0", "sda1"], "/sys/class/block/dm-0": [] } }, { disk_encrypted: false }],
    ["btrfs on two devices of which one is plain", { ...luksOnLvm, files: { ...files, "/proc/self/mountinfo": mounts(root("/dev/mapper/vg-root", "btrfs")) }, folders: { ...luksOnLvm.folders, ...plain, "/sys/fs/btrfs": ["features", "0b1c"], "/sys/fs/btrfs/0b1c/devices": ["dm-1", "sda1"] } }, { disk_encrypted: false }],
    ["ZFS, which encrypts by itself or not", { platform: "linux", files: { "/proc/self/mountinfo": mounts(root("rpool/ROOT/ubuntu", "zfs")), "/proc/swaps": noSwap } }, {}],
    ["a container's overlay", { platform: "linux", files: { "/proc/self/mountinfo": mounts(root("overlay", "overlay")), "/proc/swaps": noSwap } }, {}],
    ["a device of which the kernel tells nothing", { platform: "linux", files: { "/proc/self/mountinfo": mounts(root("/dev/vda1")), "/proc/swaps": noSwap } }, {}],
    ["a name that leads out of the folder", { platform: "linux", files: { "/proc/self/mountinfo": mounts(root("/dev/mapper/x")), "/proc/swaps": noSwap, "/sys/class/block/../dm/uuid": "CRYPT-LUKS2-" }, links: { "/dev/mapper/x": "/dev/.." }, folders: { "/sys/class/block/..": [] } }, {}],
    ["devices that stand on each other in a circle", { platform: "linux", files: { "/proc/self/mountinfo": mounts(root("/dev/dm-5")), "/proc/swaps": noSwap }, folders: { "/sys/class/block/dm-5": [], "/sys/class/block/dm-5/slaves": ["dm-5"] } }, {}],
    ["mounts without a root", { platform: "linux", files: { "/proc/self/mountinfo": "garbage\n", "/proc/swaps": noSwap } }, {}],
    ["mounts of two megabytes", { ...luksOnLvm, files: { ...files, "/proc/self/mountinfo": files["/proc/self/mountinfo"] + HUGE } }, {}],
    ["FileVault on", { platform: "darwin", runs: { fdesetup: "FileVault is On.\n" } }, { disk_encrypted: true }],
    ["FileVault off", { platform: "darwin", runs: { fdesetup: "FileVault is Off.\n" } }, { disk_encrypted: false }],
    ["FileVault at work", { platform: "darwin", runs: { fdesetup: "FileVault is On.\nEncryption in progress: Percent completed = 30\n" } }, {}],
    ["FileVault in other words", { platform: "darwin", runs: { fdesetup: "FileVault ist aktiviert.\n" } }, {}],
    ["FileVault that fails", { platform: "darwin", runs: { fdesetup: { code: 1, out: "FileVault is On.\n" } } }, {}],
    ["BitLocker on", { platform: "win32", runs: { BitLockerProtection: "1\r\n" } }, { disk_encrypted: true }],
    ["BitLocker off", { platform: "win32", runs: { BitLockerProtection: "2\r\n" } }, { disk_encrypted: false }],
    ["BitLocker suspended", { platform: "win32", runs: { BitLockerProtection: "5\r\n" } }, { disk_encrypted: false }],
    ["BitLocker still encrypting", { platform: "win32", runs: { BitLockerProtection: "3\r\n" } }, {}],
    ["BitLocker of which Explorer knows nothing, and manage-bde says yes in Japanese", { platform: "win32", runs: { BitLockerProtection: "\r\n", "manage-bde": { code: 0, out: "保護状態: 保護はオンです\r\n" } } }, { disk_encrypted: true }],
    ["BitLocker that only an administrator may ask for", { platform: "win32", runs: { BitLockerProtection: "\r\n", "manage-bde": { code: -2_147_217_405, out: "ERROR: An attempt to access a required resource was denied.\r\n" } } }, {}],
    ["BitLocker that hangs", { platform: "win32", runs: { BitLockerProtection: "hangs", "manage-bde": "hangs" } }, {}],
  ]);
});

describe("the firewall", () => {
  const inactive = { code: 3, out: "inactive\n" };
  const absent = { code: 4, out: "inactive\n" };
  const off = { "is-active firewalld": absent, "is-active nftables": inactive };
  const ufw = (enabled: string): Record<string, string> => ({ "/etc/ufw/ufw.conf": `# comment\nENABLED=${enabled}\nLOGLEVEL=low\n` });
  const rules = (body: string): Record<string, string> => ({ "/etc/nftables.conf": `#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter;${body}\n\t}\n}\n` });
  const nft = { "is-active firewalld": absent, "is-active nftables": "active\n" };
  table(firewall, [
    ["ufw on", { platform: "linux", files: ufw("yes"), runs: { ...off, "is-active ufw": "active\n" } }, { firewall: true }],
    ["ufw switched off, though its unit is active", { platform: "linux", files: ufw("no"), runs: { ...off, "is-active ufw": "active\n" } }, { firewall: false }],
    ["ufw switched on, though its unit failed", { platform: "linux", files: ufw("yes"), runs: { ...off, "is-active ufw": { code: 3, out: "failed\n" } } }, { firewall: false }],
    ["firewalld on", { platform: "linux", runs: { "is-active firewalld": "active\n", "is-active nftables": inactive } }, { firewall: true }],
    ["nftables that drops", { platform: "linux", files: rules(" policy drop;"), runs: nft }, { firewall: true }],
    ["nftables that rejects from a set", { platform: "linux", files: rules("\n\t\tip saddr { 192.0.2.1, 192.0.2.2 } reject"), runs: nft }, { firewall: true }],
    ["nftables as Debian delivers it: everything passes", { platform: "linux", files: rules(""), runs: nft }, { firewall: false }],
    ["nftables whose drop is a comment", { platform: "linux", files: rules("\n\t\t# policy drop;"), runs: nft }, { firewall: false }],
    ["nftables whose rules are in other files", { platform: "linux", files: { "/etc/nftables.conf": 'include "/etc/nftables.d/*.nft"\n' }, runs: nft }, {}],
    ["nothing is on", { platform: "linux", runs: { ...off } }, { firewall: false }],
    ["a system without systemd", { platform: "linux" }, {}],
    ["systemctl that hangs", { platform: "linux", runs: { "is-active firewalld": "hangs", "is-active nftables": inactive } }, {}],
    ["systemctl that says something else", { platform: "linux", runs: { ...off, "is-active firewalld": { code: 1, out: "Failed to connect to bus\n" } } }, {}],
    ["macOS on", { platform: "darwin", runs: { socketfilterfw: "Firewall is enabled. (State = 1) \n" } }, { firewall: true }],
    ["macOS blocking everything, in French", { platform: "darwin", runs: { socketfilterfw: "Le coupe-feu bloque tout. (State = 2)\n" } }, { firewall: true }],
    ["macOS off", { platform: "darwin", runs: { socketfilterfw: "Firewall is disabled. (State = 0)\n" } }, { firewall: false }],
    ["macOS without a state", { platform: "darwin", runs: { socketfilterfw: "Firewall is enabled.\n" } }, {}],
    ["Windows, all profiles", { platform: "win32", runs: { NetFirewallProfile: "Domain=1\r\nPrivate=1\r\nPublic=1\r\n" } }, { firewall: true }],
    ["Windows, one off", { platform: "win32", runs: { NetFirewallProfile: "Domain=1\r\nPrivate=1\r\nPublic=0\r\n" } }, { firewall: false }],
    ["Windows, one not configured", { platform: "win32", runs: { NetFirewallProfile: "Domain=2\r\nPrivate=1\r\nPublic=1\r\n" } }, {}],
    ["Windows, one missing", { platform: "win32", runs: { NetFirewallProfile: "Private=1\r\nPublic=1\r\n" } }, {}],
    ["Windows that floods", { platform: "win32", runs: { NetFirewallProfile: "floods" } }, {}],
  ]);
});

describe("the screen lock", () => {
  const gnome = (enabled: string, idle: string, delay: string): Recording => ({ platform: "linux", env: { XDG_CURRENT_DESKTOP: "ubuntu:GNOME" }, runs: { "lock-enabled": enabled, "idle-delay": idle, "lock-delay": delay } });
  const kde = (text: string): Recording => ({ platform: "linux", env: { XDG_CURRENT_DESKTOP: "KDE", HOME: "/home/ann" }, files: { "/home/ann/.config/kscreenlockerrc": text } });
  const mac = (lock: string, idle: string | undefined, sleep: number | undefined): Recording => ({ platform: "darwin", runs: { sysadminctl: { code: 0, err: `2026-11-22 12:00:00.000 sysadminctl[1:2] ${lock}\n` }, ...(idle === undefined ? {} : { idleTime: idle }), ...(sleep === undefined ? {} : { pmset: `System-wide power settings:\n displaysleep         ${sleep} (display sleep prevented by x)\n` }) } });
  const system = "\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System\r\n    EnableLUA    REG_DWORD    0x1\r\n";
  const desktop = (active: string, secure: string, timeout: string): string => `\r\nHKEY_CURRENT_USER\\Control Panel\\Desktop\r\n    ScreenSaveActive    REG_SZ    ${active}\r\n    ScreenSaverIsSecure    REG_SZ    ${secure}\r\n    ScreenSaveTimeOut    REG_SZ    ${timeout}\r\n`;
  table(screenLock, [
    ["GNOME after five minutes", gnome("true\n", "uint32 300\n", "uint32 0\n"), { screen_lock: true }],
    ["GNOME after an hour", gnome("true\n", "uint32 300\n", "uint32 3600\n"), { screen_lock: false }],
    ["GNOME that never becomes idle", gnome("true\n", "uint32 0\n", "uint32 0\n"), { screen_lock: false }],
    ["GNOME without a lock", gnome("false\n", "uint32 300\n", "uint32 0\n"), { screen_lock: false }],
    ["GNOME with an odd number", gnome("true\n", "300\n", "uint32 0\n"), {}],
    ["settings of GNOME where something else runs", { ...gnome("true\n", "uint32 300\n", "uint32 0\n"), env: { XDG_CURRENT_DESKTOP: "sway" } }, {}],
    ["no desktop at all", { platform: "linux" }, {}],
    ["KDE with its defaults written down", kde("[Daemon]\nAutolock=true\nTimeout=10\n"), { screen_lock: true }],
    ["KDE switched off", kde("[Daemon]\nAutolock=false\n[Greeter]\nAutolock=true\n"), { screen_lock: false }],
    ["KDE with words for numbers", kde("[Daemon]\nTimeout=ten\n"), {}],
    ["macOS at once after ten minutes", mac("screenLock is immediate", "600\n", 15), { screen_lock: true }],
    ["macOS when the display sleeps", mac("screenLock delay is 300 seconds", undefined, 10), { screen_lock: true }],
    ["macOS an hour later", mac("screenLock delay is 3600 seconds", "600\n", 10), { screen_lock: false }],
    ["macOS without a lock", mac("screenLock is off", "600\n", 10), { screen_lock: false }],
    ["macOS that never sleeps", mac("screenLock is immediate", "0\n", 0), { screen_lock: false }],
    ["macOS that says neither", mac("screenLock is immediate", undefined, undefined), {}],
    ["macOS in other words", mac("Bildschirmsperre: sofort", "600\n", 10), {}],
    ["Windows by the machine's limit", { platform: "win32", runs: { "Policies\\System": `${system}    InactivityTimeoutSecs    REG_DWORD    0x384\r\n`, "Control Panel": desktop("0", "0", "0") } }, { screen_lock: true }],
    ["Windows by the user's screen saver", { platform: "win32", runs: { "Policies\\System": system, "Control Panel": desktop("1", "1", "600") } }, { screen_lock: true }],
    ["Windows with a screen saver that asks for nothing", { platform: "win32", runs: { "Policies\\System": system, "Control Panel": desktop("1", "0", "600") } }, { screen_lock: false }],
    ["Windows after an hour", { platform: "win32", runs: { "Policies\\System": system, "Control Panel": desktop("1", "1", "3600") } }, { screen_lock: false }],
    ["Windows that may not be asked", { platform: "win32", runs: { "Policies\\System": { code: 1, err: "FEHLER: Zugriff verweigert" }, "Control Panel": desktop("1", "1", "600") } }, {}],
  ]);
});

describe("endpoint protection", () => {
  const proc = (...names: readonly string[]): Recording => ({ platform: "linux", folders: { "/proc": ["cpuinfo", ...names.map((_, index) => String(index + 1))] }, files: Object.fromEntries(names.map((name, index) => [`/proc/${index + 1}/comm`, `${name}\n`])) });
  table(endpointProtection, [
    ["runs, by the fifteen characters that the kernel keeps", proc("systemd", "falcon-sensor-b"), { edr: true }],
    ["does not run", proc("systemd", "bash"), { edr: false }],
    ["a name that only begins so", proc("systemd", "falcon"), { edr: false }],
    ["a /proc that shows nothing", { platform: "linux", folders: { "/proc": [] } }, {}],
    ["a /proc that cannot be listed", { platform: "linux" }, {}],
    ["macOS, by the program's name", { platform: "darwin", runs: { "ps -A": "/sbin/launchd\n/Library/x/Falcon-Sensor-Bpf\n" } }, { edr: true }],
    ["macOS that hangs", { platform: "darwin", runs: { "ps -A": "hangs" } }, {}],
    ["Windows, in German", { platform: "win32", runs: { tasklist: '"System Idle Process","0","Services","0","8 K"\r\n"MsMpEng.exe","3120","Dienste","0","201.336 K"\r\n' } }, { edr: true }],
    ["Windows that says that there are none", { platform: "win32", runs: { tasklist: "INFORMATION: Es werden keine Aufgaben ausgeführt.\r\n" } }, {}],
  ], { ...NOTHING_WANTED, edr: ["falcon-sensor-bpf", "MsMpEng.exe"] });
  it("is not spoken of where nobody named a process", async () => {
    expect(await endpointProtection({ system: machine(proc("systemd")), wanted: NOTHING_WANTED, now: NOW })).toEqual({});
  });
});

describe("files", () => {
  table(filePresent, [
    ["one there, one not, one that nobody can say", { platform: "linux", files: { "/etc/corp/mark": "" }, hidden: ["/secret/mark"] }, { file_corp: true, file_old: false }],
  ], { ...NOTHING_WANTED, files: { corp: "/etc/corp/mark", old: "/etc/old", hidden: "/secret/mark" } });
});

describe("all checks together", () => {
  it("find nothing but the system's name where everything hangs, and none takes the others along", async () => {
    for (const platform of ["linux", "darwin", "win32"] as const) {
      const facts = await posture({ system: machine({ platform }), wanted: { edr: ["x"], files: {}, certificates: { corp: { sha256: "0".repeat(64) } } }, now: NOW });
      expect(Object.keys(facts).filter((name) => !name.startsWith("os"))).toEqual([]);
    }
    const broken = { ...machine({ platform: "darwin", runs: { sw_vers: "15.1\n" } }), read: () => Promise.reject(new Error("disk")) };
    expect(await posture({ system: broken, wanted: NOTHING_WANTED, now: NOW })).toEqual({ os: "macos", os_name: "macos", os_version: "15.1" });
  });

  it("start no shell, and no program by a name that somebody else could take", async () => {
    for (const platform of ["linux", "darwin", "win32"] as const) {
      const system = machine({ platform, env: { XDG_CURRENT_DESKTOP: "GNOME" } });
      await posture({ system, wanted: { edr: ["x"], files: {}, certificates: { corp: { sha256: "0".repeat(64) } } }, now: NOW });
      expect(system.asked.length).toBeGreaterThan(2);
      for (const line of system.asked) expect(line).toMatch(/^(?:\/(?:usr\/)?s?bin\/|\/usr\/libexec\/|C:\\Windows\\System32\\)/);
    }
  });
});
