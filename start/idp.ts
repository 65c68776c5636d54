/**
 * Process of the demo's OpenID provider: takes its settings from standard input, keeps its port
 * and keys in the state folder, reports the port. The provider itself is demo-provider.ts.
 */
import { randomBytes, webcrypto } from "node:crypto";
import { createServer } from "node:http";
import { z } from "zod";
import { demoProvider } from "./demo-provider.ts";
import { readSettings, reportPorts } from "./part-channel.ts";
import { listenOnStablePort } from "./stable-port.ts";
import { readPrivateJson, writePrivateJson } from "./state-files.ts";

const Settings = z.object({ stateFile: z.string(), clientId: z.string(), clientSecret: z.string(), launcher: z.string(), providerId: z.string() });
const Kept = z.object({ port: z.number(), jwks: z.object({ keys: z.array(z.looseObject({})) }), cookieKeys: z.array(z.string()) });

async function newKeys(): Promise<{ keys: Record<string, unknown>[] }> {
  const pair = await webcrypto.subtle.generateKey({ name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }, true, ["sign", "verify"]);
  const jwk = await webcrypto.subtle.exportKey("jwk", pair.privateKey);
  const { key_ops: _operations, ext: _extractable, ...key } = jwk;
  return { keys: [{ ...key, use: "sig", alg: "RS256", kid: randomBytes(8).toString("hex") }] };
}

const settings = Settings.parse(await readSettings());
const kept = Kept.safeParse(await readPrivateJson(settings.stateFile));
const jwks = kept.success ? kept.data.jwks : await newKeys();
const cookieKeys = kept.success ? kept.data.cookieKeys : [randomBytes(32).toString("base64url")];
const server = createServer();
const port = await listenOnStablePort(server, kept.success ? kept.data.port : undefined);
await writePrivateJson(settings.stateFile, { port, jwks, cookieKeys });
server.on("request", demoProvider({ issuer: `http://127.0.0.1:${port}`, jwks, cookieKeys, ...settings }));
reportPorts({ idp: port });
