/**
 * The lines that enrol a connector, for copying. The token goes by standard input, fed by the
 * shell itself, so that it is in nobody's list of processes. Every value is quoted or refused.
 */
import type { PolicyDocument } from "../policy/document.ts";
import { quotePowerShell, quoteSh } from "./shell-quote.ts";

export interface EnrollPlan {
  /** The edge's origin, as the edge names itself. */
  readonly edge: string;
  readonly site: string;
  /** Undefined: it is in a file, which the reader pipes in. */
  readonly token: string | undefined;
  readonly endpoints: readonly string[];
}

/** Three one-line commands. Throws Failure for a value that cannot be quoted. */
export function enrollLines({ edge, site, token, endpoints }: EnrollPlan): { readonly linux: string; readonly windows: string; readonly docker: string } {
  const words = (quote: typeof quoteSh): string => {
    const allow = endpoints.length === 0 ? "--allow-site-config" : endpoints.map((one) => `--allow ${quote(one, "upstream")}`).join(" ");
    return `enroll ${quote(edge, "edge's URL")} --token-file - ${allow}`;
  };
  const fedSh = token === undefined ? "cat TOKEN-FILE" : `printf '%s\\n' ${quoteSh(token, "token")}`;
  const fedPowerShell = token === undefined ? "Get-Content TOKEN-FILE" : quotePowerShell(token, "token");
  const volume = quoteSh(`postern-${site}:/state`, "site's id");
  return {
    linux: `${fedSh} | npx postern-connector ${words(quoteSh)}`,
    windows: `${fedPowerShell} | npx postern-connector ${words(quotePowerShell)}`,
    docker: `${fedSh} | docker run -i --rm -v "$PWD":/postern:ro -v ${volume} -w /postern node:24 node bin/postern-connector.mjs ${words(quoteSh)} --state /state`,
  };
}

/** host:port of every upstream of a site, once each, in the document's order. */
export function upstreamEndpoints(document: PolicyDocument, site: string): string[] {
  const all = document.apps.filter((app) => app.site === site).flatMap((app) => app.upstreams.map((one) => one.replace(/^[a-z]+:\/\//, "")));
  return [...new Set(all)];
}
