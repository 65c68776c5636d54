/**
 * Every page, made from one function that writes each text field and one that writes each link,
 * so that a test about all fields cannot forget one. A page that is not listed here fails
 * rules.test.ts.
 */
import type { RequestId } from "../../core/ids.ts";
import { parseRequestId } from "../../core/ids.ts";
import { ERROR_STATUS, type ErrorCode } from "../../core/errors.ts";
import { at, HOUR_MS, MINUTE_MS } from "../../core/time.ts";
import { askedPage } from "../../worker/pages/access.ts";
import { bindDevicePage } from "../../worker/pages/bind-device.ts";
import { blankPage } from "../../worker/pages/blank.ts";
import { chooserPage } from "../../worker/pages/chooser.ts";
import { continuePage } from "../../worker/pages/continue.ts";
import { deniedPage } from "../../worker/pages/denied.ts";
import { loginCodePage } from "../../worker/pages/login-code.ts";
import { errorPage } from "../../worker/pages/error.ts";
import { formNotSentPage } from "../../worker/pages/form-not-sent.ts";
import { launcherPage } from "../../worker/pages/launcher.ts";
import { mePage } from "../../worker/pages/me.ts";
import { passkeysPage, stepUpPage } from "../../worker/pages/passkeys.ts";
import { signOutPage } from "../../worker/pages/sign-out.ts";
import { signedOutPage } from "../../worker/pages/signed-out.ts";
import { tooManyBouncesPage } from "../../worker/pages/too-many-bounces.ts";
import { withErrorWords } from "../error-words.ts";

await withErrorWords();

export interface PageCase {
  readonly name: string;
  readonly file: string;
  readonly html: string;
  readonly script?: boolean;
}

/** Writes a text field; the argument is what a friendly page would say there. */
export type Text = (friendly: string) => string;

export function requestId(text: string): RequestId {
  const id = parseRequestId(text);
  if (id === undefined) throw new Error(`not a request id: ${text}`);
  return id;
}

export const REQUEST_ID = requestId("r_8Kq2vZ0mWc4tYx1LhDn5Rg");
const NOW = at(1_795_345_200_000);

