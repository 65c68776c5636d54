/**
 * Control, users, sessions and lanes of a deployment, each the real shell, placed in a world whose
 * messages the seed orders. Only the record and the signer are stand-ins: they just answer.
 */
import { createHash } from "node:crypto";
import { vi } from "vitest";
import { CONTROL_NAME, laneName } from "../../../durable-objects/bindings.ts";
import { Control } from "../../../durable-objects/control/control.ts";
import { Session } from "../../../durable-objects/session/session.ts";
import { Tunnel } from "../../../durable-objects/tunnel/tunnel.ts";
import { User } from "../../../durable-objects/user/user.ts";
import { ModelConnector } from "./connector.ts";
import type { Instance, Place, World } from "./world.ts";

type Shell = new (ctx: never, env: never) => object;

const RECORD = { append: async () => ({ seq: 1 }), close: async () => undefined };
const SIGNER = {
  admit: async () => ({ admission: "a.b.c", digest: "d".repeat(43), assertion: "", usableMs: 25_000 }),
  signSiteConfig: async () => "a.b.c",
};

export class Deployment {
  readonly #world: World;
  readonly connectors = new Map<string, ModelConnector>();
  readonly #env: Record<string, object>;
  #sessions = 0;

  constructor(world: World) {
    this.#world = world;
    const namespace = (shell: Shell): object => this.#namespace((name) => world.place(`${shell.name}:${name}`, (place, instance) => new shell(this.#ctx(place, instance) as never, this.#env as never)));
    const standIn = (kind: string, object: object): object => this.#namespace((name) => world.place(`${kind}:${name}`, () => object));
    this.#env = {
      CONTROL: namespace(Control),
      USER: namespace(User),
      SESSION: namespace(Session),
      TUNNEL: namespace(Tunnel),
      AUDIT: standIn("Audit", RECORD),
      SIGNER: standIn("Signer", SIGNER),
    };
  }

  get control(): Place {
    return this.#placeOf("CONTROL", CONTROL_NAME);
  }
  user(id: string): Place {
    return this.#placeOf("USER", id);
  }
  session(sid: string): Place {
    return this.#placeOf("SESSION", sid);
  }
  lane(site: string): Place {
    return this.#placeOf("TUNNEL", laneName(site as never, 0));
  }

  /** A lane with a connector whose hello was verified long ago. */
  connect(site: string): void {
    const place = this.lane(site);
    place.storage.kv.put("lane", { site, lane: 0 });
    const attachment = { v: 1, role: "connector", link: `link-${site}`, connector: `c_${"C".repeat(22)}`, thumbprint: "thumb", mac: "m".repeat(43), idsUsed: 2, welcomedAt: this.#world.now };
    this.connectors.set(place.name, new ModelConnector(this.#world, place, attachment));
  }

  #placeOf(namespace: string, name: string): Place {
    const found = (this.#env[namespace] as { placeOf(name: string): Place }).placeOf(name);
    return found;
  }

  #namespace(placeOf: (name: string) => Place): object {
    const world = this.#world;
    const stub = (place: Place): object => new Proxy({}, { get: (_target, method) => (method === "then" ? undefined : (...args: unknown[]) => world.call(place, String(method), args)) });
    const idOf = (hex: string): object => ({ toString: () => hex });
    return {
      placeOf,
      getByName: (name: string) => stub(placeOf(name)),
      get: (id: { toString: () => string }) => stub(placeOf(id.toString())),
      idFromName: (name: string) => idOf(createHash("sha256").update(name).digest("hex")),
      idFromString: idOf,
      newUniqueId: () => idOf((++this.#sessions).toString(16).padStart(64, "0")),
    };
  }

  #ctx(place: Place, instance: Instance): object {
    const world = this.#world;
    const connector = this.connectors.get(place.name);
    const socket = connector?.socketFor(instance);
    return {
      id: { toString: () => place.name },
      storage: world.storageOf(place, instance),
      blockConcurrencyWhile: (work: () => Promise<void>) => work(),
      waitUntil: (work: Promise<unknown>) => void work.catch(() => undefined),
      setWebSocketAutoResponse: () => undefined,
      getWebSocketAutoResponseTimestamp: () => new Date(world.clock()),
      getWebSockets: (tag: string) => (tag === "connector" && socket !== undefined ? [socket] : []),
    };
  }
}

/** Puts the world's clock and timers in place of the real ones; the answer puts them back. */
export function inWorld(world: World): () => void {
  const clock = vi.spyOn(Date, "now").mockImplementation(world.clock);
  vi.stubGlobal("setTimeout", world.setTimeout);
  vi.stubGlobal("clearTimeout", world.clearTimeout);
  vi.stubGlobal("WebSocketRequestResponsePair", class {});
  return () => {
    vi.unstubAllGlobals();
    clock.mockRestore();
  };
}
