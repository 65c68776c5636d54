/**
 * What a site's signed configuration says to its connectors: the `config` of SignedSiteConfig,
 * written by the edge from postern.yaml, read by the connector. Times in milliseconds. Who may reach an app is not in here.
 */
import type { AppId } from "./ids.ts";

/** Lanes that a site may have: bounds what an edge makes a connector open. */
export const MAX_LANES_COUNT = 64;

export interface SiteConfigBody {
  /** How many lanes the site has; a connector holds a socket to each. */
  readonly lanes?: number;
  readonly apps: readonly SiteApp[];
}

export interface SiteApp {
  readonly id: AppId;
  /** "http://HOST[:PORT]", "https://…" or "tcp://HOST:PORT"; the first healthy one is used (P25). */
  readonly upstreams: readonly string[];
  /** The Host that the app sees (P23): as the stream says (default), the upstream's own, or this literal. */
  readonly host?: "forwarded" | "upstream" | { readonly literal: string };
  readonly tls?: SiteAppTls;
  readonly timeouts?: { readonly connect?: number; readonly first_byte?: number; readonly idle?: number };
  readonly health?: { readonly path: string; readonly every: number; readonly expect?: number | readonly number[] };
}

/** P24. `client_cert` is not here: a secret of the app stays with the connector's operator. */
export interface SiteAppTls {
  readonly server_name?: string;
  /** PEM certificates, instead of the system's. */
  readonly ca?: string;
  /** Base64 SHA-256 of the certificate's public key (SPKI), as in RFC 7469; of several any may match. */
  readonly pin?: string | readonly string[];
  /** Default true; false accepts any certificate that fits the pin, if there is one. */
  readonly verify?: boolean;
}
