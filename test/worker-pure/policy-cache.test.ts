/** What an isolate goes by while control cannot be asked (M7, M8, P19). */
import { describe, expect, it } from "vitest";
import { LEASE_WAIT_MS } from "../../durable-objects/lease-terms.ts";
import type { Env } from "../../worker/env.ts";
import { currentPolicy, POLICY_CACHE_MS } from "../../worker/policy-cache.ts";
import { documentOf, textOf } from "../policy/fixtures.ts";

const document = documentOf(textOf(`[{ id: all, effect: allow, apps: "*", when: { group: [staff] } }]`));
const T0 = 1_800_000_000_000;

function deployment(): { env: Env; control: { down: boolean; version: number } } {
  const control = { down: false, version: 1 };
  const policy = async (known?: number): Promise<unknown> => {
    if (control.down) throw new Error("down");
    return known === control.version ? undefined : { version: control.version, digest: "d", document };
  };
  return { env: { CONTROL: { getByName: () => ({ policy }) } } as unknown as Env, control };
}

describe("the policy of an isolate", () => {
  it("is nothing, and an error, before control ever answered", async () => {
    const { env, control } = deployment();
    control.down = true;
    await expect(currentPolicy(env, T0)).rejects.toThrow("down");
  });

  it.each([
    [POLICY_CACHE_MS, 1],
    [LEASE_WAIT_MS - 1, 1],
    [LEASE_WAIT_MS, "down"],
  ])("%d ms after control was asked last it is %s while control is away", async (later, what) => {
    const { env, control } = deployment();
    await currentPolicy(env, T0);
    control.down = true;
    expect(await currentPolicy(env, T0 + later).then((policy) => policy?.version, (cause: Error) => cause.message)).toBe(what);
  });

  it("is the newest as soon as control answers", async () => {
    const { env, control } = deployment();
    await currentPolicy(env, T0);
    control.version = 2;
    expect((await currentPolicy(env, T0 + POLICY_CACHE_MS - 1))?.version).toBe(1);
    expect((await currentPolicy(env, T0 + POLICY_CACHE_MS))?.version).toBe(2);
  });
});
