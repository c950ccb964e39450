/**
 * Eight processes call one simulated portal at 2/50 as fast as its shared limits let them: for a minute name-formatter,
 * smart-process-sync and six readers of background work; for a minute eight that mix interactive and background work; and these beside a
 * foreign program that takes half of the rate for two minutes and then goes. To be reached: no rejection and 97 % of what
 * the bucket allows; beside the foreign one no lost call, and the whole rate again two minutes after it.
 *
 * `--rate 5 --burst 250` for another portal; `--alone` leaves the last part out; `--consumers` all but the first.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { hammer } from '../test/support/limits/hammer.mjs';
import { consumersAndReaders } from './limits/consumers.mjs';
import { table } from './support/table.mjs';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '2' },
    burst: { type: 'string', default: '50' },
    alone: { type: 'boolean', default: false },
    consumers: { type: 'boolean', default: false },
  },
});
const [rate, burst] = [Number(values.rate), Number(values.burst)];
const reachUsed = 0.97;
const windowSeconds = 20;

execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
console.log(`8 processes at ${rate}/${burst} for a minute`);
const consumers = await consumersAndReaders({ rate, burst });
/** @type {(string | number)[][]} */
const minutes = [
  [
    'consumers and readers',
    consumers.allowed,
    share(consumers.requests, consumers.allowed),
    consumers.rejected,
    consumers.requests - consumers.read,
    consumers.read,
    consumers.lost.length,
  ],
];
judge(consumers.requests / consumers.allowed, consumers.rejected, consumers.lost);
if (!values.consumers) {
  const { seconds, allowed, done, lost } = await hammer({ rate, burst, seconds: 60 });
  const { ours = 0, oursRejected = 0 } = seconds.at(-1) ?? {};
  minutes.push([
    'mixed',
    allowed,
    share(ours, allowed),
    oursRejected,
    done.interactive,
    done.background,
    lost.length,
  ]);
  judge(ours / allowed, oursRejected, lost);
}
console.log(
  table(
    ['', 'allowed', 'used', 'rejected', 'interactive', 'background', 'lost'],
    minutes.map((row) => row.map(String)),
  ),
);
const { 'crm.item.update': updated = 0, 'crm.item.list': listed = 0 } = consumers.calls;
console.log(`of consumers and readers: ${updated} names written, ${listed} lists read`);

if (!values.alone && !values.consumers) {
  const foreign = { rate: rate / 2, fromSecond: 0, toSecond: 120 };
  const { seconds, lost, done } = await hammer({ rate, burst, seconds: 260, foreign });
  console.log(
    `\nbeside a foreign program that calls ${foreign.rate} times a second until second ${foreign.toSecond}`,
  );
  const windows = seconds.filter((_, index) => (index + 1) % windowSeconds === 0);
  const rows = windows.map((now, index) => {
    const before = windows[index - 1] ?? { ours: 0, oursRejected: 0, theirs: 0, theirsRejected: 0 };
    return [
      `${index * windowSeconds}–${(index + 1) * windowSeconds} s`,
      ((now.ours - before.ours) / windowSeconds).toFixed(2),
      String(now.oursRejected - before.oursRejected),
      ((now.theirs - before.theirs) / windowSeconds).toFixed(2),
      String(now.theirsRejected - before.theirsRejected),
    ];
  });
  console.log(table(['', 'ours/s', 'rejected', 'theirs/s', 'rejected'], rows));
  const last = Number(rows.at(-1)?.[1]);
  console.log(
    `done ${done.interactive} interactive and ${done.background} background calls, lost ${lost.length}`,
  );
  if (lost.length > 0 || last < 0.95 * rate) process.exitCode = 1;
}

/** @param {number} used @param {number} allowed */
function share(used, allowed) {
  return `${used} (${((100 * used) / allowed).toFixed(1)} %)`;
}

/** @param {number} used @param {number} rejected @param {readonly string[]} lost */
function judge(used, rejected, lost) {
  if (rejected > 0 || used < reachUsed || lost.length > 0) process.exitCode = 1;
}
