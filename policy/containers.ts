/**
 * Lists and objects of a document's shape. The library's own take a list for an object, name one
 * unknown key only, and keep every issue, which of a hostile document is some hundred times its
 * size; these stop at MAX_PROBLEMS. Single values are the library's.
 */
import * as v from "valibot";
import { MAX_PROBLEMS } from "./problems.ts";

export type Shape<T = unknown> = v.GenericSchema<unknown, T>;
export type Issue = v.BaseIssue<unknown>;

/** The type of an issue; its requirement lists the known keys. */
export const UNKNOWN_KEY = "unknown_key";

const issueOf = (kind: Issue["kind"], type: string, requirement?: unknown): Issue => ({ kind, type, input: null, expected: null, received: "", message: "", requirement: requirement as string });

/** What a container tells of its parts while it is read. */
class Reading {
  readonly issues: Issue[] = [];
  readonly #input: unknown;
  readonly #config: v.Config<Issue>;

  constructor(input: unknown, config: v.Config<Issue>) {
    this.#input = input;
    this.#config = config;
  }

  /** Whether one more problem would still be told. */
  goesOn(): boolean {
    return this.issues.length < MAX_PROBLEMS;
  }

  add(issue: Issue, key: string | number, origin: "key" | "value" = "key"): void {
    this.issues.push({ ...issue, path: [{ type: "unknown", origin, input: this.#input, key, value: undefined }, ...(issue.path ?? [])] });
  }

  /** A part's value, or its name, as its shape reads it. */
  part(shape: Shape, value: unknown, key: string | number, origin: "key" | "value" = "value"): unknown {
    const done = shape["~run"]({ value }, this.#config);
    for (const issue of done.issues ?? []) this.add(issue, key, origin);
    return done.value;
  }
}

function container<M extends { readonly type: string }>(more: M, read: (input: unknown, reading: Reading) => unknown): unknown {
  return Object.assign(v.unknown(), more, {
    "~run": ({ value }: v.UnknownDataset, config: v.Config<Issue>) => {
      const reading = new Reading(value, config);
      const output = read(value, reading);
      const { issues } = reading;
      return issues.length === 0 ? { typed: true, value: output } : { typed: false, value, issues };
    },
  });
}

/** A list of `least` to `most` items. */
export const list = <T extends Shape>(item: T, most: number, least = 0) =>
  container({ type: "array", item, least, most }, (input, reading) => {
    const { issues } = reading;
    if (!Array.isArray(input)) return issues.push(issueOf("schema", "array"));
    if (input.length > most) return issues.push(issueOf("validation", "max_length", most));
    if (input.length < least) return issues.push(issueOf("validation", "min_length", least));
    const out: unknown[] = [];
    for (let i = 0; i < input.length && reading.goesOn(); i++) out.push(reading.part(item, input[i], i));
    return out;
  }) as v.ArraySchema<T, undefined>;

/** Reads what is keys and values; anything else is an issue. */
function ofKeys(input: unknown, reading: Reading, read: (input: Readonly<Record<string, unknown>>, out: Record<string, unknown>) => void): unknown {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return reading.issues.push(issueOf("schema", "object"));
  const out: Record<string, unknown> = {};
  read(input as Record<string, unknown>, out);
  return out;
}

/** An object of these keys and no others, each of which is named; `rest` is what others may hold. */
export function keys<E extends v.ObjectEntries>(entries: E): v.ObjectSchema<E, undefined>;
export function keys<E extends v.ObjectEntries, R extends Shape>(entries: E, rest: R): v.ObjectWithRestSchema<E, R, undefined>;
export function keys(entries: v.ObjectEntries, rest?: Shape): unknown {
  const known = Object.entries(entries) as [string, Shape][];
  return container({ type: "object", entries, rest }, (input, reading) =>
    ofKeys(input, reading, (object, out) => {
      for (const [key, shape] of known) {
        if (Object.hasOwn(object, key)) out[key] = reading.part(shape, object[key], key);
        else if (shape.type !== "optional") reading.add(issueOf("schema", "missing"), key);
      }
      for (const key of Object.keys(object)) {
        if (Object.hasOwn(entries, key)) continue;
        if (!reading.goesOn()) break;
        if (rest === undefined) reading.add(issueOf("schema", UNKNOWN_KEY, Object.keys(entries)), key);
        else out[key] = reading.part(rest, object[key], key);
      }
    }),
  );
}

/** An object of any keys of a form. */
export const record = <K extends v.GenericSchema<string, string>, S extends Shape>(name: K, value: S) =>
  container({ type: "record", key: name, value }, (input, reading) =>
    ofKeys(input, reading, (object, out) => {
      for (const key of Object.keys(object)) {
        if (!reading.goesOn()) break;
        reading.part(name as Shape, key, key, "key");
        out[key] = reading.part(value, object[key], key);
      }
    }),
  ) as v.RecordSchema<K, S, undefined>;
