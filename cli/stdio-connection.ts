/**
 * Standard input and output as one connection. Standard output outlives it: what is printed after
 * it, and the exit code, must still get through.
 */
import { Duplex } from "node:stream";

export function stdioConnection(): Duplex {
  const { stdin, stdout } = process;
  const connection = new Duplex({
    allowHalfOpen: true,
    read: () => void stdin.resume(),
    write: (bytes: Uint8Array, _encoding, done) => void stdout.write(bytes, (error) => done(error)),
    final: (done) => done(),
    destroy: (error, done) => {
      stdin.off("data", take);
      stdin.destroy();
      done(error);
    },
  });
  const take = (bytes: Buffer): void => {
    if (!connection.push(bytes)) stdin.pause();
  };
  stdin.on("data", take);
  stdin.pause();
  stdin.once("end", () => void connection.push(null));
  stdin.on("error", () => connection.destroy());
  // Whoever reads it is gone: the connection is broken, which is no failure of ours.
  stdout.on("error", () => connection.destroy());
  return connection;
}
