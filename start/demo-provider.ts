/**
 * The demo's OpenID provider: oidc-provider with three people, one client and a sign-in page.
 * Authorization code with PKCE, RP-initiated and back-channel logout. Never for a deployment.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { interactionPolicy, Provider, type ProviderContext } from "oidc-provider";
import { equalSecrets } from "../core/bytes.ts";
import { loginPage, page } from "./demo-pages.ts";
import { ACR_PASSWORD, ACR_SECOND_FACTOR, DEMO_PASSWORD, DEMO_USERS, type DemoUser } from "./demo-users.ts";
import { loopbackFetch } from "./loopback-http.ts";

export interface DemoProviderOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** The launcher's origin, to which people are sent back. */
  readonly launcher: string;
  /** Id of this provider in the policy document, for the back-channel logout address. */
  readonly providerId: string;
  /** Private signing keys (JWK set) and cookie keys, kept across restarts. */
  readonly jwks: { readonly keys: readonly unknown[] };
  readonly cookieKeys: readonly string[];
}

/** Largest sign-in form accepted. */
const MAX_FORM_BYTES = 8 * 1024;
const SCOPES = ["openid", "email", "profile", "groups", "offline_access"];
/** Lifetimes in seconds; long enough for a working day with the demo. */
const TTL_SECONDS = { AccessToken: 3_600, AuthorizationCode: 60, IdToken: 3_600, Interaction: 600, Session: 43_200, Grant: 43_200, RefreshToken: 43_200 };

const userNamed = (name: string): DemoUser | undefined => DEMO_USERS.find((user) => user.name === name);
const asksSecondFactor = (params: Readonly<Record<string, unknown>> | undefined): boolean =>
  typeof params?.["acr_values"] === "string" && params["acr_values"].split(" ").includes(ACR_SECOND_FACTOR);

function findAccount(_context: ProviderContext, id: string): unknown {
  const user = userNamed(id);
  if (user === undefined) return undefined;
  return {
    accountId: id,
    claims: () => ({ sub: id, email: user.email, email_verified: true, name: user.fullName, groups: user.groups }),
  };
}

/** The demo has one client, so consent is given with the sign-in. */
async function grantFor(provider: Provider, context: ProviderContext): Promise<unknown> {
  const { client, session, account, result } = context.oidc;
  if (client === undefined || session === undefined || account === undefined) return undefined;
  const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const found = known === undefined ? undefined : await provider.Grant.find(known);
  if (found !== undefined) return found;
  const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
  grant.addOIDCScope(SCOPES.join(" "));
  await grant.save();
  return grant;
}

function loginPolicy(): unknown {
  const { Check, base } = interactionPolicy;
  const policy = base();
  policy.get("login")?.checks.add(
    new Check("second_factor", "A second factor is asked for", ({ oidc }) =>
      asksSecondFactor(oidc.params) && oidc.session?.acr !== ACR_SECOND_FACTOR && oidc.result?.login === undefined
        ? Check.REQUEST_PROMPT
        : Check.NO_NEED_TO_PROMPT,
    ),
  );
  return policy;
}

async function backChannelFetch(url: string | URL, options?: { method?: string; headers?: Record<string, string>; body?: string | URLSearchParams }): Promise<Response> {
  const body = options?.body === undefined ? undefined : String(options.body);
  const headers = Object.fromEntries(new Headers(options?.headers));
  if (options?.body instanceof URLSearchParams) headers["content-type"] = "application/x-www-form-urlencoded";
  const answer = await loopbackFetch(String(url), { method: options?.method ?? "GET", headers, ...(body === undefined ? {} : { body }) });
  return new Response(answer.status === 204 || answer.status === 304 ? null : answer.text, { status: answer.status });
}

