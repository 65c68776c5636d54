/** Access for a while, for those who administer: `postern requests [deny ID]`, `postern grant`, `postern grants`. Ended by `postern revoke grant ID`. */
import { Argument, type Command } from "commander";
import { formatDuration, lasting, parseDuration } from "../../core/time.ts";
import { deniedGrant, given, grants } from "../../protocol/admin-api-shapes.ts";
import type { GrantQuestion, GrantsAnswer } from "../../protocol/admin-api.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { sentJson } from "../edge-client.ts";
import { usageFailure } from "../failure.ts";
import { type Invocation, operatorClient, show } from "../invocation.ts";
import { printable } from "../printable.ts";
import { table } from "../table.ts";

type Grant = GrantsAnswer[number];

const who = ({ email, name, user }: Grant): string => email ?? name ?? user;

/** Those of the list that `kept` keeps, as the API sent them and as a table. */
async function showSome(invocation: Invocation, kept: (one: Grant) => boolean, headings: readonly string[], row: (one: Grant) => readonly string[], empty: string): Promise<number> {
  const { value } = await (await operatorClient(invocation)).get(`${ADMIN_API}/grants`, grants);
  const some = value.filter(kept);
  show(invocation, some, () => table(headings, some.map(row), empty));
  return 0;
}

export function addRequests(program: Command, runner: Runner): void {
  const command = declare(program, "requests", "list who asks for access; with deny and an id, say no")
    .addArgument(new Argument("[act]", "what to do with one").choices(["deny"]))
    .argument("[id]", "its id");
  does(command, runner, async ([act, id], _options, invocation) => {
    if (act === undefined) {
      const row = (one: Grant): readonly string[] => [one.id, who(one), one.app, formatDuration(lasting(one.lasting_ms)), one.asked_at, one.reason];
      return showSome(invocation, (one) => one.given_at === null, ["REQUEST", "WHO", "APP", "FOR", "ASKED", "WHY"], row, "nobody asks for access");
    }
    if (id === undefined) throw usageFailure("it is not said which request", "deny takes the id of one", "postern requests deny ID");
    const { value, json } = await (await operatorClient(invocation)).post(`${ADMIN_API}/grants/${encodeURIComponent(id)}/deny`, sentJson({}), deniedGrant);
    show(invocation, json, () => `denied: ${printable(value.id)}\n`);
    return 0;
  });
}

interface GrantOptions {
  readonly user?: string;
  readonly app?: string;
  readonly for?: string;
  readonly reason?: string;
}

export function addGrant(program: Command, runner: Runner): void {
  const command = declare(program, "grant", "give a person access to an app for a while, if the policy lets them have it")
    .argument("[request]", "what they asked for, by its id")
    .option("--user <user>", "without a request: whom, by id or verified email")
    .option("--app <app>", "without a request: what")
    .option("--for <duration>", "for how long, such as 2h; of a request as long as was asked for")
    .option("--reason <text>", "without a request: why");
  does<GrantOptions>(command, runner, async ([request], { user, app, for: length, reason }, invocation) => {
    if (length !== undefined && parseDuration(length) === undefined) throw usageFailure("--for is no duration", "one whole number and one unit", "--for 2h");
    const client = await operatorClient(invocation);
    const { value, json } = await client.post(`${ADMIN_API}/grants`, sentJson(question(request, { user, app, for: length, reason })), given);
    show(invocation, json, () => `given: ${printable(value.id)}, until ${printable(value.until)}\n  ends before that with: postern revoke grant ${printable(value.id)}\n`);
    return 0;
  });
}

type Written = { readonly [name in keyof GrantOptions]: string | undefined };

function question(request: string | undefined, { user, app, for: length, reason }: Written): GrantQuestion {
  if (request !== undefined && user === undefined && app === undefined && reason === undefined) return { request, ...(length === undefined ? {} : { for: length }) };
  if (request === undefined && user !== undefined && app !== undefined && length !== undefined && reason !== undefined) return { user, app, for: length, reason };
  throw usageFailure("it is not said what to give", "either the id of a request, or whom, what, for how long and why", "postern grant REQUEST", "postern grant --user USER --app APP --for 2h --reason TEXT");
}

export function addGrants(program: Command, runner: Runner): void {
  does(declare(program, "grants", "list the grants that live: who has access to what for a while, who gave it, until when"), runner, (_args, _options, invocation) =>
    showSome(
      invocation,
      (one) => one.given_at !== null,
      ["GRANT", "WHO", "APP", "UNTIL", "GIVEN BY", "WHY"],
      (one) => [one.id, who(one), one.app, one.until, one.by ?? "", one.reason],
      "nobody was given access for a while",
    ),
  );
}
