/**
 * An authenticator in software: makes keys and uses them as WebAuthn describes, and lies wherever a
 * test tells it to. Its CBOR and its signatures are written by others' code.
 */
import { createHash, createSign, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { type CBORType, encodeCBOR } from "@levischuck/tiny-cbor";

const b64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest();

export interface Lies {
  readonly origin?: string;
  readonly rpId?: string;
  readonly type?: string;
  readonly verified?: boolean;
  readonly present?: boolean;
  readonly counter?: number;
  readonly backedUp?: boolean;
  readonly fmt?: string;
  readonly attStmt?: Map<string, CBORType>;
  readonly crossOrigin?: boolean;
  readonly extensions?: Map<string, CBORType>;
  readonly alg?: number;
}

/** As PublicKeyCredential.toJSON() writes it. */
export interface Answer {
  readonly id: string;
  readonly response: { readonly [field: string]: string | readonly string[] };
  readonly [key: string]: string | object;
}

export interface Asked {
  readonly challenge: string;
  readonly origin: string;
  readonly rpId: string;
}

const FLAGS = { up: 1, uv: 4, be: 8, bs: 16, at: 64, ed: 128 } as const;

export class SoftwareAuthenticator {
  readonly id = randomBytes(32);
  readonly #key: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly #rsa: boolean;
  counter = 0;

  constructor(kind: "ES256" | "RS256" = "ES256") {
    this.#rsa = kind === "RS256";
    this.#key = this.#rsa ? generateKeyPairSync("rsa", { modulusLength: 2048 }) : generateKeyPairSync("ec", { namedCurve: "P-256" });
  }

  #clientData(asked: Asked, type: string, lies: Lies): Buffer {
    return Buffer.from(JSON.stringify({ type: lies.type ?? type, challenge: asked.challenge, origin: lies.origin ?? asked.origin, crossOrigin: lies.crossOrigin ?? false }));
  }

  #authenticatorData(asked: Asked, lies: Lies, attested?: Uint8Array): Buffer {
    this.counter = lies.counter ?? this.counter + 1;
    const flags = (lies.present === false ? 0 : FLAGS.up) | (lies.verified === false ? 0 : FLAGS.uv) | (lies.backedUp === true ? FLAGS.be | FLAGS.bs : 0) | (attested === undefined ? 0 : FLAGS.at) | (lies.extensions === undefined ? 0 : FLAGS.ed);
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(this.counter);
    return Buffer.concat([sha256(lies.rpId ?? asked.rpId), Uint8Array.of(flags), counter, attested ?? new Uint8Array(), lies.extensions === undefined ? new Uint8Array() : encodeCBOR(lies.extensions)]);
  }

  #coseKey(alg?: number): Uint8Array {
    const jwk = this.#key.publicKey.export({ format: "jwk" });
    const bytes = (text = ""): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));
    return encodeCBOR(this.#rsa
      ? new Map<number, CBORType>([[1, 3], [3, alg ?? -257], [-1, bytes(jwk.n)], [-2, bytes(jwk.e)]])
      : new Map<number, CBORType>([[1, 2], [3, alg ?? -7], [-1, 1], [-2, bytes(jwk.x)], [-3, bytes(jwk.y)]]));
  }

  /** What navigator.credentials.create() would answer, as JSON. */
  create(asked: Asked, lies: Lies = {}): Answer {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(this.id.length);
    const authData = new Uint8Array(this.#authenticatorData(asked, lies, Buffer.concat([new Uint8Array(16), length, this.id, this.#coseKey(lies.alg)])));
    const attestationObject = encodeCBOR(new Map<string, CBORType>([["fmt", lies.fmt ?? "none"], ["attStmt", lies.attStmt ?? new Map()], ["authData", authData]]));
    return this.#answer({ clientDataJSON: b64(this.#clientData(asked, "webauthn.create", lies)), attestationObject: b64(attestationObject) });
  }

  /** A self-attestation of the format "packed", true in every way. */
  createPacked(asked: Asked): Answer {
    const plain = this.create(asked);
    const clientData = this.#clientData(asked, "webauthn.create", {});
    const length = Buffer.alloc(2);
    length.writeUInt16BE(this.id.length);
    const authData = new Uint8Array(this.#authenticatorData(asked, {}, Buffer.concat([new Uint8Array(16), length, this.id, this.#coseKey()])));
    const sig = new Uint8Array(this.#sign(Buffer.concat([authData, sha256(clientData)])));
    const attestationObject = encodeCBOR(new Map<string, CBORType>([["fmt", "packed"], ["attStmt", new Map<string, CBORType>([["alg", -7], ["sig", sig]])], ["authData", authData]]));
    return { ...plain, response: { clientDataJSON: b64(clientData), attestationObject: b64(attestationObject), transports: [] } };
  }

  /** What navigator.credentials.get() would answer, as JSON. */
  get(asked: Asked, lies: Lies = {}): Answer {
    const clientData = this.#clientData(asked, "webauthn.get", lies);
    const authenticatorData = this.#authenticatorData(asked, lies);
    const signature = this.#sign(Buffer.concat([authenticatorData, sha256(clientData)]));
    return this.#answer({ clientDataJSON: b64(clientData), authenticatorData: b64(authenticatorData), signature: b64(signature) });
  }

  #sign(data: Uint8Array): Buffer {
    return createSign("sha256").update(data).sign(this.#key.privateKey);
  }

  #answer(response: Answer["response"]): Answer {
    return { id: b64(this.id), rawId: b64(this.id), type: "public-key", clientExtensionResults: {}, response: { transports: [], ...response } };
  }
}