function configuration(options: DemoProviderOptions, provider: () => Provider): Record<string, unknown> {
  return {
    clients: [
      {
        client_id: options.clientId,
        client_secret: options.clientSecret,
        redirect_uris: [`${options.launcher}/.postern/callback`],
        post_logout_redirect_uris: [`${options.launcher}/.postern/signed-out`],
        backchannel_logout_uri: `${options.launcher}/.postern/backchannel/${options.providerId}`,
        backchannel_logout_session_required: true,
        response_types: ["code"],
        grant_types: ["authorization_code", "refresh_token"],
        token_endpoint_auth_method: "client_secret_basic",
      },
    ],
    jwks: options.jwks,
    cookies: { keys: options.cookieKeys },
    scopes: SCOPES,
    claims: { sid: null, iss: null, openid: ["sub", "acr", "amr", "auth_time"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
    conformIdTokenClaims: false, // the claims stand in the ID token, as in most companies' providers
    acrValues: [ACR_PASSWORD, ACR_SECOND_FACTOR],
    pkce: { required: () => true },
    ttl: TTL_SECONDS,
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (context: ProviderContext, form: string) => {
          context.body = page(
            "Sign out – demo provider",
            `<h1>Sign out of the demo provider too?</h1>${form}
<p><button autofocus type="submit" form="op.logoutForm" value="yes" name="logout">Yes, sign me out</button>
<button type="submit" form="op.logoutForm">No, stay signed in</button></p>`,
          );
        },
        postLogoutSuccessSource: (context: ProviderContext) => {
          context.body = page("Signed out – demo provider", "<h1>You are signed out of the demo provider</h1>");
        },
      },
    },
    interactions: { policy: loginPolicy(), url: (_context: ProviderContext, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
    renderError: (context: ProviderContext, out: { error: string }) => {
      context.body = page("Sign-in problem – demo provider", `<h1>The demo provider refused the request</h1><p>Code: ${out.error.replace(/[^a-z_]/g, "")}</p>`);
    },
    findAccount,
    loadExistingGrant: (context: ProviderContext) => grantFor(provider(), context),
    fetch: backChannelFetch,
  };
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > MAX_FORM_BYTES) throw new Error("the form is too large");
  }
  return new URLSearchParams(text);
}

function sendPage(response: ServerResponse, status: number, html: string): void {
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
  });
  response.end(html);
}

async function interaction(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const details = await provider.interactionDetails(request, response);
  const wanted = asksSecondFactor(details.params);
  const hinted = typeof details.params["login_hint"] === "string" ? details.params["login_hint"] : "";
  const view = {
    action: `/interaction/${details.uid}`,
    userName: details.session?.accountId ?? hinted,
    secondFactor: wanted,
    hints: DEMO_USERS.map((user) => `${user.name} (${user.hint})`),
  };
  if (request.method !== "POST") return sendPage(response, 200, loginPage(view));
  const form = await readForm(request);
  const user = userNamed((form.get("user") ?? "").trim().toLowerCase());
  const encoder = new TextEncoder();
  const right = equalSecrets(encoder.encode(form.get("password") ?? ""), encoder.encode(DEMO_PASSWORD));
  if (user === undefined || !right) {
    const userName = (form.get("user") ?? "").slice(0, 100);
    return sendPage(response, 403, loginPage({ ...view, userName, error: "User name or password is wrong." }));
  }
  const second = form.get("second_factor") === "yes";
  if (wanted && !second) return sendPage(response, 403, loginPage({ ...view, userName: user.name, error: "This app asks for the second factor: tick the box." }));
  const login = { accountId: user.name, amr: second ? ["pwd", "otp"] : ["pwd"], acr: second ? ACR_SECOND_FACTOR : ACR_PASSWORD };
  await provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
}

/** The provider as a request listener for a server on its issuer's port. */
export function demoProvider(options: DemoProviderOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const provider: Provider = new Provider(options.issuer, configuration(options, () => provider));
  const protocol = provider.callback();
  return (request, response) => {
    if (!(request.url ?? "").startsWith("/interaction/")) return protocol(request, response);
    interaction(provider, request, response).catch(() => {
      if (!response.headersSent) sendPage(response, 400, page("Sign-in problem – demo provider", "<h1>This sign-in has ended</h1><p>Go back to the app and start again.</p>"));
    });
  };
}
