/**
 * The stylesheet of all pages: one file, system fonts, light and dark by the reader's own
 * setting, no image and no font from anywhere. Contrast is measured by the browser test (axe).
 */
export const STYLE_PATH = "/.postern/style.css";

export const STYLE_CSS = `:root {
  color-scheme: light dark;
  --paper: #f4f3ee; --card: #fff; --ink: #17211e; --soft: #55615c; --line: #dcdad0; --edge: #868f8a;
  --accent: #1d4f46; --accent-over: #163d36; --on-accent: #fff; --wash: #e6efeb; --focus: #b3560b;
  --warm: #f8ecd4; --warm-ink: #6b4300; --bad: #a3271b;
  --shadow: 0 1px 2px rgb(23 33 30 / .06), 0 12px 32px -12px rgb(23 33 30 / .16);
  --g0: #1d5c50; --g1: #3b4f9e; --g2: #84456b; --g3: #8a4b1f; --g4: #2b6282; --g5: #5c5a24;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1513; --card: #18201d; --ink: #e9eeeb; --soft: #a6b3ad; --line: #2b3632; --edge: #70807a;
    --accent: #8fd0bd; --accent-over: #a9decf; --on-accent: #0c1f1a; --wash: #1f2b27; --focus: #f3b45c;
    --warm: #33291a; --warm-ink: #f1cf92; --bad: #ff9d8f;
    --shadow: 0 1px 2px rgb(0 0 0 / .4), 0 16px 40px -16px rgb(0 0 0 / .6);
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; min-height: 100vh; min-height: 100svh; display: flex; flex-direction: column;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  overflow-wrap: anywhere;
}
h1, h2, p, ul, ol, dl, dd { margin: 0; padding: 0; }
ul { list-style: none; }
h1 { font-size: clamp(1.5rem, 1.25rem + 1.4vw, 1.9rem); line-height: 1.2; font-weight: 650; letter-spacing: -.015em; text-wrap: balance; }
h2 { font-size: 1rem; line-height: 1.4; font-weight: 650; }
a { color: var(--accent); text-underline-offset: .18em; }
b { font-weight: 650; }
code { font: .9em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 3px; border-radius: 6px; }

.bar, main { width: 100%; max-width: 66rem; margin-inline: auto; padding-inline: clamp(1rem, 4vw, 2.5rem); }
.bar { min-height: 4.5rem; padding-block: .75rem; display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .5rem 1.5rem; }
.brand { display: flex; align-items: center; gap: .65rem; font-weight: 650; letter-spacing: -.005em; }
.mark { display: block; flex: none; }
.who { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem; font-size: .9rem; line-height: 1.35; }
.who .name, .who .email { display: block; }
.who .name { font-weight: 600; }
.who .email { color: var(--soft); font-size: .85rem; }

main { flex: 1; display: flex; flex-direction: column; align-items: center; justify-content: center; padding-block: 1rem clamp(2rem, 14vh, 9rem); }
main.wide { display: block; padding-block: clamp(1rem, 5vh, 3rem) 4rem; }
.card { width: 100%; max-width: 35rem; padding: clamp(1.5rem, 5vw, 2.5rem); background: var(--card); border: 1px solid var(--line); border-radius: 16px; box-shadow: var(--shadow); }
.card > * + * { margin-top: 1rem; }
.card > h2 { margin-top: 1.75rem; }
.card > .kicker + h1 { margin-top: .35rem; }
.card > h2 + * { margin-top: .5rem; }
.kicker { color: var(--soft); font-size: .875rem; font-weight: 600; letter-spacing: .02em; }
.steps { padding-left: 1.3rem; }
ul.steps { list-style: disc; }
.steps li + li { margin-top: .4rem; }
.card p code, .steps code { padding: .1em .35em; border-radius: 5px; background: var(--wash); }
.card > .id code { padding: 0; background: none; }
.steps li::marker { color: var(--edge); }
.advice { border: 1px solid var(--line); border-radius: 12px; background: var(--wash); }
.advice li { padding: .8rem 1rem .8rem 2.6rem; position: relative; }
.advice li::before { content: ""; position: absolute; left: 1.1rem; top: 1.28rem; width: .6rem; height: .6rem; border: 2px solid var(--accent); border-radius: 50%; }
.advice li + li { border-top: 1px solid var(--line); }
.advice a { display: table; margin-top: .15rem; }
.note { padding: .8rem 1rem; border-radius: 12px; background: var(--warm); color: var(--warm-ink); }
.card > .actions { margin-top: 1.75rem; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; }
.button {
  display: inline-flex; align-items: center; justify-content: center; gap: .4em; min-height: 2.75rem; padding: .5rem 1.1rem;
  border: 1px solid var(--edge); border-radius: 10px; background: transparent; color: var(--ink);
  font: inherit; font-weight: 600; line-height: 1.2; text-align: center; text-decoration: none; cursor: pointer;
}
.button:hover { background: var(--wash); }
.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.primary:hover { background: var(--accent-over); border-color: var(--accent-over); }
.text { border-color: transparent; color: var(--accent); text-decoration: underline; text-underline-offset: .25em; padding-inline: 0; font-weight: 550; }
.hint { font-weight: 400; }
.quiet { min-height: 2.5rem; padding-inline: .9rem; font-size: .9rem; font-weight: 550; }
.card > .id { margin-top: 1.75rem; padding-top: 1.1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .875rem; }
.id code { color: var(--ink); user-select: all; }

.form { display: grid; gap: .4rem; }
.form label { font-weight: 600; }
.form input { width: 100%; min-height: 3rem; padding: .5rem .9rem; border: 1px solid var(--edge); border-radius: 10px; background: var(--paper); color: var(--ink); font: 1.25rem/1.3 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; letter-spacing: .12em; text-transform: uppercase; }
.form input[aria-invalid] { border-color: var(--bad); }
.form .actions { margin-top: .85rem; }
.wrong { color: var(--bad); }

.choices { display: grid; gap: .75rem; }
.choice { display: flex; align-items: center; justify-content: space-between; gap: 1rem; min-height: 3.5rem; padding: .8rem 1.1rem; border: 1px solid var(--edge); border-radius: 12px; color: var(--ink); text-decoration: none; }
.choice::after, a.tile::after { content: ""; flex: none; width: .5rem; height: .5rem; margin-left: auto; border: solid var(--edge); border-width: 2px 2px 0 0; transform: rotate(45deg); transition: transform .15s; }
a.tile::after { margin-top: 1.2rem; }
.choice:hover { background: var(--wash); border-color: var(--accent); }
.choice:hover::after, a.tile:hover::after { border-color: var(--accent); transform: translateX(3px) rotate(45deg); }

.lead { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; }
.lead .session { color: var(--soft); }
.lead .button { align-self: center; }
@media (min-width: 40rem) { .lead .button { margin-left: auto; } }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1rem; margin-top: 1.75rem; }
.tiles li { display: flex; }
.tile { flex: 1; min-width: 0; display: flex; align-items: flex-start; gap: 1rem; padding: 1.1rem 1.25rem 1.1rem 1.1rem; background: var(--card); border: 1px solid var(--line); border-radius: 14px; color: var(--ink); text-decoration: none; transition: border-color .15s, box-shadow .15s; }
a.tile:hover { border-color: var(--accent); box-shadow: var(--shadow); }
.glyph { flex: none; width: 2.9rem; height: 2.9rem; display: grid; place-items: center; border-radius: 1.45rem 1.45rem 8px 8px; color: #fff; font-size: 1.2rem; font-weight: 650; }
.g0 { background: var(--g0); } .g1 { background: var(--g1); } .g2 { background: var(--g2); }
.g3 { background: var(--g3); } .g4 { background: var(--g4); } .g5 { background: var(--g5); }
.about { min-width: 0; display: flex; flex-direction: column; align-items: flex-start; gap: .1rem; }
.about .name { font-weight: 650; line-height: 1.3; }
.about .host { color: var(--soft); font-size: .8125rem; line-height: 1.35; }
.about > code { margin-top: .35rem; padding: .15rem .45rem; border-radius: 6px; background: var(--wash); user-select: all; }
.tags { display: flex; flex-wrap: wrap; gap: .35rem; margin-top: .45rem; }
.tag { padding: .05rem .5rem; border-radius: 99px; background: var(--wash); color: var(--soft); font-size: .78rem; line-height: 1.5; }
.ask { background: var(--warm); color: var(--warm-ink); }
.empty { max-width: 36rem; margin-top: 1.75rem; padding: clamp(1.5rem, 5vw, 2.5rem); border: 1.5px dashed var(--edge); border-radius: 16px; }
.empty p { margin-top: .5rem; color: var(--soft); }
.empty code { color: var(--ink); }
.facts { display: grid; grid-template-columns: minmax(6rem, auto) 1fr; gap: .5rem 1.25rem; }
.card > h1 + .facts { margin-top: 1.35rem; }
.facts dt { color: var(--soft); }

@media (max-width: 26rem) {
  .card > .actions > *, .card > .actions .button { width: 100%; }
  .who { flex: 1 1 100%; justify-content: space-between; }
}
@media (prefers-reduced-motion: reduce) { *, ::before, ::after { transition: none !important; } }
@media (forced-colors: active) { .primary, .tag, .glyph { border: 1px solid; } }
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #333; --wash: #fff; --warm: #fff; --warm-ink: #000; --line: #999; --shadow: none; --accent: #1d4f46; --on-accent: #fff; }
  .actions, .who form { display: none; }
  main { display: block; padding: 0; }
  .card { border: 0; padding: 0; }
}
`;
