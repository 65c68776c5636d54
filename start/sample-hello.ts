/**
 * Sample app: a page that shows the identity it was given, with the assertion verified as a real
 * app should (signature, issuer, audience, expiry). Trusts no header that it has not verified.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet, type JWTPayload } from "jose";
import { z } from "zod";
import { escapeHtml, page } from "./demo-pages.ts";
import { loopbackFetch } from "./loopback-http.ts";

const KeySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });
/** How long fetched keys are used; the edge announces the next key longer than this before using it. */
const KEYS_MAX_AGE_MS = 30_000;

type Verified = { readonly ok: true; readonly claims: JWTPayload } | { readonly ok: false; readonly reason: string };

/** Builds the listener; `launcher` is the origin that signs assertions. */
export function helloApp(launcher: string): (request: IncomingMessage, response: ServerResponse) => void {
  let keys: { readonly set: JSONWebKeySet; readonly until: number } | undefined;

  const keySet = async (): Promise<JSONWebKeySet> => {
    if (keys !== undefined && keys.until > performance.now()) return keys.set;
    const answer = await loopbackFetch(`${launcher}/.postern/jwks.json`);
    const set = KeySet.parse(JSON.parse(answer.text));
    keys = { set, until: performance.now() + KEYS_MAX_AGE_MS };
    return set;
  };

  const verify = async (assertion: string, app: string): Promise<Verified> => {
    try {
      const { payload } = await jwtVerify(assertion, createLocalJWKSet(await keySet()), { issuer: launcher, audience: app, requiredClaims: ["exp", "sub"] });
      return { ok: true, claims: payload };
    } catch (cause) {
      return { ok: false, reason: cause instanceof Error && "code" in cause ? String(cause.code) : "keys unavailable" };
    }
  };

  const show = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const header = (name: string): string => {
      const value = request.headers[name];
      return typeof value === "string" ? value : "";
    };
    const app = (request.headers.host ?? "app").split(".")[0] ?? "app";
    const assertion = header("x-postern-assertion");
    const verified: Verified = assertion === "" ? { ok: false, reason: "none was sent" } : await verify(assertion, app);
    const identity = {
      app,
      user: header("x-postern-user"),
      assertion: verified.ok ? { verified: true, claims: verified.claims } : { verified: false, reason: verified.reason },
      method: request.method ?? "GET",
      path: request.url ?? "/",
      forwarded: { for: header("x-forwarded-for"), host: header("x-forwarded-host"), proto: header("x-forwarded-proto") },
    };
    const wantsPage = header("accept").includes("text/html");
    response.writeHead(200, { "content-type": wantsPage ? "text/html; charset=utf-8" : "application/json", "cache-control": "no-store" });
    response.end(request.method === "HEAD" ? undefined : wantsPage ? identityPage(identity) : `${JSON.stringify(identity)}\n`);
  };

  return (request, response) => {
    request.resume();
    show(request, response).catch(() => response.destroy());
  };
}

interface Identity {
  readonly app: string;
  readonly user: string;
  readonly assertion: { readonly verified: boolean; readonly claims?: JWTPayload; readonly reason?: string };
  readonly path: string;
}

function identityPage(identity: Identity): string {
  const claims = Object.entries(identity.assertion.claims ?? {}).map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(typeof value === "string" ? value : JSON.stringify(value))}</td></tr>`,
  );
  const title = identity.user === "" ? "Hello, somebody" : `Hello, ${identity.user}`;
  return page(
    `${identity.app}: ${title}`,
    `<h1>${escapeHtml(title)}</h1>
<p>You are in the private app <strong>${escapeHtml(identity.app)}</strong> at <code>${escapeHtml(identity.path)}</code>. It listens on loopback and nobody can reach it but through Postern.</p>
<h2>The assertion it was given</h2>
<p>${identity.assertion.verified ? "Verified against the launcher's keys." : `Not verified: ${escapeHtml(identity.assertion.reason ?? "")}.`}</p>
<table>${claims.join("")}</table>
<p><a href="/.postern/me">/.postern/me</a> · <a href="/.postern/logout">sign out</a></p>`,
  );
}
