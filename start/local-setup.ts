/**
 * Bringing the document live, the same way as a deployment: setup with the key on the first
 * start, apply with the operator's token when the document changed since. Keeps that token in
 * the state folder (0600).
 */
import { join } from "node:path";
import { z } from "zod";
import { LOCAL_OPERATOR } from "./document.ts";
import { type EdgeApi, TokenRefusedError } from "./edge-api.ts";
import { digestOf } from "./kept-document.ts";
import { StartError } from "./start-error.ts";
import { readPrivateJson, readText, writePrivate, writePrivateJson } from "./state-files.ts";

const LOCAL_OPERATOR_EXPIRES = "90d";
/** How far a setup has come: which document is live, and whose token is kept. */
const SetUp = z.object({ applied: z.string(), token: z.enum(["first", "service"]) });

export interface SetupOptions {
  readonly api: EdgeApi;
  readonly stateDirectory: string;
  readonly setupKey: string;
  /** The document as it is to be live. */
  readonly text: string;
  /** Where that text is, for what is said about it. */
  readonly documentFile: string;
  readonly namesLocalOperator: boolean;
  /** The demo's people can sign in. */
  readonly isDemo: boolean;
}

export interface Operator {
  readonly tokenFile: string;
  /** Absent when it was removed, or is no longer taken. */
  readonly token: string | undefined;
  /** What a person should know. */
  readonly notices: readonly string[];
}

const hint = (cause: unknown, more: string): unknown => (cause instanceof StartError ? new StartError(cause.message, `${cause.fix}; ${more}`) : cause);

/** Makes the text live unless it is; says what it did. */
async function applied(api: EdgeApi, token: string, text: string, file: string): Promise<readonly string[]> {
  const live = await api.live(token, text);
  if (live?.isSame === true) return [];
  return [`${file} was changed: applied as version ${await api.apply(token, text)}`];
}

/**
 * Makes the document live if it is not yet; resolves with the operator's token and its file. After
 * the setup, a missing token is no failure: an edge goes on without anybody who administers it.
 */
export async function bringLive(options: SetupOptions): Promise<Operator> {
  const { api, stateDirectory, text } = options;
  const tokenFile = join(stateDirectory, "operator-token");
  const progressFile = join(stateDirectory, "setup.json");
  const digest = digestOf(text);
  const afresh = `or remove ${stateDirectory} to start afresh`;
  const before = SetUp.safeParse(await readPrivateJson(progressFile));
  let token = await readText(tokenFile);
  let holder: "first" | "service" = before.success ? before.data.token : "first";

  let notices: readonly string[] = [];
  const isChanged = before.success && before.data.applied !== digest;
  const without = (why: string): Operator => {
    const signIn = `${why}: sign in as ${options.isDemo ? "carol" : "an operator"} with \`npx postern login --edge ${api.launcher} --token-file ${options.isDemo ? "carol" : "operator"}.token\``;
    const lines = isChanged ? [`${options.documentFile} was changed and is not live yet: apply it once you are signed in`] : [];
    return { tokenFile, token: undefined, notices: [signIn, ...lines] };
  };

  if (token === undefined && before.success) return without("no operator token");
  if (token === undefined || !before.success) {
    token = await api.setup(options.setupKey, text).catch((cause: unknown) => {
      throw hint(cause, afresh);
    });
    await writePrivate(tokenFile, `${token}\n`);
  } else if (isChanged) {
    const done = await applied(api, token, text, options.documentFile).catch((cause: unknown) => {
      if (cause instanceof TokenRefusedError) return undefined;
      throw hint(cause, `or sign in as an operator and apply it yourself; ${afresh}`);
    });
    if (done === undefined) return without("the operator token is no longer taken");
    notices = done;
  } else {
    const live = await api.live(token, text);
    if (live?.isSame === false) notices = [`version ${live.version}, which is live, is another document than ${options.documentFile}; to go back to the file: npx postern apply ${options.documentFile}`];
  }
  // Written after each step, so that a start that was cut short goes on where it stopped.
  await writePrivateJson(progressFile, { applied: digest, token: holder });

  if (holder === "first" && options.namesLocalOperator) {
    token = await api.createService(token, LOCAL_OPERATOR, LOCAL_OPERATOR_EXPIRES);
    holder = "service";
    await writePrivate(tokenFile, `${token}\n`);
    await writePrivateJson(progressFile, { applied: digest, token: holder });
  }
  return { tokenFile, token, notices };
}
