/** A plot of results as SVG: panels of bars, one a case and metric, readable on light and dark pages. Draws; judges nothing. */
import type { Row } from "./measure/results.ts";

export interface Panel {
  readonly title: string;
  readonly case: string;
  readonly metric: string;
  readonly better: "more" | "less";
}

const WIDTH = 860;
const PANEL_WIDTH = WIDTH / 2;
const BAR_HEIGHT = 18;
const LABEL_WIDTH = 108;
const VALUE_WIDTH = 70;
const TITLE_HEIGHT = 34;
const GAP = 18;

const STYLE = `text { font: 12px system-ui, sans-serif; fill: #1c2430 } .title { font-weight: 600 } .bar { fill: #9aa7b5 } .ours { fill: #1f6f5c }
@media (prefers-color-scheme: dark) { text { fill: #dde4ec } .bar { fill: #5d6b7a } .ours { fill: #4fbf9f } }`;

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const shown = (value: number): string => (value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3))));

interface Bar {
  readonly system: string;
  readonly value: number;
}

function panel({ title, better }: Panel, bars: readonly Bar[], x: number, y: number): string {
  const most = Math.max(...bars.map(({ value }) => value));
  const room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH - GAP;
  const lines = bars.map(({ system, value }, i) => {
    const top = y + TITLE_HEIGHT + i * (BAR_HEIGHT + 4);
    const width = Math.max(1, (value / most) * room);
    return `<text x="${x + LABEL_WIDTH - 6}" y="${top + 13}" text-anchor="end">${escaped(system)}</text><rect class="${system === "postern" ? "ours" : "bar"}" x="${x + LABEL_WIDTH}" y="${top}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}"/><text x="${(x + LABEL_WIDTH + width + 5).toFixed(1)}" y="${top + 13}">${shown(value)}</text>`;
  });
  return `<text class="title" x="${x + 6}" y="${y + 20}">${escaped(title)} (${better} is better)</text>\n${lines.join("\n")}`;
}

/** Two panels a line; a panel without figures is left out. */
export function plot(panels: readonly Panel[], rows: readonly Row[], label = "Figures of the benchmark, beside each other"): string {
  const drawn = panels.flatMap((one) => {
    const bars = rows.filter((row) => row.case === one.case && row.metric === one.metric).map(({ system, value }) => ({ system, value }));
    return bars.length === 0 ? [] : [{ one, bars }];
  });
  let y = 0;
  const parts: string[] = [];
  for (let i = 0; i < drawn.length; i += 2) {
    const pair = drawn.slice(i, i + 2);
    for (const [column, { one, bars }] of pair.entries()) parts.push(panel(one, bars, column * PANEL_WIDTH, y));
    y += TITLE_HEIGHT + Math.max(...pair.map(({ bars }) => bars.length)) * (BAR_HEIGHT + 4) + GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="${escaped(label)}">\n<style>${STYLE}</style>\n${parts.join("\n")}\n</svg>\n`;
}
