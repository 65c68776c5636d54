/** `postern init`: the first postern.yaml, wrangler.toml's routes and the setup key of a new deployment. Speaks with no edge. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { toBase64Url } from "../../core/bytes.ts";
import { at } from "../../core/time.ts";
import { runTests } from "../../policy/run-tests.ts";
import { declare, does, type Runner } from "../command.ts";
import { type LocalDocument, localDocument } from "../document-file.ts";
import { Failure, usageFailure } from "../failure.ts";
import { CLIENT_SECRET_NAME, initDocument } from "../init-document.ts";
import { initPlan, type InitOptions } from "../init-plan.ts";
import { routeNeeds, withRoutes } from "../init-wrangler.ts";
import { show } from "../invocation.ts";
import { reserveSecretFile } from "../private-file.ts";
import { testsFailure } from "../tests-failure.ts";

const PACKAGE = resolve(import.meta.dirname, "../..");
/** Beside the document, in a folder that git does not take. */
const SECRETS_FOLDER = ".postern-secrets";
const SETUP_KEY_BYTES = 32;

const collect = (one: string, before: readonly string[]): readonly string[] => [...before, one];

export function addInit(program: Command, runner: Runner): void {
  const command = declare(program, "init", "write the first postern.yaml, wrangler.toml and setup key of a new deployment; speaks with no edge")
    .option("--routes <kind>", "custom-domains or wildcard")
    .option("--domain <name>", "the launcher's host; apps are <id>.<domain>")
    .option("--zone <name>", "the Cloudflare zone that holds it; default the domain's parent")
    .option("--issuer <url>", "the OpenID Connect issuer")
    .option("--client-id <id>", "the client id there")
    .option("--site <id>", "the first site; default office")
    .option("--app <id=upstream>", "an app, such as wiki=http://10.0.0.5:8080; repeatable", collect, [])
    .option("--operator-email <address>", "who may administer; repeatable", collect, [])
    .option("--operator-group <group>", "which group may administer; repeatable", collect, [])
    .option("--out <dir>", "the folder to write to", ".")
    .option("--force", "write over an existing postern.yaml")
    .option("--yes", "ask nothing");
  does<InitOptions>(command, runner, async (_args, options, invocation) => {
    const { io } = invocation;
    const plan = await initPlan(options, io);
    const folder = resolve(options.out);
    const file = join(folder, "postern.yaml");
    const wranglerFile = join(folder, "wrangler.toml");
    const keyFile = join(folder, SECRETS_FOLDER, "setup-key");
    if (existsSync(file) && options.force !== true) throw usageFailure(`${file} exists already`, "it may be the document of a living edge", "give another folder with --out, or --force");
    const place = (target: string): string => relative(folder, join(PACKAGE, target)).replaceAll("\\", "/");
    const document = initDocument(plan, place("docs/postern.schema.json"));
    const { policy, document: read } = checked(document);
    const failures = runTests(policy, at(io.now()));
    if (failures.length > 0) throw testsFailure(failures, read.tests.length, file);
    // A file that is there was made for its own folder.
    const wrangler = existsSync(wranglerFile)
      ? withRoutes(readFileSync(wranglerFile, "utf8"), plan, "")
      : withRoutes(readFileSync(join(PACKAGE, "wrangler.toml"), "utf8"), plan, place("."));

    const keyIsNew = !existsSync(keyFile);
    try {
      mkdirSync(dirname(keyFile), { recursive: true, mode: 0o700 });
      writeFileSync(join(dirname(keyFile), ".gitignore"), "*\n");
      // A key that may already be set as a secret is kept.
      if (keyIsNew) reserveSecretFile(keyFile, "setup key").write(toBase64Url(io.random(SETUP_KEY_BYTES)));
      writeFileSync(file, document);
      writeFileSync(wranglerFile, wrangler);
    } catch (error) {
      if (error instanceof Failure) throw error;
      throw new Failure("folder_unwritable", `${folder} cannot be written`, "the files of the deployment belong there", ["give another folder with --out"]);
    }
    const commands = nextCommands({ wranglerFile, keyFile, file, domain: plan.domain });
    const redirect = `https://${plan.domain}/.postern/callback`;
    const answer = { document: file, wrangler: wranglerFile, setup_key_file: keyFile, secrets: ["POSTERN_SETUP_KEY", CLIENT_SECRET_NAME], redirect_uri: redirect, needs: routeNeeds(plan), next: commands };
    show(invocation, answer, () =>
      [
        `wrote ${file} and ${wranglerFile}`,
        `${keyIsNew ? "a fresh setup key is" : "the setup key that was there is kept"} in ${keyFile}: for its owner only, and not for git`,
        "",
        ...answer.needs,
        `At the identity provider: register the redirect address ${redirect}`,
        "",
        `next, in this clone (${PACKAGE}):`,
        ...commands.map((one) => `  ${one}`),
        "",
      ].join("\n"),
    );
    return 0;
  });
}

/** The document that would be written; a value that makes it a bad one is wrong usage, and nothing is written. */
function checked(document: string): LocalDocument {
  try {
    return localDocument(document, "postern.yaml");
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure("usage", "what was told makes no good document", "see the lines above; nothing was written", ["postern init --help"], { exit: 2, details: error.details });
  }
}

function nextCommands({ wranglerFile, keyFile, file, domain }: { readonly wranglerFile: string; readonly keyFile: string; readonly file: string; readonly domain: string }): string[] {
  const quoted = (path: string): string => (/^[A-Za-z0-9._/-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`);
  const [config, key, document] = [wranglerFile, keyFile, file].map(quoted);
  return [
    "npx wrangler login",
    `npx wrangler deploy -c ${config}`,
    `npx wrangler secret put POSTERN_SETUP_KEY -c ${config} < ${key}`,
    `npx wrangler secret put ${CLIENT_SECRET_NAME} -c ${config}`,
    `npx postern check ${document}`,
    `npx postern setup ${document} --edge https://${domain} --key-file ${key} --token-file ${quoted(join(dirname(file), "setup-token"))}`,
    `export POSTERN_EDGE=https://${domain}`,
    `export POSTERN_TOKEN_FILE=${quoted(join(dirname(file), "operator-token"))}`,
    "npx postern login",
    "npx postern whoami",
  ];
}
