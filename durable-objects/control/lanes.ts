/**
 * The lanes that hold a lease on the policy, and how a change reaches all of them (M8, M9). A
 * lane that does not answer is told again until its lease ran out; then it trusts nothing.
 */
import type { SiteId } from "../../core/ids.ts";
import { laneName, type ObjectEnv, type Stub } from "../bindings.ts";
import { addReports, type CutReport, NOTHING_CUT } from "../cut-report.ts";
import { LEASE_WAIT_MS, PUSH_ATTEMPT_MS, PUSH_RETRY_MS } from "../lease-terms.ts";
import type { Database } from "../sqlite.ts";
import type { TunnelRpc } from "../tunnel/rpc.ts";
import { within } from "../within.ts";

export interface Lane {
  readonly site: SiteId;
  readonly lane: number;
}

export class Lanes {
  readonly #db: Database;
  readonly #env: ObjectEnv;

  constructor(db: Database, env: ObjectEnv) {
    this.#db = db;
    this.#env = env;
  }

  /** Stored before it is answered: a change from here on finds this lane (M1). */
  grant(lane: Lane, now: number): void {
    this.#db.run(
      "INSERT INTO lanes (site, lane, lease_until) VALUES (?, ?, ?) ON CONFLICT (site, lane) DO UPDATE SET lease_until = excluded.lease_until",
      lane.site, lane.lane, now + LEASE_WAIT_MS,
    );
  }

  all(): readonly Lane[] {
    return this.#db.all<Lane>("SELECT site, lane FROM lanes ORDER BY site, lane");
  }

  /** Tells every known lane, all at once; one whose lease is over is tried once, and named if it does not answer. */
  async push(call: (stub: Stub<TunnelRpc>, lane: Lane) => Promise<CutReport>): Promise<CutReport> {
    const rows = this.#db.all<Lane & { lease_until: number }>("SELECT site, lane, lease_until FROM lanes");
    const startedAt = Date.now();
    return addReports(await Promise.all(rows.map((row) => this.#tell(row, row.lease_until, startedAt, call))));
  }

  async #tell(
    lane: Lane,
    leaseUntil: number,
    startedAt: number,
    call: (stub: Stub<TunnelRpc>, lane: Lane) => Promise<CutReport>,
  ): Promise<CutReport> {
    for (;;) {
      const { site, lane: number } = lane;
      const answer = await within(PUSH_ATTEMPT_MS, call(this.#env.TUNNEL.getByName(laneName(site, number)), { site, lane: number }));
      const now = Date.now();
      if (answer !== undefined) return { ...answer, slowestMs: now - startedAt };
      // What the lane holds passes no byte any more (M4), and its next lease brings the change: until then nobody confirmed it.
      if (now >= leaseUntil) return { ...NOTHING_CUT, slowestMs: now - startedAt, unconfirmed: [{ site, lane: number, leaseEndsAt: leaseUntil }] };
      await new Promise((resolve) => setTimeout(resolve, PUSH_RETRY_MS));
    }
  }
}
