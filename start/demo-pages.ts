/**
 * The pages of the demo's OpenID provider and sample apps: plain HTML that works without
 * JavaScript, with a keyboard, in light and dark. Not Postern's own pages (worker/pages).
 */

/** Escapes text for HTML content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

const STYLE = `
  :root { color-scheme: light dark; --paper: #eef1f6; --card: #fff; --ink: #1a2233; --soft: #566077; --line: #d8deea; --edge: #7f8aa3; --accent: #2b4fa8; --on-accent: #fff; --wash: #e8edf8; --bad: #9d2419; }
  @media (prefers-color-scheme: dark) { :root { --paper: #10131a; --card: #191e29; --ink: #e7ebf4; --soft: #a5afc4; --line: #2c3446; --edge: #76829c; --accent: #a9c0ff; --on-accent: #10182c; --wash: #222a3b; --bad: #ffa297; } }
  * { box-sizing: border-box; }
  body { margin: 0; padding: clamp(1rem, 6vw, 4rem) 1rem; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
  main { max-width: 42rem; margin: auto; padding: clamp(1.25rem, 5vw, 2.25rem); background: var(--card); border: 1px solid var(--line); border-radius: 14px; }
  main > :first-child { margin-top: 0; } main > :last-child { margin-bottom: 0; }
  h1 { font-size: 1.6rem; line-height: 1.2; letter-spacing: -.01em; } h2 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
  h2 + p { margin-top: 0; }
  a { color: var(--accent); text-underline-offset: .2em; }
  code, pre, td { font: .9em/1.5 ui-monospace, "Liberation Mono", monospace; }
  main:has(> form) { max-width: 29rem; }
  form { display: grid; gap: 1rem; margin-top: 1.25rem; }
  label { display: grid; gap: .3rem; font-weight: 600; }
  label.check { grid-template-columns: auto 1fr; align-items: start; gap: .6rem; font-weight: 400; }
  input, button { font: inherit; color: inherit; border: 1px solid var(--edge); border-radius: 8px; }
  input:not([type=checkbox]) { width: 100%; min-height: 2.75rem; padding: .4rem .7rem; background: var(--paper); }
  input[type=checkbox] { width: 1.15rem; height: 1.15rem; margin: .2rem 0; accent-color: var(--accent); }
  button { min-height: 2.75rem; padding: .5rem 1.1rem; background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; cursor: pointer; }
  button + button { background: transparent; color: var(--accent); }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
  [role=alert] { border: 1px solid var(--bad); border-radius: 8px; padding: .6rem .9rem; color: var(--bad); }
  table { width: 100%; margin: .75rem 0 1.5rem; border-collapse: collapse; }
  th, td { padding: .45rem .75rem .45rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
  th { width: 1%; white-space: nowrap; color: var(--soft); font-weight: 550; overflow-wrap: normal; }
  output { font: 1.15rem/1.4 ui-monospace, "Liberation Mono", monospace; } [role=status] { color: var(--soft); }
  pre { min-height: 6rem; overflow: auto; padding: .75rem .9rem; border-radius: 8px; background: var(--wash); white-space: pre-wrap; }`;

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
