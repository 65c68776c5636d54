import { describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { joined, NO_SIGNALS, type SignalFacts, takeNews, withSignals } from "../../durable-objects/signal-facts.ts";
import type { Fact } from "../../policy/facts.ts";

const fact = (value: Fact["value"], observedAt: number, expiresAt?: number): Fact => ({ value, source: "test", observedAt: at(observedAt), ...(expiresAt === undefined ? {} : { expiresAt: at(expiresAt) }) });
const said = (facts: SignalFacts["facts"], voided: SignalFacts["voided"] = {}): SignalFacts => ({ facts, voided });

describe("what signals said", () => {
  it("stands over what the sign-in proved before it, and not over what was proved after it", () => {
    const signals = takeNews(NO_SIGNALS, { mfa: null, groups: fact(["a"], 50) }, 50, 50);
    expect(withSignals({ mfa: fact(true, 40), groups: fact(["a", "b"], 40) }, signals)).toEqual({ groups: fact(["a"], 50) });
    expect(withSignals({ mfa: fact(true, 60), groups: fact(["c"], 60) }, signals)).toEqual({ mfa: fact(true, 60), groups: fact(["c"], 60) });
  });

  it("is not undone by what comes late, and forgets what ran out", () => {
    const now = takeNews(NO_SIGNALS, { risk: fact("high", 50), old: fact(1, 10, 60) }, 50, 50);
    expect(takeNews(now, { risk: fact("low", 40) }, 40, 70).facts).toEqual({ risk: fact("high", 50) });
    expect(takeNews(now, { risk: null }, 40, 50).facts["risk"]).toEqual(fact("high", 50));
    expect(takeNews(now, { risk: null }, 60, 60).facts["risk"]).toBeUndefined();
  });

  const rows: readonly [string, SignalFacts, SignalFacts, SignalFacts][] = [
    ["different names: both", said({ risk: fact("high", 10) }), said({ compliant: fact(true, 20) }), said({ risk: fact("high", 10), compliant: fact(true, 20) })],
    ["the same name: the later", said({ risk: fact("high", 30) }), said({ risk: fact("low", 20) }), said({ risk: fact("high", 30) })],
    ["a fact, and that it counts no more: the later", said({ mfa: fact(true, 10) }), said({}, { mfa: 20 }), said({}, { mfa: 20 })],
    ["that it counts no more, and a fact of after that", said({}, { mfa: 20 }), said({ mfa: fact(true, 30) }), said({ mfa: fact(true, 30) }, { mfa: 20 })],
    ["two moments: the later", said({}, { mfa: 20 }), said({}, { mfa: 40 }), said({}, { mfa: 40 })],
  ];
  it.each(rows)("twice over, in either order (%s)", (_title, one, other, both) => {
    expect(joined(one, other)).toEqual(both);
    expect(joined(other, one)).toEqual(both);
  });
});
