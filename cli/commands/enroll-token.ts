/** `postern enroll-token`: a one-time token for a connector, and how to use it on three kinds of machines. */
import type { Command } from "commander";
import { parseSiteId } from "../../core/ids.ts";
import { enrollToken, policyText } from "../../protocol/admin-api-shapes.ts";
import type { EnrollQuestion } from "../../protocol/admin-api.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { liveDocument } from "../document-file.ts";
import { type EdgeClient, sentJson } from "../edge-client.ts";
import { enrollLines, upstreamEndpoints } from "../enroll-lines.ts";
import { usageFailure } from "../failure.ts";
import { operatorClient, show } from "../invocation.ts";
import { reserveSecretFile } from "../private-file.ts";

export function addEnrollToken(program: Command, runner: Runner): void {
  const command = declare(program, "enroll-token <site>", "make a one-time token that enrols a connector at a site, and show how to use it")
    .option("--out <file>", "write the token into this new file (0600) and do not print it");
  does<{ readonly out?: string }>(command, runner, async ([site = ""], { out }, invocation) => {
    if (parseSiteId(site) === undefined) throw usageFailure("that is no site id", "lower-case letters, digits and inner hyphens, as in the document");
    const client = await operatorClient(invocation);
    const endpoints = invocation.json ? [] : await endpointsOf(client, site);
    const kept = out === undefined ? undefined : reserveSecretFile(out, "token");
    const answer = await client.post(`${ADMIN_API}/enroll-tokens`, sentJson({ site } satisfies EnrollQuestion), enrollToken).catch((error: unknown) => {
      kept?.discard();
      throw error;
    });
    const { token, ...open } = answer.value;
    kept?.write(token);
    show(invocation, out === undefined ? answer.json : { ...open, token_file: out }, () => {
      const lines = enrollLines({ edge: open.edge, site, token: out === undefined ? token : undefined, endpoints });
      return [
        `enrolment token of site ${site}, for one connector, until ${open.expires_at}: ${out === undefined ? token : `in ${out}`}`,
        "On the machine beside the apps, with Node 24 or Docker:",
        `Linux    ${lines.linux}`,
        `Windows  ${lines.windows}`,
        `Docker   ${lines.docker}`,
        "then the same program with run. It may dial only what --allow names; --allow-site-config instead follows the document.",
        "",
      ].join("\n");
    });
    return 0;
  });
}

/** host:port of every upstream of the site in the live document. */
async function endpointsOf(client: EdgeClient, site: string): Promise<string[]> {
  const { text, version } = (await client.get(`${ADMIN_API}/policy`, policyText)).value;
  const { document } = liveDocument(text, version);
  return upstreamEndpoints(document, site);
}
