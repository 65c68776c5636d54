/** Byte counts as people write them ("10GB", decimal; "1MiB", binary). Not for durations: core/time.ts. */
const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1_024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
  TiB: 1_099_511_627_776,
};

export const BYTES_PATTERN = /^([1-9][0-9]{0,8})(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/;

/** Bytes of "10GB"; a number is bytes already. Undefined for anything else. */
export function parseBytes(written: string | number): number | undefined {
  if (typeof written === "number") return Number.isSafeInteger(written) && written > 0 ? written : undefined;
  const match = BYTES_PATTERN.exec(written);
  const unit = match?.[2] === undefined ? undefined : UNITS[match[2]];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}
