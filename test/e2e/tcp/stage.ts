/** The stage of the TCP tests: the whole product with TCP apps in this process, an operator, and services with tokens. */
import { createServer, type AddressInfo, type Socket } from "node:net";
import { Readable } from "node:stream";
import type { Stack, StackOptions } from "../../../start/stack.ts";
import { DEMO_PROVIDER, startOwn, THIS_MACHINE_OPERATES } from "../../start/own-document.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { type Operator, operatorOf } from "../revocation/operator.ts";
import { type AgentOptions, TestAgent } from "./agent-client.ts";

export interface TcpApp {
  readonly url: string;
  /** Live connections. */
  readonly sockets: ReadonlySet<Socket>;
  readonly close: () => void;
}

/** A TCP app that does this with each connection. */
export async function tcpApp(serve: (socket: Socket) => void): Promise<TcpApp> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const CHUNK = Buffer.alloc(65_536, 7);
const endless = (): Readable => new Readable({ read(): void { this.push(CHUNK); } });

export interface TcpStage {
  readonly stack: Stack;
  readonly operator: Operator;
  /** Of the service `batch`, which may use echo, source and sink. */
  readonly token: string;
  readonly echo: TcpApp;
  /** Takes connections and reads nothing. */
  readonly sink: TcpApp;
  /** Once it was sent something, writes for as long as it is read; each time that it is sent a number, so many bytes. */
  readonly source: TcpApp;
  readonly document: (policies?: string) => string;
  readonly connect: (options: Partial<AgentOptions>) => Promise<TestAgent>;
  readonly end: () => Promise<void>;
}

export const BATCH = `  - { id: batch, effect: allow, apps: [echo, sink, source, web], when: { service: [batch, other] } }`;

export async function startTcpStage({ lanes = 1, more = {} }: { readonly lanes?: number; readonly more?: Partial<StackOptions> } = {}): Promise<TcpStage> {
  const state = temporaryState();
  const echo = await tcpApp((socket) => void socket.pipe(socket));
  const sink = await tcpApp((socket) => void socket.pause());
  const source = await tcpApp((socket) => {
    const serve = (asked: Buffer): void => {
      const count = Number(asked.toString());
      if (count > 0) return void socket.write(Buffer.alloc(count, 7));
      socket.off("data", serve);
      endless().pipe(socket);
    };
    socket.on("data", serve);
  });
  const document = (policies = BATCH): string => `version: 1
domain: postern.localhost
identity:
  providers:
    - ${DEMO_PROVIDER}
sites: [{ id: office, lanes: ${lanes} }]
apps:
  - { id: echo, site: office, upstream: "${echo.url}" }
  - { id: sink, site: office, upstream: "${sink.url}" }
  - { id: source, site: office, upstream: "${source.url}" }
  - { id: secret, site: office, upstream: "${echo.url}" }
  - { id: web, site: office, upstream: "http://hello.demo.localhost" }
policies:
${policies}
  - ${THIS_MACHINE_OPERATES}
`;
  const stack = await startOwn(state.path, document(), more);
  const operator = operatorOf(stack.launcher, stack.tokenFile);
  const token = await operator.createService("batch");
  return {
    stack,
    operator,
    token,
    echo,
    sink,
    source,
    document,
    connect: (options) => TestAgent.connect({ port: stack.port, host: new URL(stack.launcher).host, app: "echo", token, ...options }),
    end: async () => {
      await stack.stop();
      echo.close();
      sink.close();
      source.close();
      state.remove();
    },
  };
}
