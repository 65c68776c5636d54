/** Criterion `country`: where the connection comes from, ISO 3166-1 alpha-2 (P12). "XX" is unknown (P1). */
import { defineCriterion, readList, textOf } from "../criterion.ts";
import { oneOrMore, text } from "../shapes.ts";

/** ISO 3166-1 alpha-2, officially assigned: a word for each first letter, which holds the second ones. */
const CODES =
  "ADEFGILMOQRSTUWXZ BABDEFGHIJLMNOQRSTVWYZ CACDFGHIKLMNORUVWXYZ DEJKMOZ ECEGHRST FIJKMOR GABDEFGHILMNPQRSTUWY HKMNRTU " +
  "IDELMNOQRST JEMOP KEGHIMNPRWYZ LABCIKRSTUVY MACDEFGHKLMNOPQRSTUVWXYZ NACEFGILOPRUZ OM PAEFGHKLMNRSTWY QA REOSUW " +
  "SABCDEGHIJKLMNORSTVXYZ TCDFGHJKLMNORTVWZ UAGMSYZ VACEGINU WFS YET ZAMW";
const COUNTRIES: ReadonlySet<string> = new Set(CODES.split(" ").flatMap(([first = "", ...seconds]) => seconds.map((second) => first + second)));

/** Codes that people write and ISO does not mean. */
const MISTAKES: Readonly<Record<string, string>> = { UK: "GB", EL: "GR", EN: "GB" };

export const country = defineCriterion({
  name: "country",
  kind: "context",
  shape: oneOrMore(text),
  read: (raw, names, refuse) =>
    readList(raw, names, refuse, (written, no) => {
      if (COUNTRIES.has(written)) return written;
      const upper = written.toUpperCase();
      const meant = MISTAKES[upper] ?? (COUNTRIES.has(upper) ? upper : undefined);
      no("country", `"${written}" is not an ISO 3166-1 alpha-2 country`, meant === undefined ? undefined : `did you mean "${meant}"?`);
      return undefined;
    }),
  reads: () => ["country"],
  compile: (value) => {
    const countries = new Set(value);
    return (input) => {
      const code = textOf(input, "country");
      return code === undefined || !COUNTRIES.has(code) ? "unknown" : countries.has(code);
    };
  },
});
