/**
 * Opens a socket to an origin: resolves the name once, judges every address it has, and dials
 * exactly those, so that nothing can change between the check and the connection (DNS rebinding,
 * class M). Not for the edge, which is dialled by edge-dial.ts.
 */
import { lookup } from "node:dns/promises";
import { isIP, isIPv6, connect as connectTcp } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { TLSSocket, connect as connectTls } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { isLocalhostName } from "./address-guard.ts";
import { mayDial } from "./allow-list.ts";
import type { AllowRule, DialRefusal, Endpoint } from "./allow-list.ts";
import { errorCode } from "./failure.ts";
import { SocketReads } from "./socket-reads.ts";

/** Resolves a name to its literal addresses, once. */
export type Resolver = (name: string) => Promise<readonly string[]>;

export interface DialTarget {
  readonly endpoint: Endpoint;
  /** TLS settings of the upstream; absent for plain TCP. */
  readonly tls?: ConnectionOptions;
  readonly connectMs: number;
  /** The socket may be written to after the other end has ended: for tcp apps. */
  readonly halfOpen?: boolean;
}

type DialFailure = "refused_here" | "dns" | "connect" | "connect_timeout" | "tls";

/** Why no connection came about; `refusal` is set when the connector itself said no. */
export class DialError extends Error {
  readonly failure: DialFailure;
  readonly refusal: DialRefusal | undefined;
  readonly code: string | undefined;

  constructor(failure: DialFailure, code?: string, refusal?: DialRefusal) {
    super(`dial ${failure}`);
    this.name = "DialError";
    this.failure = failure;
    this.code = code;
    this.refusal = refusal;
  }
}

/** The system's resolver; `*.localhost` is loopback without asking anybody (RFC 6761 §6.3). */
export const systemResolver: Resolver = async (name) => {
  if (isLocalhostName(name)) return ["127.0.0.1", "::1"];
  const found = await lookup(name, { all: true, order: "verbatim" });
  return found.map(({ address }) => address);
};

/** The permitted addresses of an endpoint; throws DialError if one of them is not permitted. */
async function permittedAddresses(endpoint: Endpoint, rule: AllowRule, resolve: Resolver): Promise<readonly string[]> {
  let addresses: readonly string[];
  try {
    addresses = isIP(endpoint.host) === 0 ? await resolve(endpoint.host) : [endpoint.host];
  } catch (error) {
    throw new DialError("dns", errorCode(error));
  }
  if (addresses.length === 0) throw new DialError("dns", "ENOTFOUND");
  for (const address of addresses) {
    const verdict = mayDial(rule, endpoint, address);
    if (!verdict.ok) throw new DialError("refused_here", undefined, verdict.error);
  }
  return addresses;
}

/** Answers net.connect's question with the addresses that were judged, whatever it asks. */
function fixedLookup(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
  return (_name, options, done) => {
    const first = all[0];
    if (options.all === true) done(null, all);
    else if (first !== undefined) done(null, first.address, first.family);
  };
}

/** A connected (for TLS: verified) socket to the target. Rejects with DialError only. */
export async function dial(target: DialTarget, rule: AllowRule, resolve: Resolver): Promise<Socket> {
  const { endpoint, tls } = target;
  const addresses = await withDeadline(permittedAddresses(endpoint, rule, resolve), target.connectMs);
  return new Promise((done, fail) => {
    const reads = new SocketReads();
    const to = { onread: reads.onread, host: endpoint.host, port: endpoint.port, lookup: fixedLookup(addresses), noDelay: true, allowHalfOpen: target.halfOpen === true };
    let connected = false;
    const socket: Socket =
      tls === undefined
        ? connectTcp(to)
        : connectTls({ ALPNProtocols: ["http/1.1"], ...(isIP(endpoint.host) === 0 && { servername: endpoint.host }), ...tls, ...to });
    reads.attach(socket);
    const timer = setTimeout(() => socket.destroy(new DialError("connect_timeout")), target.connectMs);
    const failed = (error: unknown): void => {
      clearTimeout(timer);
      fail(error instanceof DialError ? error : new DialError(connected ? "tls" : "connect", errorCode(error)));
    };
    const closed = (): void => failed(undefined);
    socket.once("connect", () => (connected = true));
    socket.once("error", failed);
    socket.once("close", closed);
    socket.once(tls === undefined ? "connect" : "secureConnect", () => {
      clearTimeout(timer);
      socket.off("error", failed);
      socket.off("close", closed);
      done(socket);
    });
  });
}

async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => (timer = setTimeout(() => fail(new DialError("connect_timeout")), ms)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/**
 * Destroys an origin's socket so that as little as possible of what was written still arrives:
 * plain TCP is reset, which drops what the kernel holds; TLS cannot be (M2).
 */
export function breakOff(socket: Socket | null | undefined): void {
  if (socket === null || socket === undefined || socket.destroyed) return;
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
