/** What runs behind a login of the run: `node shell.ts PORT NAME` joins the session's terminal to the app, both ways, and ends with either. */
import { connect } from "node:net";

const [port = "", name = ""] = process.argv.slice(2);
const app = connect({ host: "127.0.0.1", port: Number(port), noDelay: true });
const over = (): void => process.exit(0);
app.on("error", over).on("close", over);
process.stdin.on("error", over).on("close", over);
process.stdout.on("error", over);
app.write(`open ${name}\n`);
process.stdin.pipe(app).pipe(process.stdout);
