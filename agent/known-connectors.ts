/**
 * The connector keys that this machine trusts, per edge and site, and which site each app is on,
 * as lines of a file for people too: what the first use showed, what was endorsed since, and the
 * team's offline keys. The edge has no say in it, or it could put itself in the middle.
 */
import { parseAppId, parseSiteId } from "../core/ids.ts";
import type { AppId, SiteId } from "../core/ids.ts";
import { ed25519Jwk, verifyEndorsement } from "../identity/endorsement.ts";
import type { PublicJwk } from "../identity/keys.ts";
import { MAX_ENDORSEMENTS_COUNT } from "../protocol/limits.ts";
import { AgentFailure } from "./agent-failure.ts";
import type { StateFolder } from "./state-folder.ts";

const FILE = "known_connectors";
const HEAD = "# Postern: whose keys this machine trusts. EDGE SITE KIND KEY-OR-APP SINCE HOW; remove a line to forget it.\n";
const KEY = /^[A-Za-z0-9_-]{43}$/;

interface Pin {
  readonly edge: string;
  readonly site: SiteId;
  /** `connector`: may answer; also vouches. `trust`: the team's offline key, only vouches. */
  readonly kind: "connector" | "trust" | "app";
  /** The public key; the app's id of an `app`, which is on this site and on no other. */
  readonly key: string;
}

/** How a key came to be trusted; `fingerprint` is what people compare. */
export interface Trusted {
  readonly how: "known" | "first_use" | "endorsed";
  readonly fingerprint: string;
  /** Sites of this edge that were known before a first use: it says more than a first use of the edge. */
  readonly besides: readonly SiteId[];
}

/** "SHA256:…", the RFC 7638 thumbprint of the key, as `postern connectors` and `postern-connector status` show it. */
export async function fingerprint(key: string): Promise<string> {
  return `SHA256:${(await ed25519Jwk(key))?.kid ?? "no key"}`;
}

export class KnownConnectors {
  readonly #folder: StateFolder;
  readonly #edge: string;
  readonly #now: () => number;
  readonly #given: readonly string[];

  /** `given`: the team's offline keys, 32 bytes in base64url, as a person named them; kept for each site that is used. */
  constructor(folder: StateFolder, edge: string, now: () => number, given: readonly string[] = []) {
    this.#folder = folder;
    this.#edge = edge;
    this.#now = now;
    this.#given = given;
  }

  get file(): string {
    return this.#folder.file(FILE);
  }

  /**
   * Whether the holder of `key` may answer for an app, of which the edge says that it is on `site`:
   * the app was on no other site, and the key is known there, or one that is known or given
   * endorses it, or nothing is known of the site yet. Throws AgentFailure otherwise.
   */
  async check(app: AppId, site: SiteId, key: string, endorsements: readonly string[]): Promise<Trusted> {
    const shown = await fingerprint(key);
    const known: Trusted = { how: "known", fingerprint: shown, besides: [] };
    const before = this.#pins();
    this.#refuseMoved(before, app, site);
    if (isPinned(before, site, "app", app) && isPinned(before, site, "connector", key) && this.#notKept(before, site).length === 0) return known;
    // Under the lock, so that of two first uses at once the second already knows the first.
    return this.#folder.alone(async () => {
      this.#refuseMoved(this.#pins(), app, site);
      for (const one of this.#notKept(this.#pins(), site)) this.#add({ edge: this.#edge, site, kind: "trust", key: one }, "given");
      const pins = this.#pins();
      const keys = pins.filter((pin) => pin.site === site && pin.kind !== "app");
      const trusted: Trusted = isPinned(pins, site, "connector", key)
        ? known
        : keys.length === 0
          ? { how: "first_use", fingerprint: shown, besides: [...new Set(pins.map((pin) => pin.site))] }
          : { how: "endorsed", fingerprint: shown, besides: [] };
      // The name of a site is the edge's word: where keys are vouched for, another name is no way around that.
      if (trusted.how === "first_use" && pins.some((pin) => pin.kind === "trust")) throw this.#noFirstUse(app, site, shown);
      if (trusted.how === "endorsed" && !(await this.#isEndorsed(keys, site, key, endorsements))) throw await this.#refused(site, shown, keys);
      if (trusted.how !== "known") this.#add({ edge: this.#edge, site, kind: "connector", key }, trusted.how === "first_use" ? "first-use" : "endorsed");
      if (!isPinned(pins, site, "app", app)) this.#add({ edge: this.#edge, site, kind: "app", key: app }, "first-use");
      return trusted;
    });
  }

  /** An app stays where it was first: else the edge would only have to name a site that this machine has not seen. */
  #refuseMoved(pins: readonly Pin[], app: AppId, site: SiteId): void {
    const other = pins.find((pin) => pin.kind === "app" && pin.key === app && pin.site !== site);
    if (other === undefined) return;
    throw new AgentFailure(
      "app_moved",
      `the edge says that app ${app} is on site ${site}; this machine knows it on site ${other.site}`,
      "the app was moved, or the edge leads to a connector of its own. Nothing was sent",
      ["ask whoever administers the edge", `the app was moved: remove its line from ${this.file}`],
    );
  }

  #noFirstUse(app: AppId, site: SiteId, shown: string): AgentFailure {
    return new AgentFailure(
      "connector_key_unknown",
      `nothing is known of site ${site}, on which the edge says that app ${app} is; its connector shows ${shown}`,
      "this edge's connectors are trusted by the team's offline key, and none was given for this site. Nothing was sent",
      ["give the offline key for this site too: --trust-key KEY"],
    );
  }

