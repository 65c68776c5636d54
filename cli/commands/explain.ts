/**
 * `postern explain`: why a decision fell. With an id, the recorded one, made again by the edge;
 * with --facts, one that never was, decided here with a local document or the live one.
 */
import type { Command } from "commander";
import { ADMIN_APP, type AppId, parseAppId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { explain } from "../../policy/explain.ts";
import type { Ask } from "../../policy/facts.ts";
import { formatPath } from "../../policy/problems.ts";
import { factsOf } from "../../policy/tests-facts.ts";
import { readYaml } from "../../policy/yaml-text.ts";
import { explainedRequest, policyText } from "../../protocol/admin-api-shapes.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { liveDocument, type LocalDocument, localDocument, parseInstant, readText } from "../document-file.ts";
import { explanationText } from "../explanation-text.ts";
import { Failure, usageFailure } from "../failure.ts";
import { type Invocation, operatorClient, show } from "../invocation.ts";
import { printable } from "../printable.ts";

interface Options {
  readonly facts?: string;
  readonly at?: string;
  readonly app?: string;
  readonly method?: string;
  readonly path?: string;
  readonly policy?: string;
}

const HYPOTHETICAL = ["facts", "at", "app", "method", "path", "policy"] as const;

export function addExplain(program: Command, runner: Runner): void {
  const command = declare(program, "explain [id]", "show why a recorded decision fell, or what would be decided with --facts")
    .option("--facts <file>", "facts in the form of a document's tests, e.g. {user: alice, groups: [staff]}")
    .option("--at <time>", "the instant of the decision; default now")
    .option("--app <app>", "the app that is asked for")
    .option("--method <method>", "default GET")
    .option("--path <path>", "default /")
    .option("--policy <file>", "decide by this document instead of the live one; needs no edge");
  does<Options>(command, runner, async ([id], options, invocation) => {
    if (id === undefined) return explainFacts(options, invocation);
    const odd = HYPOTHETICAL.find((one) => options[one] !== undefined);
    if (odd !== undefined) throw usageFailure(`--${odd} means nothing with an id`, "a recorded decision is explained with its own facts");
    const { value, json } = await (await operatorClient(invocation)).get(`${ADMIN_API}/explain/${encodeURIComponent(id)}`, explainedRequest);
    const { ask, subject } = value;
    show(invocation, json, () =>
      `${printable(value.at)}: ${subject.kind} ${printable(subject.id)} asked ${printable(ask.app)} for ${printable(`${ask.method} ${ask.path}`)}; recorded ${printable(value.recorded_effect)}\n${explanationText(value)}`,
    );
    return 0;
  });
}

async function explainFacts(options: Options, invocation: Invocation): Promise<number> {
  const { facts: factsFile, app: appText } = options;
  if (factsFile === undefined || appText === undefined) {
    throw usageFailure("there is nothing to explain", "give the id of a request, or --facts FILE and --app APP", "postern explain r_…", "postern explain --facts FILE --app APP");
  }
  const now = options.at === undefined ? at(invocation.io.now()) : parseInstant(options.at, "--at");
  const local = await documentOf(options.policy, invocation);
  const app = parseAppId(appText);
  if (app === undefined || (app !== ADMIN_APP && local.policy.app(app) === undefined)) {
    const known = local.document.apps.map((one) => one.id).join(", ");
    throw new Failure("unknown_app", `the document has no app ${printable(appText)}`, known === "" ? "it has no apps" : `its apps are ${known}`, ["--app APP"]);
  }
  const form = readYaml(await readText(factsFile, invocation.io));
  if (!form.ok) throw new Failure("facts_invalid", `${factsFile} cannot be read`, form.error.map((one) => `line ${one.line}: ${one.message}`).join("; "), ["YAML or JSON, such as {user: alice, groups: [staff]}"]);
  const facts = factsOf(form.value.value, local.document, now);
  if (!facts.ok) {
    throw new Failure("facts_invalid", "these are no facts", "see the lines above", ["the form is that of a document's tests (as:)"], {
      details: facts.error.map((one) => {
        const { line, column } = form.value.position(one.path, one.atKey === true);
        return printable(`${factsFile}:${line}:${column}: ${formatPath(one.path)}: ${one.message}${one.fix === undefined ? "" : ` (${one.fix})`}`);
      }),
    });
  }
  const explanation = explain(local.policy, askOf(app, local, options), facts.value, now);
  show(invocation, explanation, () => explanationText(explanation));
  return 0;
}

/** The local document, or the live one with its version. */
async function documentOf(file: string | undefined, invocation: Invocation): Promise<LocalDocument> {
  if (file !== undefined) return localDocument(await readText(file, invocation.io), file);
  const { text, version } = (await (await operatorClient(invocation)).get(`${ADMIN_API}/policy`, policyText)).value;
  return liveDocument(text, version);
}

function askOf(app: AppId, local: LocalDocument, { method, path }: Options): Ask {
  if (local.policy.app(app)?.protocol === "tcp") {
    if (method !== undefined || path !== undefined) throw usageFailure("--method and --path mean nothing here", `${app} is a TCP app`);
    return { app, protocol: "tcp", method: "", path: "" };
  }
  const wanted = path ?? "/";
  if (!wanted.startsWith("/") || wanted.includes("?")) throw usageFailure("--path is no canonical path", "it starts with / and has no query", "--path /reports/2026");
  return { app, protocol: "http", method: method ?? "GET", path: wanted };
}
