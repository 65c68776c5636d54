/** This agent's own Ed25519 key: made at first use, never sent; streams are its by this key (M18). */
import { generateConnectorKey, parseConnectorKey } from "../identity/connector-proof.ts";
import type { ConnectorKey } from "../identity/connector-proof.ts";
import { AgentFailure } from "./agent-failure.ts";
import type { StateFolder } from "./state-folder.ts";

const FILE = "agent-key.json";

/** The key, made if there is none. Throws AgentFailure. */
export function agentKey(folder: StateFolder): Promise<ConnectorKey> {
  return folder.alone(async () => {
    const text = folder.read(FILE);
    if (text === undefined) {
      const made = await generateConnectorKey(crypto.subtle);
      folder.write(FILE, `${JSON.stringify(made.privateJwk)}\n`);
      return made;
    }
    folder.requirePrivate(FILE);
    const key = await parseConnectorKey(parsed(text));
    if (key === undefined) throw new AgentFailure("key_damaged", `${folder.file(FILE)} holds no Ed25519 key`, "it is damaged or was replaced", ["remove it: a new one is made"]);
    return key;
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
