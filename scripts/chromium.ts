/**
 * The browser of tests and screenshots: Chromium out of an npm package (Linux x64); elsewhere name
 * one in CHROMIUM_PATH. Nothing of the product needs it.
 */
import bundled from "@sparticuz/chromium";
import { type Browser, chromium } from "playwright-core";

/** Own arguments: the package's list is for a single process, which ends with its first closed context. */
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];

/** The program's path; the package unpacks itself into the temporary folder when it is first asked. */
export async function chromiumPath(): Promise<string> {
  return process.env["CHROMIUM_PATH"] ?? bundled.executablePath();
}

/** Starts Chromium without a window. */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: await chromiumPath(), args: ARGUMENTS });
}
