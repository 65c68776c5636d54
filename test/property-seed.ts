/**
 * Property tests draw the same cases in every run, so that a failure is a change's doing and can be
 * run again. POSTERN_TEST_SEED looks elsewhere.
 */
import fc from "fast-check";

const SEED = 20_261_122;

fc.configureGlobal({ seed: Number(process.env["POSTERN_TEST_SEED"] ?? SEED) });
