/**
 * Bringing the document live, the same way as a deployment: setup with the key on the first
 * start, apply with the operator's token when the document changed since. Keeps that token in
 * the state folder (0600).
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { LOCAL_OPERATOR } from "./document.ts";
import type { EdgeApi } from "./edge-api.ts";
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
  readonly namesLocalOperator: boolean;
}

export interface Operator {
  readonly tokenFile: string;
  readonly token: string;
}

const hint = (cause: unknown, more: string): unknown => (cause instanceof StartError ? new StartError(cause.message, `${cause.fix}; ${more}`) : cause);

/** Makes the document live if it is not yet; resolves with the operator's token and its file. */
export async function bringLive(options: SetupOptions): Promise<Operator> {
  const { api, stateDirectory, text } = options;
  const tokenFile = join(stateDirectory, "operator-token");
  const progressFile = join(stateDirectory, "setup.json");
  const digest = createHash("sha256").update(text).digest("hex");
  const afresh = `or remove ${stateDirectory} to start afresh`;
  const before = SetUp.safeParse(await readPrivateJson(progressFile));
  let token = await readText(tokenFile);
  let holder: "first" | "service" = before.success ? before.data.token : "first";

  if (token === undefined || !before.success) {
    token = await api.setup(options.setupKey, text).catch((cause: unknown) => {
      throw hint(cause, afresh);
    });
    await writePrivate(tokenFile, `${token}\n`);
  } else if (before.data.applied !== digest) {
    await api.apply(token, text).catch((cause: unknown) => {
      throw hint(cause, `or sign in as an operator and apply it yourself; ${afresh}`);
    });
  }
  // Written after each step, so that a start that was cut short goes on where it stopped.
  await writePrivateJson(progressFile, { applied: digest, token: holder });

  if (holder === "first" && options.namesLocalOperator) {
    token = await api.createService(token, LOCAL_OPERATOR, LOCAL_OPERATOR_EXPIRES);
    holder = "service";
    await writePrivate(tokenFile, `${token}\n`);
    await writePrivateJson(progressFile, { applied: digest, token: holder });
  }
  return { tokenFile, token };
}
