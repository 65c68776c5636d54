/** `postern break-glass seal|open|status|cancel|close`: the account for when nobody can sign in (docs/break-glass.md). Codes come and go by files or the terminal, never by argv. */
import type { Command } from "commander";
import { BREAK_GLASS_SERVICE } from "../../core/ids.ts";
import { parseDuration } from "../../core/time.ts";
import { breakGlass, opened, receipt, sealed } from "../../protocol/admin-api-shapes.ts";
import type { RevokeQuestion, SealQuestion } from "../../protocol/admin-api.ts";
import { ADMIN_API, BREAK_GLASS_PATH } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { breakGlassText } from "../break-glass-text.ts";
import { edgeClient, sentJson } from "../edge-client.ts";
import { usageFailure } from "../failure.ts";
import { edgeRoute, operatorClient, show } from "../invocation.ts";
import { readSecret, reserveSecretFile } from "../private-file.ts";
import { receiptExit, receiptText } from "../receipt-text.ts";

const API = `${ADMIN_API}/break-glass`;
const collect = (file: string, before: readonly string[]): readonly string[] => [...before, file];

export function addBreakGlass(program: Command, runner: Runner): void {
  const group = program.command("break-glass").description("a sealed account for when nobody can sign in").helpOption("-h, --help", "show this help");
  addSeal(group, runner);
  addOpen(group, runner);
  does(declare(group, "status", "whether there is a seal, a clock runs, or the account is open"), runner, async (_args, _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).get(API, breakGlass);
    show(invocation, json, () => `${breakGlassText(value)}\n`);
    return 0;
  });
  does(declare(group, "cancel", "void the seal and stop its clock; what is open stays open until close"), runner, async (_args, _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).post(`${API}/cancel`, sentJson({}), breakGlass);
    show(invocation, json, () => `the seal is void\n${breakGlassText(value)}\n`);
    return 0;
  });
  does(declare(group, "close", "end what was opened, with every live stream; answers with the receipt"), runner, async (_args, _options, invocation) => {
    const question = { kind: "service", id: BREAK_GLASS_SERVICE } satisfies RevokeQuestion;
    const { value, json } = await (await operatorClient(invocation)).post(`${ADMIN_API}/revoke`, sentJson(question), receipt);
    show(invocation, json, () => receiptText(value));
    return receiptExit(value);
  });
}

interface SealOptions {
  readonly people?: string;
  readonly delay?: string;
  readonly out: readonly string[];
}

function addSeal(group: Command, runner: Runner): void {
  const command = declare(group, "seal", "make the codes that open the account, shown once; a seal before this one is void")
    .option("--people <count>", "2: two codes for two people, both needed together")
    .option("--delay <duration>", "one code, which starts a clock such as 4h (at most 7d) and opens when it ran out")
    .option("--out <file>", "write a code into this new file (0600) and do not print it; once for each code", collect, []);
  does<SealOptions>(command, runner, async (_args, { people, delay, out }, invocation) => {
    if ((people === undefined) === (delay === undefined)) throw usageFailure("say --people 2 or --delay DURATION", "a seal needs two people or a clock", "postern break-glass seal --people 2");
    if (people !== undefined && people !== "2") throw usageFailure("--people is 2", "two codes for two people", "--people 2");
    if (delay !== undefined && parseDuration(delay) === undefined) throw usageFailure("--delay is no duration", "one whole number and one unit", "--delay 4h");
    const count = people === undefined ? 1 : 2;
    if (out.length !== 0 && out.length !== count) throw usageFailure(`--out is needed ${count === 1 ? "once" : "twice"}`, "each code has a file of its own, for a person of its own");
    const question: SealQuestion = delay === undefined ? { people: 2 } : { delay };
    const client = await operatorClient(invocation);
    const kept: ReturnType<typeof reserveSecretFile>[] = [];
    const discard = (error: unknown): never => {
      for (const one of kept) one.discard();
      throw error;
    };
    try {
      for (const file of out) kept.push(reserveSecretFile(file, "code"));
    } catch (error) {
      discard(error);
    }
    const answer = await client.post(API, sentJson(question), sealed).catch(discard);
    const { codes, ...open } = answer.value;
    for (const [i, one] of kept.entries()) one.write(codes[i] ?? "");
    if (open.opens.length === 0) invocation.io.err(`warning: the live policy lets ${BREAK_GLASS_SERVICE} open nothing\nfix: add a policy with when: { service: [${BREAK_GLASS_SERVICE}] }, then postern apply\n`);
    show(invocation, out.length === 0 ? answer.json : { ...open, code_files: out }, () =>
      [
        breakGlassText(answer.value),
        `  it would open: ${open.opens.join(", ") || "nothing"}`,
        ...codes.map((code, i) => (out[i] === undefined ? `code ${i + 1} of ${codes.length}, shown once: ${code}` : `code ${i + 1} of ${codes.length}: in ${out[i]}`)),
        count === 2 ? "  give each to another person, on paper, sealed" : "  keep it on paper, sealed; whoever has it opens the account once the clock ran out",
        "",
      ].join("\n"),
    );
    return 0;
  });
}

interface OpenOptions {
  readonly codeFile: readonly string[];
  readonly out?: string;
}

function addOpen(group: Command, runner: Runner): void {
  const command = declare(group, "open", "break the seal: a token for at most an hour, once; needs no sign-in and no identity provider")
    .requiredOption("--code-file <file>", 'file with a code; "-" reads standard input; once for each code', collect, [])
    .option("--out <file>", "write the token into this new file (0600) and do not print it");
  does<OpenOptions>(command, runner, async (_args, { codeFile, out }, invocation) => {
    const { io, secrets } = invocation;
    if (codeFile.length === 0 || codeFile.length > 2) throw usageFailure("--code-file is needed once or twice", "once for each code of the seal", "--code-file A --code-file B");
    const route = edgeRoute(invocation);
    const codes: string[] = [];
    for (const file of codeFile) codes.push(await readSecret(file, "code", io, secrets));
    const kept = out === undefined ? undefined : reserveSecretFile(out, "token");
    const answer = await edgeClient(route, undefined).post(BREAK_GLASS_PATH, sentJson({ codes }), opened).catch((error: unknown) => {
      kept?.discard();
      throw error;
    });
    const { token, expires_at: ends, opens_at: opensAt } = answer.value;
    if (token === null) {
      kept?.discard();
      show(invocation, answer.json, () => `a clock runs: ask again with the same code at ${opensAt ?? "its end"}. Every operator sees it and can cancel it.\n`);
      return 1;
    }
    kept?.write(token);
    show(invocation, out === undefined ? answer.json : { expires_at: ends, token_file: out }, () =>
      [
        `the seal is broken; the account is open until ${ends ?? ""}`,
        out === undefined ? `token, shown once: ${token}` : `token: in ${out}`,
        "  send it as Authorization: Bearer, or give it to commands with --token-file; all that it does is on record",
        "  when done: postern break-glass close, then make a new seal",
        "",
      ].join("\n"),
    );
    return 0;
  });
}
