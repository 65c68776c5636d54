/** What a connector is told of its site's apps; the signer signs it. Nothing about who may reach them. */
import type { SiteId } from "../../core/ids.ts";
import type { Json } from "../../core/json.ts";
import type { App, PolicyDocument } from "../../policy/document.ts";

export const lanesOf = (document: PolicyDocument, site: SiteId): number => document.sites.find((one) => one.id === site)?.lanes ?? 1;

export function siteConfig(document: PolicyDocument, site: SiteId): Json {
  return { lanes: lanesOf(document, site), apps: document.apps.filter((app) => app.site === site).map(appConfig) };
}

function appConfig(app: App): Json {
  const { id, upstreams, host, tls, timeouts, health } = app;
  return {
    id,
    upstreams,
    host: host as Json,
    tls: {
      server_name: tls.serverName,
      ca: tls.ca,
      pin: oneOrAll(tls.pin.map((one) => one.replace(/^sha256\//, ""))),
      verify: tls.verify,
    },
    timeouts: { connect: timeouts.connect, first_byte: timeouts.firstByte, idle: timeouts.idle },
    ...(health === undefined ? {} : { health: { path: health.path, every: health.every, expect: oneOrAll(health.expect) } }),
  };
}

/** A connector of the version before reads one value; a list goes only to where it is needed. */
const oneOrAll = (values: readonly (string | number)[]): Json | undefined => (values.length > 1 ? [...values] : values[0]);
