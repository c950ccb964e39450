/**
 * `npm run chaos -- --minutes 10 --seed 7 --bus postgresql`: events under load, while everything that can be killed,
 * frozen, disconnected or filled is, at random times chosen by the seed. Prints the ledger; exits with 1 when anything
 * is wrong. With `--mode both` contacts of simulated portals change, nothing reaches the gateways half of the time, and what must be
 * handled is all that happened at the portals.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { runChaos } from './chaos.mjs';
import { Closers } from './closers.mjs';
import { complaintsAbout, textOf } from './report.mjs';
import { makeFolder } from './system.mjs';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    bus: { type: 'string', default: 'rabbitmq' },
    mode: { type: 'string', default: 'online' },
    /** 100 with 60 events a second, or in mode `both` 20 with 10 changes a second. */
    portals: { type: 'string' },
    rate: { type: 'string' },
    gateways: { type: 'string', default: '2' },
    consumers: { type: 'string', default: '3' },
    /** Only kinds of faults whose name contains this, such as `broker`. */
    only: { type: 'string', default: '' },
    /** A file for the report as JSON. */
    report: { type: 'string' },
    /** Keep the logs even when nothing is wrong. */
    keep: { type: 'boolean', default: false },
  },
});
const count = z.coerce.number().int().positive();
const { minutes, ...options } = z
  .object({
    minutes: z.coerce.number().positive(),
    seed: z.coerce.number().int().nonnegative(),
    bus: z.enum(['rabbitmq', 'postgresql']),
    mode: z.enum(['online', 'both']),
    portals: count.default(values.mode === 'both' ? 20 : 100),
    rate: z.coerce
      .number()
      .positive()
      .default(values.mode === 'both' ? 10 : 60),
    gateways: count,
    consumers: count,
    only: z.string(),
  })
  .parse(values);

const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));
const folder = makeFolder();
const closers = new Closers();
const startedAt = Date.now();
const say = (/** @type {string} */ line) =>
  console.log(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(7)}  ${line}`);

say(`${options.bus}, mode ${options.mode}, seed ${options.seed}; logs in ${folder}`);
let complaints = ['the run was not finished'];
try {
  const report = await runChaos(
    { ...options, seconds: Math.round(minutes * 60) },
    { folder, closers, signal: ending.signal, say },
  );
  complaints = complaintsAbout(report);
  console.log(`\n${textOf(report)}\n`);
  if (values.report) writeFileSync(values.report, JSON.stringify({ ...report, complaints }));
} catch (error) {
  if (!ending.signal.aborted) throw error;
  complaints = [`ended by ${ending.signal.reason.message}`];
} finally {
  for (const failure of await closers.close()) console.error('while closing:', failure);
  if (complaints.length === 0 && !values.keep) rmSync(folder, { recursive: true, force: true });
  else console.log(`logs: ${folder}`);
}
console.log(complaints.length === 0 ? 'Nothing is wrong.' : `WRONG: ${complaints.join('; ')}`);
process.exit(complaints.length === 0 ? 0 : 1);
