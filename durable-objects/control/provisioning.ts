/**
 * What a directory means for live sessions: who is inactive there has none, and groups are as they
 * are there. Each person's newest revision is one signal, sent before the request that made it is
 * answered, and again by the alarm if that failed. Not the directory itself: directory.ts.
 */
import type { UserId } from "../../core/ids.ts";
import type { Result } from "../../core/result.ts";
import { at } from "../../core/time.ts";
import type { ScimProblem } from "../../identity/scim-change.ts";
import type { PolicyDocument, Provider } from "../../policy/document.ts";
import type { Database } from "../sqlite.ts";
import * as directory from "./directory.ts";
import type { PersonRecord, Signal } from "./rpc.ts";

export interface ProvisioningWork {
  readonly document: () => PolicyDocument | undefined;
  readonly signal: (signal: Signal) => Promise<unknown>;
  /** Puts a change on record; throws when it cannot. */
  readonly record: (data: Record<string, string>) => Promise<void>;
  /** Has `resume` called after a while. */
  readonly soon: () => void;
  readonly ctx: { waitUntil(work: Promise<unknown>): void };
}

/** People told of at a time. */
const TOGETHER_COUNT = 32;

export class Provisioning {
  readonly #db: Database;
  readonly #work: ProvisioningWork;
  /** Of two signals of one millisecond that overtake each other the later must count, too. */
  #lastAt = 0;

  constructor(db: Database, work: ProvisioningWork) {
    this.#db = db;
    this.#work = work;
  }

  /** Answers once everybody whom it concerns was told, and waits for nobody else. Throws when one of them could not be: asking again does the rest. */
  async request(provider: string, request: directory.DirectoryRequest): Promise<Result<directory.DirectoryAnswer, ScimProblem>> {
    const of = this.#directoryOf(({ id }) => id === provider);
    if (of === undefined) throw new Error("no such directory");
    const isRead = request.do === "list" || request.do === "get";
    const before = new Map((isRead ? [] : directory.unsettled(this.#db, of.id)).map((row) => [row.id, row.revision]));
    const answer = directory.answer(this.#db, of, request);
    if (!answer.ok || isRead) return answer;
    const id = answer.value.entries[0]?.id ?? ("id" in request ? request.id : "");
    const rows = directory.unsettled(this.#db, of.id);
    const concerned = rows.filter((row) => row.id === id || before.get(row.id) !== row.revision);
    // Said again, it changes nothing and waits for what the attempt before could not do: whom a group concerned then, nobody knows.
    const told = this.#tell(of, concerned.length === 0 && request.kind === "Groups" ? rows : concerned);
    this.#work.ctx.waitUntil(told.catch(() => undefined));
    await this.#work.record({ provider, act: request.do, kind: request.kind, id });
    await told;
    return answer;
  }

  /** What the directory of this person's provider says of them; undefined if it has none. */
  standing(person: Pick<PersonRecord, "id" | "issuer" | "sub" | "email">): directory.Standing | undefined {
    const of = this.#directoryOf(({ issuer }) => issuer === person.issuer);
    return of === undefined ? undefined : directory.standing(this.#db, of, person, at(Date.now()));
  }

  async resume(): Promise<void> {
    for (const { id } of this.#work.document()?.providers ?? []) {
      const of = this.#directoryOf((one) => one.id === id);
      if (of !== undefined) await this.#tell(of, directory.unsettled(this.#db, of.id)).catch(() => undefined);
    }
  }

  #directoryOf(is: (provider: Provider) => boolean): directory.DirectoryOf | undefined {
    const provider = this.#work.document()?.providers.find(is);
    return provider?.scim === undefined ? undefined : { id: provider.id, issuer: provider.issuer, match: provider.scim.match };
  }

  /** The alarm comes back for those who could not be told. */
  async #tell(of: directory.DirectoryOf, rows: readonly directory.DirectoryRow[]): Promise<void> {
    if (rows.length > 0) this.#work.soon();
    const results: PromiseSettledResult<void>[] = [];
    for (let i = 0; i < rows.length; i += TOGETHER_COUNT) {
      results.push(...(await Promise.allSettled(rows.slice(i, i + TOGETHER_COUNT).map((row) => this.#signal(of, row)))));
    }
    for (const one of results) if (one.status === "rejected") throw one.reason;
  }

  /** The same revision told twice at once has the same id, and counts once. */
  async #signal(of: directory.DirectoryOf, row: directory.DirectoryRow): Promise<void> {
    const person = directory.personOf(this.#db, of, row);
    if (person !== undefined) {
      this.#lastAt = Math.max(Date.now(), this.#lastAt + 1);
      const standing = directory.standingAfter(this.#db, of, row, person, at(this.#lastAt));
      const groups = typeof standing === "object" ? { value: standing.groups, source: of.id, observedAt: standing.at } : null;
      await this.#work.signal({
        source: `scim:${of.id}`,
        id: `${row.id}.${row.revision}`,
        name: standing !== "inactive" ? "groups-changed" : row.gone === 1 ? "user-deleted" : "user-deactivated",
        target: { kind: "user", id: person as UserId },
        effect: standing === "inactive" ? { kind: "end" } : { kind: "facts", facts: { groups }, at: this.#lastAt },
      });
    }
    directory.settle(this.#db, row);
  }
}
