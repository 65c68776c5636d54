/**
 * One upstream of one app, ready to be used: its socket pool, its TLS settings, and whether its
 * health check passes. Made anew when the app's configuration changes.
 */
import { createHash } from "node:crypto";
// As a whole: an older Node, which has no getCACertificates, could not even load a file that names it.
import tls from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { Socket } from "node:net";
import { isIP } from "node:net";
import type { AllowRule } from "./allow-list.ts";
import { formatEndpoint } from "./allow-list.ts";
import { DialError, dial } from "./dial.ts";
import type { DialTarget, Resolver } from "./dial.ts";
import { OriginAgent } from "./origin-agent.ts";
import type { App } from "./site-config.ts";
import type { Upstream } from "./upstream.ts";

export class Origin {
  readonly upstream: Upstream;
  readonly agent: OriginAgent;
  healthy = true;
  readonly #target: DialTarget;
  readonly #pins: readonly string[];
  readonly #rule: AllowRule;
  readonly #resolve: Resolver;

  constructor(app: App, upstream: Upstream, rule: AllowRule, resolve: Resolver) {
    this.upstream = upstream;
    this.#rule = rule;
    this.#resolve = resolve;
    this.#pins = upstream.scheme === "https" ? app.tls.pins : [];
    this.#target = {
      endpoint: upstream.endpoint,
      connectMs: app.connectMs,
      halfOpen: upstream.scheme === "tcp",
      ...(upstream.scheme === "https" && { tls: tlsOptions(app) }),
    };
    this.agent = new OriginAgent(() => this.dial());
  }

  /** host[:port] as a client of this upstream would write it. */
  get authority(): string {
    const { scheme, endpoint } = this.upstream;
    const text = formatEndpoint(endpoint);
    const usual = scheme === "http" ? ":80" : scheme === "https" ? ":443" : "";
    return usual !== "" && text.endsWith(usual) ? text.slice(0, -usual.length) : text;
  }

  /** A connected socket, judged and verified. Rejects with DialError. */
  async dial(): Promise<Socket> {
    const socket = await dial(this.#target, this.#rule, this.#resolve);
    if (this.#pins.length > 0 && !this.#pins.includes(publicKeyPin(socket as TLSSocket) ?? "")) {
      socket.destroy();
      throw new DialError("tls", "PIN_MISMATCH");
    }
    return socket;
  }

  retire(): void {
    this.agent.retire();
  }
}

function tlsOptions(app: App): ConnectionOptions {
  const { server_name, ca, verify } = app.tls;
  return {
    ca: ca ?? [...tls.getCACertificates("bundled"), ...tls.getCACertificates("system"), ...tls.getCACertificates("extra")],
    rejectUnauthorized: verify !== false,
    ...(server_name !== undefined && isIP(server_name) === 0 && { servername: server_name }),
  };
}

/** RFC 7469 §2.4: SHA-256 of the SubjectPublicKeyInfo. */
function publicKeyPin(socket: TLSSocket): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  return createHash("sha256").update(certificate.publicKey.export({ type: "spki", format: "der" })).digest("base64");
}
