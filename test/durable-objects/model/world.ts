/**
 * A world of objects whose every message, timer, alarm and replacement is chosen by a seed: the
 * real shells of the objects run in it, on clocks that differ. Not a model of any rule of
 * Postern: rules live in the objects, properties in the tests.
 */
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

/** One incarnation of an object. A dead one is never resumed. */
export interface Instance {
  readonly place: Place;
  /** Added to the true time, milliseconds: its own clock (M9). */
  readonly skew: number;
  dead: boolean;
  object: object;
  /** Tells everybody who waits for its answer that it died. */
  readonly deaths: (() => void)[];
}

/** An addressable object: its storage outlives its instances. */
export interface Place {
  readonly name: string;
  readonly storage: ObjectStorage;
  readonly make: (place: Place, instance: Instance) => object;
  instance: Instance | undefined;
  alarmRuns: number;
  /** Until then nothing reaches it; it still reaches others. */
  cutOffUntil: number;
}

interface Due {
  readonly owner: Instance | undefined;
  readonly run: () => void;
  readonly at: number;
}

export interface Faults {
  /** Of a request or of its answer, 0 to 1. */
  readonly loss: number;
  /** Chance that a message is held back for up to a minute. */
  readonly late: number;
  readonly skewMs: number;
}

export class World {
  now = T0;
  readonly #random: () => number;
  readonly #faults: Faults;
  readonly places = new Map<string, Place>();
  #messages: Due[] = [];
  #timers = new Map<number, Due>();
  #timerId = 1;
  current: Instance | undefined;
  /** True while nothing may be lost any more. */
  calm = false;

  constructor(random: () => number, faults: Faults) {
    this.#random = random;
    this.#faults = faults;
  }

  /** The clock of whoever runs. */
  clock = (): number => this.now + (this.current?.skew ?? 0);

  below = (n: number): number => Math.floor(this.#random() * n);
  chance = (p: number): boolean => this.#random() < p;
  pick = <T>(all: readonly T[]): T | undefined => all[this.below(all.length)];

  setTimeout = (run: () => void, ms = 0): number => {
    const id = this.#timerId++;
    this.#timers.set(id, { owner: this.current, run, at: this.now + Math.max(0, ms) });
    return id;
  };
  clearTimeout = (id: unknown): void => {
    if (typeof id === "number") this.#timers.delete(id);
  };

  place(name: string, make: Place["make"]): Place {
    const known = this.places.get(name);
    if (known !== undefined) return known;
    const place: Place = { name, storage: new ObjectStorage(), make, instance: undefined, alarmRuns: 0, cutOffUntil: 0 };
    this.places.set(name, place);
    return place;
  }

  running(place: Place): Instance {
    return place.instance ?? this.#start(place);
  }

  /** A new instance over the same storage. `lingers`: the old one goes on until its next write (M6). */
  replace(place: Place, lingers: boolean): void {
    const old = place.instance;
    if (old === undefined) return;
    if (!lingers) this.#die(old);
    // An alarm whose handler did not finish is run again.
    if (place.alarmRuns > 0) place.storage.alarmAt ??= this.now;
    place.alarmRuns = 0;
    this.#start(place);
  }

  #start(place: Place): Instance {
    const skew = this.#faults.skewMs === 0 ? 0 : this.below(2 * this.#faults.skewMs + 1) - this.#faults.skewMs;
    const instance: Instance = { place, skew, dead: false, object: {}, deaths: [] };
    place.instance = instance;
    const before = this.current;
    this.current = instance;
    instance.object = place.make(place, instance);
    this.current = before;
    return instance;
  }

  /** Storage as one instance sees it: a write of one that was replaced is its end. */
  storageOf(place: Place, instance: Instance): ObjectStorage {
    const mayWrite = (): void => {
      if (!instance.dead && place.instance === instance) return;
      this.#die(instance);
      throw new Error("this instance was replaced");
    };
    const { kv, sql } = place.storage;
    const guarded = Object.create(place.storage) as ObjectStorage;
    return Object.assign(guarded, {
      kv: { ...kv, put: (key: string, value: unknown) => (mayWrite(), kv.put(key, value)), delete: (key: string) => (mayWrite(), kv.delete(key)) },
      sql,
      getAlarm: async () => (place.storage.alarmAt === undefined ? null : place.storage.alarmAt + instance.skew),
      setAlarm: async (at: number) => (mayWrite(), place.storage.setAlarm(at - instance.skew)),
      deleteAll: async () => (mayWrite(), place.storage.deleteAll()),
      transactionSync: <T>(run: () => T): T => (mayWrite(), place.storage.transactionSync(run)),
    });
  }

