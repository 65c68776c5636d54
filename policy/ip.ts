/**
 * Addresses and CIDR blocks, strictly: dotted quads without leading zeros, RFC 4291 §2.2 IPv6
 * without zones, IPv4-mapped IPv6 unmapped (P12). Not lenient on purpose: `010.1.2.3`, `1` and
 * `0x7f.1` mean different things to different parsers (class J).
 */
export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface Cidr extends Address {
  readonly prefix: number;
}

/** The longest text an address can be: bounds parsing. */
const MAX_ADDRESS_CHARS = 45;
const MAPPED = 0xffffn;

function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

/** Groups of one side of "::", at most 8; a dotted quad may stand last and counts as two. */
function parseGroups(text: string, last: boolean): bigint[] | undefined {
  if (text === "") return [];
  const groups: bigint[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(BigInt(`0x${part}`));
    else {
      const quad = last && i === parts.length - 1 ? parseV4(part) : undefined;
      if (quad === undefined) return undefined;
      groups.push(quad >> 16n, quad & 0xffffn);
    }
  }
  return groups;
}

function parseV6(text: string): bigint | undefined {
  const gap = text.indexOf("::");
  if (gap !== text.lastIndexOf("::")) return undefined;
  const head = parseGroups(gap === -1 ? text : text.slice(0, gap), gap === -1);
  const tail = gap === -1 ? [] : parseGroups(text.slice(gap + 2), true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (gap === -1 ? missing !== 0 : missing < 1) return undefined;
  const zeros = Array.from({ length: missing }, () => 0n);
  return [...head, ...zeros, ...tail].reduce((value, group) => (value << 16n) | group, 0n);
}

/** Addresses read lately: one is compared with every block of every policy. Bounds what is kept; emptied when full. */
const MAX_KEPT_COUNT = 256;
const kept = new Map<string, Address | undefined>();

/** Parses an address; undefined for anything that is not exactly one. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > MAX_ADDRESS_CHARS) return undefined;
  const known = kept.get(text);
  if (known !== undefined) return known;
  if (kept.size >= MAX_KEPT_COUNT) kept.clear();
  const address = read(text);
  kept.set(text, address);
  return address;
}

function read(text: string): Address | undefined {
  if (!text.includes(":")) {
    const value = parseV4(text);
    return value === undefined ? undefined : { family: 4, value };
  }
  const value = parseV6(text);
  if (value === undefined) return undefined;
  return value >> 32n === MAPPED ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

function networkOf(address: Address, prefix: number): Cidr {
  const free = BigInt(bitsOf(address.family) - prefix);
  return { family: address.family, value: (address.value >> free) << free, prefix };
}

/**
 * Parses `address` or `address/prefix`. `exact` is false when bits are set behind the prefix
 * ("10.0.0.5/8"); the block returned has them cleared.
 */
export function parseCidr(text: string): { readonly cidr: Cidr; readonly exact: boolean } | undefined {
  const slash = text.indexOf("/");
  const host = slash === -1 ? text : text.slice(0, slash);
  const address = parseAddress(host);
  if (address === undefined) return undefined;
  if (slash === -1) return { cidr: { ...address, prefix: bitsOf(address.family) }, exact: true };
  const written = text.slice(slash + 1);
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(written)) return undefined;
  const mapped = address.family === 4 && host.includes(":");
  const prefix = Number(written) - (mapped ? 96 : 0);
  if (prefix < 0 || prefix > bitsOf(address.family)) return undefined;
  const cidr = networkOf(address, prefix);
  return { cidr, exact: cidr.value === address.value };
}

/** Whether the block holds the address. Families never match each other. */
export function contains(block: Cidr, address: Address): boolean {
  if (block.family !== address.family) return false;
  if (block.prefix === 0) return true;
  // Without making big numbers, which are objects of their own.
  if (block.family === 4) return (Number(block.value) ^ Number(address.value)) >>> (32 - block.prefix) === 0;
  const free = BigInt(bitsOf(block.family) - block.prefix);
  return block.value >> free === address.value >> free;
}

/** The one spelling of a block that this project writes. */
export function formatCidr(block: Cidr): string {
  if (block.family === 4) {
    const quad = [24n, 16n, 8n, 0n].map((shift) => String((block.value >> shift) & 255n)).join(".");
    return `${quad}/${block.prefix}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) => ((block.value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return `${groups.join(":").replace(/(?:^|:)0(?::0)+(?::|$)/, "::")}/${block.prefix}`;
}
