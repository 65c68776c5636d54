/**
 * Fact `disk_encrypted`: what the system keeps on its disks is encrypted at rest. On Linux: the file
 * systems of /, /home and /var and every swap partition lie on dm-crypt; whatever else can encrypt
 * (ZFS, fscrypt, the disk itself) cannot be seen from here and is unknown or false, never true.
 */
import { type Check, found, outputOf } from "./check.ts";
import { powershell, systemFolder } from "./powershell.ts";
import type { System } from "./system.ts";

export const diskEncryption: Check = async ({ system }) => found("disk_encrypted", await isEncrypted(system));

async function isEncrypted(system: System): Promise<boolean | undefined> {
  switch (system.platform) {
    case "linux":
      return onLinux(system);
    case "darwin":
      return parseFdesetup(await outputOf(system, "/usr/bin/fdesetup", "status"));
    case "win32":
      return onWindows(system);
    default:
      return undefined;
  }
}

/** "FileVault is On."; while it still encrypts or decrypts, neither is true. */
export function parseFdesetup(text: string | undefined): boolean | undefined {
  if (text === undefined || /in progress/i.test(text)) return undefined;
  if (/^FileVault is Off\.\s*$/m.test(text)) return false;
  return /^FileVault is On\.\s*$/m.test(text) ? true : undefined;
}

/** What Explorer knows, which everybody may ask: 1 on, 2 off, 3 encrypting, 4 decrypting, 5 suspended. Else manage-bde's exit code. */
async function onWindows(system: System): Promise<boolean | undefined> {
  const protection = await powershell(system, "(New-Object -ComObject Shell.Application).NameSpace($env:SystemDrive + '\\').Self.ExtendedProperty('System.Volume.BitLockerProtection')");
  const state = /^[1-6]\s*$/.exec(protection ?? "")?.[0].trim();
  if (state !== undefined) return state === "1" ? true : state === "2" || state === "4" || state === "5" ? false : undefined;
  const ran = await system.run(`${systemFolder(system)}\\manage-bde.exe`, "-status", "C:", "-protectionaserrorlevel");
  return ran?.code === 0 ? true : undefined;
}

/** What has to lie on encrypted disks, where it is mounted by itself. */
const PLACES: readonly string[] = ["/", "/home", "/var"];
/** A stack of devices (LVM on RAID on partitions …) is never this high. */
const MAX_DEPTH = 8;
/** Kinds of dm-crypt that encrypt; VERITY and INTEGRITY only check. */
const CRYPT = /^CRYPT-(?:LUKS1|LUKS2|PLAIN|TCRYPT|BITLK|FVAULT2|LOOPAES)-/;

async function onLinux(system: System): Promise<boolean | undefined> {
  const mounts = await system.read("/proc/self/mountinfo");
  const swaps = await system.read("/proc/swaps");
  if (mounts === undefined || swaps === undefined) return undefined;
  const places = parseMounts(mounts).filter((one) => PLACES.includes(one.at));
  if (!places.some((one) => one.at === "/")) return undefined;
  const devices = [...places.map((one) => one.source), ...parseSwaps(swaps)];
  const each = await Promise.all(devices.map((device) => deviceIsEncrypted(system, device)));
  if (each.includes(false)) return false;
  return each.includes(undefined) ? undefined : true;
}

/** The last mount at each place: "36 35 98:0 /root /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw" (proc_pid_mountinfo(5)). */
export function parseMounts(text: string): { readonly at: string; readonly source: string }[] {
  const last = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [mounted, source] = line.split(" - ", 2);
    const at = mounted?.split(" ")[4];
    const from = source?.split(" ")[1];
    if (at !== undefined && from !== undefined) last.set(at, from);
  }
  return [...last].map(([at, source]) => ({ at, source }));
}

/** Partitions and logical volumes; a file lies on a file system, zram in memory. */
export function parseSwaps(text: string): string[] {
  return [...text.matchAll(/^(\/dev\/\S+)\s+partition\s/gm)].map((match) => match[1] ?? "").filter((device) => !device.startsWith("/dev/zram"));
}

/** By the names that the kernel gives: /dev/mapper/x is a link to ../dm-0. */
async function deviceIsEncrypted(system: System, source: string): Promise<boolean | undefined> {
  if (!source.startsWith("/dev/")) return undefined;
  const name = (await system.resolve(source))?.split("/").at(-1);
  if (name === undefined || !/^[A-Za-z0-9!_-]{1,64}$/.test(name)) return undefined;
  const together = await companions(system, name);
  if (together === undefined) return undefined;
  const each = await Promise.all(together.map((one) => blockIsEncrypted(system, one, 0)));
  return each.includes(false) ? false : each.includes(undefined) ? undefined : true;
}

/** btrfs lies on several devices and names one of them. */
async function companions(system: System, name: string): Promise<readonly string[] | undefined> {
  for (const id of (await system.list("/sys/fs/btrfs")) ?? []) {
    const devices = await system.list(`/sys/fs/btrfs/${id}/devices`);
    if (devices?.includes(name) === true) return devices;
  }
  return [name];
}

/** Itself dm-crypt, or made only of devices that are. */
async function blockIsEncrypted(system: System, name: string, depth: number): Promise<boolean | undefined> {
  const folder = `/sys/class/block/${name}`;
  if (depth > MAX_DEPTH || (await system.exists(folder)) !== true) return undefined;
  const uuid = await system.read(`${folder}/dm/uuid`);
  if (uuid !== undefined && CRYPT.test(uuid)) return true;
  const below = (await system.list(`${folder}/slaves`)) ?? [];
  // A partition or a whole disk: nothing lies between it and the file system.
  if (below.length === 0) return false;
  const each = await Promise.all(below.map((one) => blockIsEncrypted(system, one, depth + 1)));
  return each.includes(false) ? false : each.includes(undefined) ? undefined : true;
}