  /**
   * Calls a method of another object: the request and the answer are messages, and each may be
   * late or lost. `produced` sees the answer when the callee hands it over.
   */
  call(place: Place, method: string, args: readonly unknown[], produced?: (value: unknown, by: Instance) => void): Promise<unknown> {
    const caller = this.current;
    const given = method === "fetch" ? args : structuredClone(args);
    return new Promise((resolve, reject) => {
      const answer = (settle: () => void): void => this.send(caller, settle, this.#faults.late);
      const lost = (): boolean => !this.calm && this.chance(this.#faults.loss);
      if (lost()) return answer(() => reject(new Error("the request was lost")));
      this.send(undefined, () => {
        if (!this.calm && this.now < place.cutOffUntil) return answer(() => reject(new Error("it cannot be reached")));
        const callee = this.running(place);
        this.current = callee;
        callee.deaths.push(() => answer(() => reject(new Error("it was replaced"))));
        const gone = lost();
        const done = async (): Promise<unknown> => (callee.object as Record<string, (...a: unknown[]) => unknown>)[method]?.(...given);
        done().then(
          (value) => (produced?.(value, callee), answer)(() => (gone ? reject(new Error("the answer was lost")) : resolve(value instanceof Response ? value : structuredClone(value)))),
          (cause: unknown) => answer(() => reject(cause instanceof Error ? cause : new Error("failed"))),
        );
      }, this.#faults.late);
    });
  }

  #die(instance: Instance): void {
    instance.dead = true;
    for (const tell of instance.deaths.splice(0)) tell();
  }

  /** Something that `owner` will be given at a moment that the seed chooses. */
  send(owner: Instance | undefined, run: () => void, late = 0): void {
    this.#messages.push({ owner, run, at: this.now + (this.chance(late) ? this.below(60_000) : 0) });
  }

  /** No message can be handed over now. */
  get quiet(): boolean {
    return !this.#messages.some((one) => one.at <= this.now);
  }

  /** Hands over one message, any of those under way. */
  async deliver(): Promise<void> {
    const message = this.pick(this.#messages.filter((one) => one.at <= this.now));
    if (message === undefined) return;
    this.#messages.splice(this.#messages.indexOf(message), 1);
    await this.turn(message.owner, message.run);
  }

  /** Lets time pass; timers run when they are due, alarms too. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    for (;;) {
      const next = this.#next(until);
      if (next === undefined) break;
      this.now = Math.max(this.now, next.at);
      await this.turn(next.owner, next.run);
    }
    this.now = Math.max(this.now, until);
  }

  #next(until: number): Due | undefined {
    let first: Due | undefined;
    let timer: number | undefined;
    for (const [id, one] of this.#timers) {
      if (one.at <= until && (first === undefined || one.at < first.at)) [first, timer] = [one, id];
    }
    for (const place of this.places.values()) {
      const at = place.storage.alarmAt;
      if (at !== undefined && at <= until && (first === undefined || at < first.at)) [first, timer] = [{ owner: undefined, at, run: () => this.#alarm(place) }, undefined];
    }
    if (timer !== undefined) this.#timers.delete(timer);
    return first;
  }

  #alarm(place: Place): void {
    place.storage.alarmAt = undefined;
    const instance = this.running(place);
    this.current = instance;
    place.alarmRuns++;
    const done = (failed: boolean): void => {
      if (place.instance !== instance) return;
      place.alarmRuns--;
      if (failed) place.storage.alarmAt ??= this.now + 2_000;
    };
    const { alarm } = instance.object as { alarm?: () => Promise<void> };
    Promise.resolve(alarm?.call(instance.object)).then(
      () => done(false),
      () => done(true),
    );
  }

  /** One turn of an object: everything that follows from `run` without another message. */
  async turn(owner: Instance | undefined, run: () => void): Promise<void> {
    if (owner?.dead === true) return;
    this.current = owner;
    try {
      run();
    } catch {
      // The instance died of it; what it held is gone.
    }
    await new Promise((resolve) => setImmediate(resolve));
    this.current = undefined;
  }

  close(): void {
    for (const place of this.places.values()) place.storage.close();
  }
}
