/** `postern service create|list`: tokens of programs. Shown once; two of a service are valid at a time, so that one can be rotated in. */
import type { Command } from "commander";
import { BREAK_GLASS_SERVICE, parseServiceId } from "../../core/ids.ts";
import { parseDuration } from "../../core/time.ts";
import { services, serviceToken } from "../../protocol/admin-api-shapes.ts";
import type { ServiceQuestion, ServicesAnswer } from "../../protocol/admin-api.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { sentJson } from "../edge-client.ts";
import { usageFailure } from "../failure.ts";
import { operatorClient, show } from "../invocation.ts";
import { reserveSecretFile } from "../private-file.ts";
import { table } from "../table.ts";

interface CreateOptions {
  readonly expires: string;
  readonly out?: string;
}

export function addService(program: Command, runner: Runner): void {
  const group = program.command("service").description("make and list tokens of programs").helpOption("-h, --help", "show this help");
  const create = declare(group, "create <name>", "make a token for a service; shown once. End all of a service's with: revoke service NAME")
    .requiredOption("--expires <duration>", "how long it is valid, such as 90d; at most 730d")
    .option("--out <file>", "write the token into this new file (0600) and do not print it");
  does<CreateOptions>(create, runner, async ([name = ""], { expires, out }, invocation) => {
    if (parseServiceId(name) === undefined || name.includes(":")) throw usageFailure("that is no name for a service", "lower-case letters, digits, - and _, at most 63, first a letter or digit");
    if (name === BREAK_GLASS_SERVICE) throw usageFailure(`${name} is Postern's own`, "its token comes of a seal", "postern break-glass seal --people 2");
    if (parseDuration(expires) === undefined) throw usageFailure("--expires is no duration", "one whole number and one unit", "--expires 90d");
    const client = await operatorClient(invocation);
    const kept = out === undefined ? undefined : reserveSecretFile(out, "token");
    const answer = await client.post(`${ADMIN_API}/services`, sentJson({ name, expires } satisfies ServiceQuestion), serviceToken).catch((error: unknown) => {
      kept?.discard();
      throw error;
    });
    const { id, client_id: clientId, token, expires_at: ends } = answer.value;
    kept?.write(token);
    const open = { id, name, client_id: clientId, expires_at: ends };
    show(invocation, out === undefined ? answer.json : { ...open, token_file: out }, () =>
      [
        `service ${name}, token ${id}, valid until ${ends}`,
        out === undefined ? `token, shown once: ${token}` : `token: in ${out}`,
        "  send it as Authorization: Bearer, or as Postern-Client-Id and Postern-Client-Secret",
        `  it opens what policies with service: [${name}] allow`,
        "",
      ].join("\n"),
    );
    return 0;
  });
  does(declare(group, "list", "list service tokens"), runner, async (_args, _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).get(`${ADMIN_API}/services`, services);
    const rows = value.map((one) => [one.name, one.id, one.created_at, one.expires_at, stateOf(one, invocation.io.now())]);
    show(invocation, json, () => table(["SERVICE", "TOKEN", "CREATED", "ENDS", "STATE"], rows, "there are no service tokens"));
    return 0;
  });
}

function stateOf(one: ServicesAnswer[number], now: number): string {
  if (one.revoked_at !== null) return `revoked ${one.revoked_at}`;
  return Date.parse(one.expires_at) <= now ? "ended" : "valid";
}
