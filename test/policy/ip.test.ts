/** Addresses and blocks against two oracles: Node's BlockList and ipaddr.js. */
import { BlockList, isIP, isIPv4 } from "node:net";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { describe, expect, it } from "vitest";
import { contains, formatCidr, parseAddress, parseCidr } from "../../policy/ip.ts";

const v4 = fc.ipV4();
const v6 = fc.ipV6();
const near = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `10.${a % 4}.${b % 4}.7`);

describe("parseAddress (P12)", () => {
  it.each(["", "1", "1.2.3", "1.2.3.4.5", "010.1.2.3", "1.2.3.04", "1.2.3.256", "0x7f.0.0.1", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4:80", "1.2.3.-1", "１.2.3.4", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8:9", "g::", "12345::", "fe80::1%eth0", "[::1]", "::1/128", "::1.2.3", "1.2.3.4::", "::ffff:1.2.3.4:1", "1:"])("refuses %j", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it("accepts exactly what Node's parser accepts, zones excepted", () => {
    const text = fc.oneof(v4, v6, fc.string({ maxLength: 12, unit: fc.constantFrom(..."0123456789abf:.") }));
    fc.assert(fc.property(text, (address) => (parseAddress(address) !== undefined) === (isIP(address) !== 0)), { numRuns: 2_000 });
  });

  it("reads the number that ipaddr.js reads, IPv4-mapped unmapped", () => {
    fc.assert(
      fc.property(fc.oneof(v4, v6, v4.map((quad) => `::ffff:${quad}`)), (text) => {
        // ipaddr.js takes the deprecated ::1.2.3.4 (RFC 4291 §2.5.5.1) for IPv4; it is IPv6.
        if (/^::[0-9.]+$/.test(text) && text.includes(".")) return;
        const bytes = ipaddr.process(text).toByteArray();
        const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
        expect(parseAddress(text)).toEqual({ family: bytes.length === 4 ? 4 : 6, value });
      }),
    );
  });

  it("reads every spelling of one IPv6 address alike", () => {
    const spellings = ["2001:db8::1", "2001:0db8::0001", "2001:DB8:0:0:0:0:0:1", "2001:db8::0:1", "2001:db8::0.0.0.1"];
    expect(new Set(spellings.map((text) => parseAddress(text)?.value))).toEqual(new Set([0x20010db8000000000000000000000001n]));
  });
});

describe("blocks (P12)", () => {
  const inBlockList = (base: string, prefix: number, address: string): boolean => {
    const list = new BlockList();
    list.addSubnet(base, prefix, isIPv4(base) ? "ipv4" : "ipv6");
    return list.check(address, isIPv4(address) ? "ipv4" : "ipv6");
  };

  it("contain what Node's BlockList says, IPv4", () => {
    fc.assert(
      fc.property(fc.oneof(near, v4), fc.integer({ min: 0, max: 32 }), fc.oneof(near, v4), (base, prefix, address) => {
        const block = parseCidr(`${base}/${prefix}`)?.cidr;
        const wanted = parseAddress(address);
        return block !== undefined && wanted !== undefined && contains(block, wanted) === inBlockList(base, prefix, address);
      }),
    );
  });

  // Its bytes, not its text: ipaddr.js takes the deprecated ::1.2.3.4 (RFC 4291 §2.5.5.1) for IPv4-mapped.
  const bytesOf = (value: bigint): number[] => Array.from({ length: 16 }, (_, i) => Number((value >> BigInt(120 - 8 * i)) & 255n));

  it("contain what ipaddr.js says, IPv6", () => {
    fc.assert(
      fc.property(v6, fc.integer({ min: 0, max: 128 }), fc.integer({ min: 0, max: 127 }), (base, prefix, flip) => {
        const start = parseAddress(base);
        if (start === undefined || start.family === 4) return;
        const other = { family: 6 as const, value: start.value ^ (1n << BigInt(flip)) };
        const block = parseCidr(`${base}/${prefix}`)?.cidr;
        const oracle = new ipaddr.IPv6(bytesOf(other.value)).match(new ipaddr.IPv6(bytesOf(start.value)), prefix);
        expect(block !== undefined && contains(block, other)).toBe(oracle);
      }),
    );
  });

  it("are written in one way, which reads as the same block", () => {
    fc.assert(
      fc.property(fc.oneof(v4, v6), fc.integer({ min: 0, max: 32 }), (base, prefix) => {
        const block = parseCidr(`${base}/${base.startsWith("::ffff:") || base.includes(".") ? (base.includes(":") ? prefix + 96 : prefix) : prefix}`)?.cidr;
        if (block === undefined) return;
        expect(parseCidr(formatCidr(block))).toEqual({ cidr: block, exact: true });
      }),
    );
  });

  it.each(["10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/", "10.0.0.0/8/8", "::/129", "::ffff:10.0.0.0/95", "10.0.0/8", "/8"])("refuse %j", (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  it("IPv4-mapped blocks are IPv4 blocks", () => {
    expect(parseCidr("::ffff:10.0.0.0/104")).toEqual(parseCidr("10.0.0.0/8"));
  });
});
