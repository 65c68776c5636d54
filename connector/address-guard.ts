/**
 * What kind of place an IP address is, and whether a host is spelled in the one way that we
 * accept. Not a resolver: names are judged by the addresses they turn out to have (class M).
 */
import { BlockList, isIPv4, isIPv6 } from "node:net";

export type AddressKind = "ordinary" | "loopback" | "link_local" | "metadata" | "unspecified" | "multicast" | "embedded";

type Subnet = readonly [network: string, prefix: number, family: "ipv4" | "ipv6"];

/** Looked up from the top: the first kind that holds the address is its kind. */
const KINDS: readonly (readonly [AddressKind, readonly Subnet[]])[] = [
  ["metadata", [
    ["169.254.169.254", 32, "ipv4"], // most clouds
    ["100.100.100.200", 32, "ipv4"], // Alibaba
    ["192.0.0.192", 32, "ipv4"], // Oracle
    ["168.63.129.16", 32, "ipv4"], // Azure's wire server
    ["fd00:ec2::", 32, "ipv6"], // AWS
    ["fd20:ce::", 32, "ipv6"], // Google
  ]],
  ["loopback", [["127.0.0.0", 8, "ipv4"], ["::1", 128, "ipv6"]]],
  ["unspecified", [["0.0.0.0", 8, "ipv4"], ["::", 128, "ipv6"]]],
  ["link_local", [["169.254.0.0", 16, "ipv4"], ["fe80::", 10, "ipv6"], ["fec0::", 10, "ipv6"]]],
  ["multicast", [["224.0.0.0", 3, "ipv4"], ["ff00::", 8, "ipv6"]]], // with the reserved 240/4 and broadcast
  ["embedded", [
    // An IPv4 address in IPv6 clothes would walk past every rule above.
    ["::ffff:0:0", 96, "ipv6"], ["::", 96, "ipv6"], ["64:ff9b::", 96, "ipv6"], ["64:ff9b:1::", 48, "ipv6"],
    ["2002::", 16, "ipv6"], ["2001::", 32, "ipv6"], ["::ffff:0:0:0", 96, "ipv6"],
  ]],
];

const LISTS = KINDS.map(([kind, subnets]) => {
  const v4 = new BlockList();
  const v6 = new BlockList();
  for (const [network, prefix, family] of subnets) (family === "ipv4" ? v4 : v6).addSubnet(network, prefix, family);
  return { kind, v4, v6 };
});

/** The kind of a literal address; undefined if the text is no plain IPv4 or IPv6 address (a zone id is not plain). */
export function addressKind(address: string): AddressKind | undefined {
  if (isIPv4(address)) return LISTS.find(({ v4 }) => v4.check(address, "ipv4"))?.kind ?? "ordinary";
  if (!isIPv6(address) || address.includes("%")) return undefined;
  // The lists are kept apart because BlockList matches mapped addresses against IPv4 rules.
  return LISTS.find(({ v6 }) => v6.check(address, "ipv6"))?.kind ?? "ordinary";
}

/** A DNS name of letters, digits, hyphens and underscores in labels of 1 to 63 characters. */
const NAME = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** Where inet_aton and URL parsers would see a number: "0x7f.1", "2130706433", "0177.0.0.1". */
const ENDS_IN_NUMBER = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/;

/**
 * The one spelling of a host: a lower-case name, a dotted quad or a compressed IPv6 address
 * without brackets. Undefined for every other spelling of an address (hex, octal, decimal,
 * short forms, zone ids), so that two readers can never disagree about it (row 94).
 */
export function canonicalHost(text: string): string | undefined {
  const host = text.toLowerCase();
  if (isIPv4(host)) return host;
  if (host.startsWith("[") && host.endsWith("]")) return canonicalHost6(host.slice(1, -1));
  if (host.includes(":")) return canonicalHost6(host);
  return !ENDS_IN_NUMBER.test(host) && NAME.test(host) ? host : undefined;
}

function canonicalHost6(text: string): string | undefined {
  if (!isIPv6(text) || text.includes("%")) return undefined;
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

/** Whether the host is the name that always means loopback (RFC 6761 §6.3). */
export function isLocalhostName(host: string): boolean {
  const name = host.toLowerCase();
  return name === "localhost" || name.endsWith(".localhost");
}
