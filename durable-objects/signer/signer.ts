/**
 * Signer: holds signing keys and signs what sessions, lanes and control ask of it (M17). Its
 * private keys never leave it; it calls nobody. Keys turn every 30 days, `next`
 * announced 30 days before its first use: a connector that was away for less knows it.
 */
import { DurableObject } from "cloudflare:workers";
import { at, DAY_MS } from "../../core/time.ts";
import { admissionDigest, signAdmission } from "../../identity/admission.ts";
import { signAssertion } from "../../identity/assertion.ts";
import { signLaneWelcome } from "../../identity/connector-proof.ts";
import {
  generateSigningKey,
  type KeyRing,
  type KeyUse,
  newKeyRing,
  type PublicJwk,
  publicKeySet,
  turnKeyRing,
} from "../../identity/keys.ts";
import { signKeySet, signSiteConfig, type SignedSiteConfig } from "../../identity/signed-document.ts";
import type { ObjectEnv } from "../bindings.ts";
import { LEASE_HOLD_MS } from "../lease-terms.ts";
import type { AdmitClaims, Admitted, SignerRpc } from "./rpc.ts";
import { RING_KEYS } from "./schema.ts";

/** How long a key signs before the next one does. */
export const KEY_TURN_MS = 30 * DAY_MS;
const USES: readonly KeyUse[] = ["assertion", "admission"];

export class Signer extends DurableObject<ObjectEnv> implements SignerRpc {
  #rings: Promise<Readonly<Record<KeyUse, KeyRing>>> | undefined;

  async admit(claims: AdmitClaims): Promise<Admitted> {
    const rings = await this.#keys();
    const now = at(Date.now());
    const { sid, app, site, epoch, policyVersion, connector, issuer, user } = claims;
    const admission = await signAdmission({ sid, app, site, epoch, policyVersion, connector }, rings.admission.current, now);
    const [digest, assertion] = await Promise.all([
      admissionDigest(admission),
      claims.assert ? signAssertion({ issuer, app, sid, ...user }, rings.assertion.current, now) : "",
    ]);
    return { admission, digest, assertion, usableMs: LEASE_HOLD_MS };
  }

  async signLane(claims: Parameters<SignerRpc["signLane"]>[0]): Promise<string> {
    const rings = await this.#keys();
    return signLaneWelcome(claims, rings.admission.current, at(Date.now()));
  }

  async signSiteConfig(config: SignedSiteConfig): Promise<string> {
    const rings = await this.#keys();
    return signSiteConfig(config, rings.admission.current, at(Date.now()));
  }

  async publicKeys(): Promise<readonly PublicJwk[]> {
    const rings = await this.#keys();
    return publicKeySet(rings.assertion, rings.admission).keys;
  }

  async signKeySet(keys: readonly PublicJwk[], version: number): Promise<string> {
    const rings = await this.#keys();
    return signKeySet({ version, keys }, rings.admission.current, at(Date.now()));
  }

  override async alarm(): Promise<void> {
    const rings = await this.#keys();
    const now = at(Date.now());
    for (const use of USES) {
      const turned = turnKeyRing(rings[use], await generateSigningKey(use, now, crypto.subtle), now);
      if (turned.ok) this.ctx.storage.kv.put(RING_KEYS[use], turned.value);
    }
    this.#rings = undefined;
    await this.ctx.storage.setAlarm(Date.now() + KEY_TURN_MS);
  }

  #keys(): Promise<Readonly<Record<KeyUse, KeyRing>>> {
    this.#rings ??= this.#load().catch((cause: unknown) => {
      this.#rings = undefined;
      throw cause;
    });
    return this.#rings;
  }

  async #load(): Promise<Readonly<Record<KeyUse, KeyRing>>> {
    const [assertion, admission] = await Promise.all([this.#ring("assertion"), this.#ring("admission")]);
    return { assertion, admission };
  }

  async #ring(use: KeyUse): Promise<KeyRing> {
    const stored = this.ctx.storage.kv.get(RING_KEYS[use]) as KeyRing | undefined;
    if (stored !== undefined) return stored;
    const fresh = await newKeyRing(use, at(Date.now()), crypto.subtle);
    // Two first calls may race through the generator: the ring that was stored first counts.
    const raced = this.ctx.storage.kv.get(RING_KEYS[use]) as KeyRing | undefined;
    if (raced !== undefined) return raced;
    this.ctx.storage.kv.put(RING_KEYS[use], fresh);
    await this.ctx.storage.setAlarm(Date.now() + KEY_TURN_MS);
    return fresh;
  }
}
