/**
 * This machine as a device of each edge: a key of its own for each, where its reports stand, and the
 * report that is on its way. Key and numbers are one file, replaced whole: who restores an old copy
 * of it contradicts what was reported since, and the edge takes that for a second machine.
 */
import { generateConnectorKey, parseConnectorKey, type ConnectorKey } from "../identity/connector-proof.ts";
import { AgentFailure } from "./agent-failure.ts";
import type { StateFolder } from "./state-folder.ts";

const FILE = "devices.json";

export interface DeviceState {
  readonly key: ConnectorKey;
  /** Of the last report that the edge counted. */
  readonly seq: number;
  /** Digest of the last report that the edge stored. */
  readonly kept: string;
  /** A signed report that the edge may or may not have; sent again until it says so. */
  readonly pending?: string;
  /** Digest of the token by whose session this device was enrolled last. */
  readonly enrolledBy?: string;
}

interface Stored extends Omit<DeviceState, "key"> {
  readonly key: unknown;
}

export class DeviceStateFile {
  readonly #folder: StateFolder;
  readonly #edge: string;

  constructor(folder: StateFolder, edge: string) {
    this.#folder = folder;
    this.#edge = edge;
  }

  get path(): string {
    return this.#folder.file(FILE);
  }

  /** The state, made if there is none. Throws AgentFailure. */
  read(): Promise<DeviceState> {
    return this.change((state) => state);
  }

  /** Forgets the device: the next one has another key. Throws AgentFailure. */
  forget(): Promise<void> {
    return this.#folder.alone(() => {
      const { [this.#edge]: _gone, ...others } = this.#stored();
      this.#write(others);
    });
  }

  /** Changes the state by one process at a time; what is written is there before this resolves. Throws AgentFailure. */
  change(next: (state: DeviceState) => DeviceState): Promise<DeviceState> {
    return this.#folder.alone(async () => {
      const all = this.#stored();
      const before = all[this.#edge];
      const state = before === undefined ? { key: await generateConnectorKey(crypto.subtle), seq: 0, kept: "" } : await this.#parse(before);
      const changed = next(state);
      if (before === undefined || changed !== state) this.#write({ ...all, [this.#edge]: { ...changed, key: changed.key.privateJwk } });
      return changed;
    });
  }

  async #parse({ key: stored, seq, kept, pending, enrolledBy }: Stored): Promise<DeviceState> {
    const key = await parseConnectorKey(stored);
    const isText = (value: unknown): boolean => value === undefined || typeof value === "string";
    if (key === undefined || !Number.isSafeInteger(seq) || seq < 0 || typeof kept !== "string" || !isText(pending) || !isText(enrolledBy)) throw this.#damaged();
    return { key, seq, kept, ...(pending === undefined ? {} : { pending }), ...(enrolledBy === undefined ? {} : { enrolledBy }) };
  }

  #stored(): Readonly<Record<string, Stored>> {
    const text = this.#folder.read(FILE);
    if (text === undefined) return {};
    this.#folder.requirePrivate(FILE);
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((one) => typeof one === "object" && one !== null)) return value as Record<string, Stored>;
    } catch {
      // As any other damage.
    }
    throw this.#damaged();
  }

  #write(all: Readonly<Record<string, Stored>>): void {
    this.#folder.write(FILE, `${JSON.stringify(all)}\n`);
  }

  #damaged(): AgentFailure {
    return new AgentFailure("device_state_damaged", `${this.path} cannot be read`, "it is damaged or was replaced", ["remove it: this machine is then a new device, with a new key"]);
  }
}
