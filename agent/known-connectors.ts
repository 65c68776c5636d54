/**
 * The connector keys that this machine trusts, per edge and site, as lines of a file for people
 * too: what the first use showed, what was endorsed since, and the team's offline keys. The edge
 * has no say in it, or it could put itself in the middle.
 */
import { parseSiteId } from "../core/ids.ts";
import type { SiteId } from "../core/ids.ts";
import { ed25519Jwk, verifyEndorsement } from "../identity/endorsement.ts";
import type { PublicJwk } from "../identity/keys.ts";
import { MAX_ENDORSEMENTS_COUNT } from "../protocol/limits.ts";
import { AgentFailure } from "./agent-failure.ts";
import type { StateFolder } from "./state-folder.ts";

const FILE = "known_connectors";
const HEAD = "# Postern: whose keys this machine trusts. EDGE SITE KIND KEY SINCE HOW; remove a line to forget it.\n";
const KEY = /^[A-Za-z0-9_-]{43}$/;

interface Pin {
  readonly edge: string;
  readonly site: SiteId;
  /** `connector`: may answer; also vouches. `trust`: the team's offline key, only vouches. */
  readonly kind: "connector" | "trust";
  readonly key: string;
}

/** How a key came to be trusted; `fingerprint` is what people compare. */
export interface Trusted {
  readonly how: "known" | "first_use" | "endorsed";
  readonly fingerprint: string;
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
   * Whether the holder of `key` may answer for a site: it is known, or one that is known or given
   * endorses it, or nothing is known of the site yet. Throws AgentFailure otherwise.
   */
  async check(site: SiteId, key: string, endorsements: readonly string[]): Promise<Trusted> {
    const shown = await fingerprint(key);
    const before = this.#pins(site);
    if (this.#isPinned(before, key) && this.#notKept(before).length === 0) return { how: "known", fingerprint: shown };
    // Under the lock, so that of two first uses at once the second already knows the first.
    return this.#folder.alone(async () => {
      for (const one of this.#notKept(this.#pins(site))) this.#add({ edge: this.#edge, site, kind: "trust", key: one }, "given");
      const pins = this.#pins(site);
      if (this.#isPinned(pins, key)) return { how: "known", fingerprint: shown };
      const how = pins.length === 0 ? "first_use" : (await this.#isEndorsed(pins, site, key, endorsements)) ? "endorsed" : undefined;
      if (how === undefined) throw await this.#refused(site, shown, pins);
      this.#add({ edge: this.#edge, site, kind: "connector", key }, how === "first_use" ? "first-use" : how);
      return { how, fingerprint: shown };
    });
  }

  #notKept(pins: readonly Pin[]): string[] {
    return this.#given.filter((key) => !pins.some((pin) => pin.kind === "trust" && pin.key === key));
  }

  #isPinned(pins: readonly Pin[], key: string): boolean {
    return pins.some((pin) => pin.kind === "connector" && pin.key === key);
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

  /** A line that cannot be read is refused, not skipped: a damaged pin must not become a first use. */
  #pins(site: SiteId): Pin[] {
    const pins: Pin[] = [];
    for (const line of (this.#folder.read(FILE) ?? "").split("\n")) {
      if (line.trim() === "" || line.startsWith("#")) continue;
      const [edge = "", of = "", kind, key = ""] = line.trim().split(/\s+/);
      const parsed = parseSiteId(of);
      if (parsed === undefined || (kind !== "connector" && kind !== "trust") || !KEY.test(key)) {
        throw new AgentFailure("known_connectors_damaged", `${this.file} has a line that cannot be read`, "each line is EDGE SITE KIND KEY SINCE HOW", ["correct or remove the line"]);
      }
      if (edge === this.#edge && parsed === site) pins.push({ edge, site, kind, key });
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