/** Every page once, and the launcher, denial and chooser in each of their shapes. */
export function everyPage(text: Text = (friendly) => friendly, link: Text = (friendly) => friendly): readonly PageCase[] {
  const user = { name: text("Amira Haddad"), email: text("amira.haddad@example.com") };
  const id = text(REQUEST_ID);
  const app = (name: string, tags: readonly string[], stepUp = false) => ({
    id: text(name.toLowerCase()), name: text(name), url: link(`https://${name.toLowerCase()}.access.example.com/`),
    host: text(`${name.toLowerCase()}.access.example.com`), tags: tags.map(text), stepUp,
  });
  const session = { expiresAt: at(NOW + 7 * HOUR_MS + 40 * MINUTE_MS) };
  const apps = [
    app("Wiki", ["internal"]), app("Payroll", ["finance", "confidential"], true), app("Grafana", ["operations"]),
    app("Build", []), app("Tickets", ["internal"]),
    { ...app("A-rather-long-name-of-an-application-without-any-space", ["internal"]), stepUp: false },
    { id: text("orders-db"), name: text("Orders database"), host: text("orders-db.access.example.com"), tags: [text("tcp")], stepUp: false },
  ];
  const advice = [
    { code: "mfa", text: text("a sign-in with a second factor from the last 12 hours"), action: { href: link("/.postern/step-up?app=payroll"), label: text("Sign in again") } },
    { code: "device", text: text("a registered device with an encrypted disk"), action: { href: link("https://help.example.com/disk"), label: text("How to encrypt your disk") } },
    { code: "time_window", text: text("a visit within working hours; the next one begins on Monday at 07:00") },
  ];
  const code = (name: Exclude<ErrorCode, "not_found">): PageCase => ({
    name: `error-${name}`, file: "error.ts",
    html: errorPage({ code: name, requestId: id, detail: text("The connector of this app has been away for two minutes."), advice: [], retryUrl: link("/reports/q3"), launcherUrl: link("https://access.example.com/") }),
  });
  return [
    { name: "launcher", file: "launcher.ts", html: launcherPage({ user, apps, session, now: NOW, operator: true, consoleUrl: link("/console"), signOutUrl: link("/.postern/logout") }) },
    { name: "launcher-askable", file: "launcher.ts", html: launcherPage({ user, apps, askable: [{ id: text("db"), name: text("Orders database") }, { id: text("grafana"), name: text("Grafana") }], session, now: NOW, operator: false }) },
    { name: "asked", file: "access.ts", html: askedPage(link("https://access.example.com")) },
    { name: "launcher-alarm", file: "launcher.ts", html: launcherPage({ user, apps, session, now: NOW, operator: true, alarm: text("counting down") }) },
    { name: "launcher-askable-one", file: "launcher.ts", html: launcherPage({ user, apps: [], askable: [{ id: text("db"), name: text("Orders database") }], session, now: NOW, operator: false }) },
    { name: "launcher-empty", file: "launcher.ts", html: launcherPage({ user, apps: [], session, now: NOW, operator: false }) },
    { name: "launcher-first", file: "launcher.ts", html: launcherPage({ user: { name: text(""), email: user.email }, apps: [], session, now: NOW, operator: true }) },
    { name: "chooser", file: "chooser.ts", script: true, html: chooserPage({ flow: text("f1"), providers: [
      { id: text("corp"), name: text("Example Corporation"), url: link("/.postern/login/corp?flow=f1") },
      { id: text("partners"), name: text("Partner accounts"), url: link("/.postern/login/partners?flow=f1") },
    ] }) },
    { name: "continue-keep", file: "continue.ts", script: true, html: continuePage({ mode: "keep", to: link("/landed"), flow: text("f1") }) },
    { name: "continue-restore", file: "continue.ts", script: true, html: continuePage({ mode: "restore", to: link("/landed"), flow: text("f1") }) },
    { name: "blank", file: "blank.ts", html: blankPage(REQUEST_ID) },
    { name: "denied", file: "denied.ts", html: deniedPage({ user, app: { name: text("Payroll") }, requestId: id, advice, launcherUrl: link("https://access.example.com/"), switchUserUrl: link("/.postern/switch"), retryUrl: link("/") }) },
    { name: "denied-step-up", file: "denied.ts", html: deniedPage({ user, app: { name: text("Payroll") }, requestId: id, advice: advice.slice(0, 1).map(({ code: word, text: words }) => ({ code: word, text: words })), stepUpUrl: link("/.postern/step-up"), switchUserUrl: link("/.postern/switch") }) },
    { name: "denied-request", file: "denied.ts", html: deniedPage({ user, app: { name: text("Grafana") }, requestId: id, advice: [], ask: { id: text("grafana"), name: "" }, launcherUrl: link("https://access.example.com/") }) },
    { name: "signed-out", file: "signed-out.ts", html: signedOutPage({ signInUrl: link("https://access.example.com/"), closed: 3, providerToo: false }) },
    { name: "sign-out", file: "sign-out.ts", html: signOutPage({ signOutUrl: link("/.postern/logout"), backUrl: link("/") }) },
    { name: "device-enter", file: "login-code.ts", html: loginCodePage({ step: "enter", actionUrl: link("/.postern/device"), wrong: false }) },
    { name: "device-wrong", file: "login-code.ts", html: loginCodePage({ step: "enter", actionUrl: link("/.postern/device"), wrong: true }) },
    { name: "device-confirm", file: "login-code.ts", html: loginCodePage({ step: "confirm", actionUrl: link("/.postern/device"), userCode: text("WDJB-MJHT"), user: text("amira.haddad@example.com"), program: text("postern on linux"), from: text("Berlin, Germany") }) },
    { name: "device-done", file: "login-code.ts", html: loginCodePage({ step: "done", approved: true }) },
    { name: "device-refused", file: "login-code.ts", html: loginCodePage({ step: "done", approved: false }) },
    { name: "bind-device", file: "bind-device.ts", html: bindDevicePage({ actionUrl: link("/.postern/devices/bind"), user: text("amira.haddad@example.com"), device: text("d_x"), code: text("c") }) },
    { name: "bind-device-done", file: "bind-device.ts", html: bindDevicePage() },
    { name: "passkeys", file: "passkeys.ts", script: true, html: passkeysPage({ launcherUrl: link("https://access.example.com/"), keys: [
      { id: text("AAECAwQFBgcICQoLDA0ODw"), name: text("Laptop"), createdAt: NOW, usedAt: 0 },
      { id: text("EAECAwQFBgcICQoLDA0ODw"), name: text("A security key whose owner gave it a long name, in full"), createdAt: NOW, usedAt: NOW },
    ] }) },
    { name: "passkeys-none", file: "passkeys.ts", script: true, html: passkeysPage({ launcherUrl: link("https://access.example.com/"), keys: [] }) },
    { name: "step-up", file: "passkeys.ts", script: true, html: stepUpPage({ helps: 3, nextUrl: link("/.postern/login?to=x"), providerUrl: link("/.postern/login?to=x&mfa=1") }) },
    { name: "too-many-bounces", file: "too-many-bounces.ts", html: tooManyBouncesPage({ requestId: id, retryUrl: link("/"), launcherUrl: link("https://access.example.com/") }) },
    { name: "form-not-sent", file: "form-not-sent.ts", html: formNotSentPage({ requestId: id, signInUrl: link("/.postern/login") }) },
    { name: "me", file: "me.ts", html: mePage({ user: { ...user, provider: text("corp"), groups: [text("staff"), text("finance")] }, session: { ...session, authenticatedAt: NOW, methods: [text("pwd"), text("otp")] }, launcherUrl: link("https://access.example.com/"), signOutUrl: link("/.postern/logout") }) },
    { name: "error-all-fields", file: "error.ts", html: errorPage({ code: "provider_error", requestId: id, title: text("The identity provider refused"), detail: text("It said: temporarily unavailable."), advice, fix: [text("Wait a minute."), text("Then sign in again.")], signInUrl: link("/.postern/login"), retryUrl: link("/"), launcherUrl: link("https://access.example.com/") }) },
    ...(Object.keys(ERROR_STATUS) as ErrorCode[]).filter((name) => name !== "not_found").map(code),
  ];
}
