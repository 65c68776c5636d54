/**
 * The lines that enrol a connector, for copying. The token goes by standard input, fed by the
 * shell itself, so that it is in nobody's list of processes. Every value is quoted or refused.
 */
import type { PolicyDocument } from "../policy/document.ts";
import { CONNECTOR_PROGRAM_PATH } from "../protocol/paths.ts";
import { quotePowerShell, quoteSh } from "./shell-quote.ts";

export interface EnrollPlan {
  /** The edge's origin, as the edge names itself. */
  readonly edge: string;
  readonly site: string;
  /** Undefined: it is in a file, which the reader pipes in. */
  readonly token: string | undefined;
  readonly endpoints: readonly string[];
}

/** Three one-line commands: fetch the connector from the edge, enrol it. Throws Failure for a value that cannot be quoted. */
export function enrollLines({ edge, site, token, endpoints }: EnrollPlan): { readonly linux: string; readonly windows: string; readonly docker: string } {
  const program = `${edge}${CONNECTOR_PROGRAM_PATH}`;
  const words = (quote: typeof quoteSh): string => {
    const allow = endpoints.length === 0 ? "--allow-site-config" : endpoints.map((one) => `--allow ${quote(one, "upstream")}`).join(" ");
    return `enroll ${quote(edge, "edge's URL")} --token-file - ${allow}`;
  };
  const fetchSh = `curl -fsSO ${quoteSh(program, "edge's URL")}`;
  const fetchPowerShell = `Invoke-WebRequest ${quotePowerShell(program, "edge's URL")} -OutFile connector.mjs`;
  const fedSh = token === undefined ? "cat TOKEN-FILE" : `printf '%s\\n' ${quoteSh(token, "token")}`;
  const fedPowerShell = token === undefined ? "Get-Content TOKEN-FILE" : quotePowerShell(token, "token");
  const volume = quoteSh(`postern-${site}:/state`, "site's id");
  return {
    linux: `${fetchSh} && ${fedSh} | node connector.mjs ${words(quoteSh)}`,
    windows: `${fetchPowerShell}; ${fedPowerShell} | node connector.mjs ${words(quotePowerShell)}`,
    docker: `${fetchSh} && ${fedSh} | docker run -i --rm -v "$PWD/connector.mjs:/connector.mjs:ro" -v ${volume} node:24 node /connector.mjs ${words(quoteSh)} --state /state`,
  };
}

/** host:port of every upstream of a site, once each, in the document's order. */
export function upstreamEndpoints(document: PolicyDocument, site: string): string[] {
  const all = document.apps.filter((app) => app.site === site).flatMap((app) => app.upstreams.map((one) => one.replace(/^[a-z]+:\/\//, "")));
  return [...new Set(all)];
}