  #notKept(pins: readonly Pin[], site: SiteId): string[] {
    return this.#given.filter((key) => !isPinned(pins, site, "trust", key));
  }

  /** Follows endorsements from key to key, as far as they lead from one that is trusted. */
  async #isEndorsed(pins: readonly Pin[], site: SiteId, key: string, endorsements: readonly string[]): Promise<boolean> {
    const signers = (await Promise.all(pins.map((pin) => ed25519Jwk(pin.key)))).filter((jwk): jwk is PublicJwk => jwk !== undefined);
    const left = new Set(endorsements.slice(0, MAX_ENDORSEMENTS_COUNT));
    for (let grown = true; grown; ) {
      grown = false;
      for (const jws of left) {
        const endorsed = await verifyEndorsement(jws, signers, this.#edge, site);
        if (endorsed === undefined) continue;
        if (endorsed === key) return true;
        left.delete(jws);
        const jwk = await ed25519Jwk(endorsed);
        if (jwk !== undefined) signers.push(jwk);
        grown = true;
      }
    }
    return false;
  }

  /** What is known of this edge. A line that cannot be read is refused, not skipped: a damaged pin must not become a first use. */
  #pins(): Pin[] {
    const pins: Pin[] = [];
    for (const line of (this.#folder.read(FILE) ?? "").split("\n")) {
      if (line.trim() === "" || line.startsWith("#")) continue;
      const [edge = "", of = "", kind, key = ""] = line.trim().split(/\s+/);
      const parsed = parseSiteId(of);
      if (parsed === undefined || (kind !== "connector" && kind !== "trust" && kind !== "app") || (kind === "app" ? parseAppId(key) === undefined : !KEY.test(key))) {
        throw new AgentFailure("known_connectors_damaged", `${this.file} has a line that cannot be read`, "each line is EDGE SITE KIND KEY-OR-APP SINCE HOW", ["correct or remove the line"]);
      }
      if (edge === this.#edge) pins.push({ edge, site: parsed, kind, key });
    }
    return pins;
  }

  #add({ edge, site, kind, key }: Pin, how: string): void {
    const before = this.#folder.read(FILE) ?? HEAD;
    const since = new Date(this.#now()).toISOString();
    this.#folder.write(FILE, `${before}${before.endsWith("\n") ? "" : "\n"}${edge} ${site} ${kind} ${key} ${since} ${how}\n`);
  }

  async #refused(site: SiteId, shown: string, pins: readonly Pin[]): Promise<AgentFailure> {
    const known = await Promise.all(pins.map((pin) => fingerprint(pin.key)));
    return new AgentFailure(
      "connector_key_unknown",
      `the connector of site ${site} shows a key that this machine does not trust`,
      `it shows ${shown}; trusted are ${known.join(", ")}. A connector that is new and not endorsed, or an edge that puts itself in between. Nothing was sent`,
      ["compare with `postern-connector status` on the connector's machine", "a new connector: have a known one endorse it (docs/connector.md, Endorsing)", `the site was set up anew: remove its lines from ${this.file}`],
    );
  }
}

function isPinned(pins: readonly Pin[], site: SiteId, kind: Pin["kind"], key: string): boolean {
  return pins.some((pin) => pin.site === site && pin.kind === kind && pin.key === key);
}
