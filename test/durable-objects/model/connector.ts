/**
 * A connector at the other end of a lane's socket, as far as the lane can tell: it answers every
 * stream with a head, sends what the test tells it to, and acknowledges cuts. Messages keep their
 * order and take their time.
 */
import { readEdgeMessage } from "../../../protocol/control.ts";
import { encodeAnswerHead, HeadReader, parseOpenHead } from "../../../protocol/head.ts";
import { Mux } from "../../../protocol/mux.ts";
import type { Instance, Place, World } from "./world.ts";

const HEAD = encodeAnswerHead({ v: 1, status: 200, headers: [], body: "stream" });

export class ModelConnector {
  readonly #world: World;
  readonly #lane: Place;
  readonly #mux: Mux;
  readonly #heads = new Map<number, HeadReader>();
  /** Streams that were opened here and not destroyed: request id by number. */
  readonly streams = new Map<number, string>();
  /** False: apps take their time; `answerAll` lets them answer. */
  answers = true;
  readonly #unanswered: number[] = [];
  readonly #inbox: (string | Uint8Array)[] = [];
  readonly #outbox: (string | ArrayBuffer)[] = [];
  readonly #ends = new WeakMap<Instance, object>();
  #attachment: unknown;

  constructor(world: World, lane: Place, attachment: unknown) {
    this.#world = world;
    this.#lane = lane;
    this.#attachment = attachment;
    this.#mux = new Mux({ role: "connector", now: world.clock });
  }

  /** The lane's end of the socket for one of its instances; only the newest instance has it. */
  socketFor(instance: Instance): object {
    const end = {
      bufferedAmount: 0,
      readyState: 1,
      send: (message: string | Uint8Array) => {
        if (this.#lane.instance !== instance) return;
        this.#inbox.push(typeof message === "string" ? message : message.slice());
        this.#world.send(undefined, () => this.#receive());
      },
      close: () => undefined,
      serializeAttachment: (value: unknown) => {
        this.#attachment = structuredClone(value);
      },
      deserializeAttachment: () => structuredClone(this.#attachment),
    };
    this.#ends.set(instance, end);
    return end;
  }

  /** The app wrote something on this stream. */
  write(number: number, text: string): void {
    this.#mux.write(number, new TextEncoder().encode(text));
    this.#flush();
  }

  #receive(): void {
    const message = this.#inbox.shift();
    if (message === undefined) return;
    if (typeof message === "string") return this.#control(message);
    for (const event of this.#mux.receive(message)) {
      if (event.type === "open") this.#heads.set(event.id, new HeadReader("open"));
      else if (event.type === "data") this.#data(event.id, event.bytes);
      else if (event.type === "reset") this.streams.delete(event.id);
    }
    this.#flush();
  }

  #data(id: number, bytes: Uint8Array): void {
    this.#mux.consumed(id, bytes.length, "now");
    const read = this.#heads.get(id)?.feed(bytes);
    if (read?.type !== "head") return;
    this.#heads.delete(id);
    const head = parseOpenHead(read.json);
    if (!head.ok) throw new Error("a stream-open that no connector would take");
    this.streams.set(id, head.value.req);
    this.#unanswered.push(id);
    if (this.answers) this.#answerAll();
  }

  /** Every app that took its time answers now. */
  answerAll(): void {
    this.#answerAll();
    this.#flush();
  }

  #answerAll(): void {
    for (const id of this.#unanswered.splice(0)) if (HEAD.ok) this.#mux.write(id, HEAD.value);
  }

  #control(text: string): void {
    const read = readEdgeMessage(text);
    if (read.type !== "message" || read.message.t !== "cut") return;
    for (const id of read.message.streams) {
      this.streams.delete(id);
      this.#mux.reset(id);
    }
    this.#flush();
    this.#send(JSON.stringify({ t: "cut_ack", id: read.message.id }));
  }

  #flush(): void {
    for (const bytes of this.#mux.takeOutput()) this.#send(new Uint8Array(bytes).buffer);
  }

  #send(message: string | ArrayBuffer): void {
    this.#outbox.push(message);
    this.#world.send(undefined, () => {
      const next = this.#outbox.shift();
      if (next === undefined) return;
      const instance = this.#world.running(this.#lane);
      this.#world.current = instance;
      const lane = instance.object as { webSocketMessage(socket: unknown, message: unknown): Promise<void> };
      lane.webSocketMessage(this.#ends.get(instance), next).catch(() => undefined);
    });
  }
}
