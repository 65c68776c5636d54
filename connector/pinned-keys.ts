/**
 * The edge's key set as this connector believes it: pinned at enrolment, replaced only by a newer
 * set that the pinned one vouches for, and handed to the state before it is used.
 */
import { acceptKeySet, readFirstKeySet } from "../identity/signed-document.ts";
import type { SignedKeySet } from "../identity/signed-document.ts";
import { Failure } from "./failure.ts";

export class PinnedKeys {
  #set: SignedKeySet;
  readonly #store: (jws: string) => void;

  constructor(set: SignedKeySet, store: (jws: string) => void) {
    this.#set = set;
    this.#store = store;
  }

  get current(): SignedKeySet {
    return this.#set;
  }

  /** Takes a newer set if the pinned one vouches for it; the problem's name otherwise. */
  async accept(jws: string): Promise<string | undefined> {
    const accepted = await acceptKeySet(this.#set, jws);
    if (!accepted.ok) return accepted.error;
    if (accepted.value.version > this.#set.version) this.#store(jws);
    this.#set = accepted.value;
    return undefined;
  }
}

/** Reads the set that enrolment brought or the state holds. Throws Failure if it does not stand by itself. */
export async function pinKeySet(jws: string): Promise<SignedKeySet> {
  const set = await readFirstKeySet(jws);
  if (set.ok) return set.value;
  throw new Failure("key_set", `the edge's key set cannot be used (${set.error})`, "it must be signed by a key that it contains", "enrol anew: postern-connector enroll … --replace");
}
