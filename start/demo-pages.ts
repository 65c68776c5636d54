/**
 * The pages of the demo's OpenID provider and sample apps: plain HTML that works without
 * JavaScript, with a keyboard, in light and dark. Not Postern's own pages (worker/pages).
 */

/** Escapes text for HTML content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

const STYLE = `
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
  form { display: grid; gap: 1rem; max-width: 22rem; }
  label { display: grid; gap: .25rem; }
  label.check { grid-template-columns: auto 1fr; align-items: start; gap: .5rem; }
  input, button { font: inherit; padding: .5rem; }
  :focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
  [role=alert] { border: 2px solid; padding: .5rem .75rem; }
  table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
  pre { overflow: auto; padding: .75rem; border: 1px solid; }`;

/** A whole HTML page; `body` is trusted markup. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><main>${body}</main></body>
</html>`;
}

export interface LoginPage {
  /** Where the form posts to: a path on the provider. */
  readonly action: string;
  readonly userName: string;
  /** The caller asked for a second factor: say so and tick it. */
  readonly secondFactor: boolean;
  readonly error?: string;
  readonly hints: readonly string[];
}

/** The sign-in form. Never shows a password that was typed. */
export function loginPage(view: LoginPage): string {
  const alert = view.error === undefined ? "" : `<p role="alert" id="problem">${escapeHtml(view.error)}</p>`;
  const described = view.error === undefined ? "" : ' aria-describedby="problem" aria-invalid="true"';
  const focusName = view.userName === "" ? " autofocus" : "";
  const focusPassword = view.userName === "" ? "" : " autofocus";
  return page(
    "Sign in – demo provider",
    `<h1>Sign in</h1>
<p>This is the demo's OpenID provider. Try ${view.hints.map((hint) => escapeHtml(hint)).join(", ")}.</p>
${view.secondFactor ? "<p>The app that you want asks for a second factor.</p>" : ""}${alert}
<form method="post" action="${escapeHtml(view.action)}">
<label>User name <input name="user" autocomplete="username" required value="${escapeHtml(view.userName)}"${described}${focusName}></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required${described}${focusPassword}></label>
<label class="check"><input type="checkbox" name="second_factor" value="yes"${view.secondFactor ? " checked" : ""}> Also confirm second factor (the demo asks for no code)</label>
<button type="submit">Sign in</button>
</form>`,
  );
}
