/** Criterion `risk`: the session's risk level is acceptable. */
import * as v from "valibot";
import { keys } from "../containers.ts";
import { defineCriterion, textOf } from "../criterion.ts";
import { oneOrMore, toList } from "../shapes.ts";
import type { Risk } from "../when.ts";

const LEVELS: readonly Risk[] = ["low", "medium", "high"];

export const risk = defineCriterion({
  name: "risk",
  kind: "context",
  shape: v.union([keys({ max: v.picklist(["low", "medium", "high"]) }), oneOrMore(v.picklist(["low", "medium", "high"]))]),
  read: (raw) => {
    if (typeof raw === "object" && "max" in raw) return LEVELS.slice(0, LEVELS.indexOf(raw.max) + 1);
    const wanted = toList(raw);
    return LEVELS.filter((level) => wanted.includes(level));
  },
  reads: () => ["risk"],
  compile: (value) => (input) => {
    const level = LEVELS.find((known) => known === textOf(input, "risk"));
    return level === undefined ? "unknown" : value.includes(level);
  },
});
