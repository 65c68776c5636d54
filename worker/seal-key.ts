/** The key that seals cookies of sign-in attempts: control keeps it, an isolate asks once. */
import { CONTROL_NAME } from "../durable-objects/bindings.ts";
import { importSealKey } from "../identity/sealed-cookie.ts";
import type { Env } from "./env.ts";

const keys = new WeakMap<object, CryptoKey>();

/** The deployment's sealing key. Throws when control does not answer. */
export async function sealKey(env: Env): Promise<CryptoKey> {
  const cached = keys.get(env.CONTROL);
  if (cached !== undefined) return cached;
  const key = await importSealKey(await env.CONTROL.getByName(CONTROL_NAME).sealKey());
  keys.set(env.CONTROL, key);
  return key;
}
