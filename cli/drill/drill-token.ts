/** The token of a drill: short-lived, made when the one before is spent, and gone when the drill is over, however it ends. */
import { receipt, serviceToken } from "../../protocol/admin-api-shapes.ts";
import type { ReceiptAnswer, RevokeQuestion, ServiceQuestion } from "../../protocol/admin-api.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { type EdgeClient, sentJson } from "../edge-client.ts";
import { Failure } from "../failure.ts";
import type { Secrets } from "../printable.ts";

export const DRILL_SERVICE = "drill";
/** A drill takes seconds; who is killed leaves a token behind for so long. */
const EXPIRES = "10m";

export const revoke = async (client: EdgeClient, kind: RevokeQuestion["kind"], id: string): Promise<ReceiptAnswer> => (await client.post(`${ADMIN_API}/revoke`, sentJson({ kind, id } satisfies RevokeQuestion), receipt)).value;

export class DrillToken {
  readonly #client: EdgeClient;
  readonly #secrets: Secrets;
  #current: string | undefined;
  #making: Promise<unknown> | undefined;
  #isOver = false;

  constructor(client: EdgeClient, secrets: Secrets) {
    this.#client = client;
    this.#secrets = secrets;
  }

  /** A token that nothing has ended yet. Throws Failure. */
  async valid(): Promise<string> {
    return (this.#current ??= await this.#make());
  }

  /** What was revoked took it along. */
  spent(): void {
    this.#current = undefined;
  }

  /** Ends what another drill left. Throws Failure. */
  async clear(): Promise<void> {
    await revoke(this.#client, "service", DRILL_SERVICE).catch((error: unknown) => {
      if (!(error instanceof Failure) || error.code !== "unknown_id") throw error;
    });
  }

  /** Ends all that the service has, if anything was made. Throws Failure. */
  async remove(): Promise<void> {
    this.#isOver = true;
    await this.#making?.catch(() => undefined);
    if (this.#making !== undefined) await revoke(this.#client, "service", DRILL_SERVICE);
  }

  async #make(): Promise<string> {
    if (this.#isOver) throw new Failure("drill_stopped", "the drill is over", "it was told to stop", []);
    const making = this.#client.post(`${ADMIN_API}/services`, sentJson({ name: DRILL_SERVICE, expires: EXPIRES } satisfies ServiceQuestion), serviceToken);
    this.#making = making;
    const { token } = (await making).value;
    this.#secrets.add(token);
    return token;
  }
}
