/*
 * Asks the browser for a passkey: a new one on the page that lists them, or the use of one where an
 * app asks for a second factor. Without script the pages say so, and offer the identity provider.
 */
"use strict";
(() => {
  const ROUTE = "/.postern/passkeys";
  /** As long as the challenge is good. */
  const TIMEOUT_MS = 300_000;
  const WORDS = {
    NotAllowedError: "No passkey was used. Try again, or choose another way.",
    InvalidStateError: "This passkey is among yours already.",
    old: "This browser is too old for passkeys.",
    failed: "That did not work. Reload the page and try again.",
  };
  /** Words for the person, where the cause has none. */
  class Said extends Error {}
  const root = document.querySelector("[data-passkey]");
  const [form, button, said] = ["form", "button", "[role=alert]"].map((part) => root?.querySelector(part));
  if (!form || !button || !said) return;

  async function send(body) {
    const answer = await fetch(ROUTE, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const value = await answer.json();
    if (!answer.ok) throw new Said(value.error.message + " " + value.error.fix.join(" "));
    return value;
  }

  async function ceremony() {
    const { passkey: act, helps, next } = root.dataset;
    if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON) throw new Said(WORDS.old);
    const { challenge, rpId, keys, user } = await send({ act, helps: Number(helps) });
    const known = keys.map((id) => ({ type: "public-key", id }));
    const credential = await (act === "add"
      ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON({
          challenge,
          user,
          rp: { id: rpId, name: rpId },
          // ES256, and RS256 for older machines with Windows.
          pubKeyCredParams: [-7, -257].map((alg) => ({ type: "public-key", alg })),
          attestation: "none",
          authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
          excludeCredentials: known,
          timeout: TIMEOUT_MS,
        }) })
      : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON({ challenge, rpId, allowCredentials: known, userVerification: "required", timeout: TIMEOUT_MS }) }));
    await send({ act, name: form.querySelector("input")?.value.trim() || "Passkey", answer: credential.toJSON() });
    if (next) location.replace(next);
    else location.reload();
  }

  const go = (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = "";
    ceremony().catch((problem) => {
      said.textContent = problem instanceof Said ? problem.message : (WORDS[problem.name] ?? WORDS.failed);
      button.disabled = false;
      button.focus();
    });
  };
  form.addEventListener("submit", go);
  button.hidden = false;
})();
