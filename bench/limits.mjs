/**
 * Eight processes call one simulated portal at 2/50 as fast as its shared limits let them: for a minute alone, and
 * beside a foreign program that takes half of the rate for two minutes and then goes. To be reached: no refusal and
 * 97 % of what the bucket allows; beside the foreign one no lost call, and the whole rate again two minutes after it.
 *
 * `--rate 5 --burst 250` for another portal; `--alone` leaves the second part out.
 */
import { parseArgs } from 'node:util';
import { hammer } from '../test/support/limits/hammer.mjs';
import { table } from './support/table.mjs';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '2' },
    burst: { type: 'string', default: '50' },
    alone: { type: 'boolean', default: false },
  },
});
const [rate, burst] = [Number(values.rate), Number(values.burst)];
const reachUsed = 0.97;
const windowSeconds = 20;

const alone = await hammer({ rate, burst, seconds: 60 });
const { ours = 0, oursRefused = 0 } = alone.seconds.at(-1) ?? {};
const used = ours / alone.allowed;
console.log(`8 processes at ${rate}/${burst} for a minute`);
console.log(
  table(
    ['', 'allowed', 'used', 'refused', 'live', 'bulk', 'lost'],
    [
      [
        'alone',
        alone.allowed,
        `${ours} (${(100 * used).toFixed(1)} %)`,
        oursRefused,
        alone.done.live,
        alone.done.bulk,
        alone.lost.length,
      ].map(String),
    ],
  ),
);
if (oursRefused > 0 || used < reachUsed || alone.lost.length > 0) process.exitCode = 1;

if (!values.alone) {
  const foreign = { rate: rate / 2, fromSecond: 0, toSecond: 120 };
  const { seconds, lost, done } = await hammer({ rate, burst, seconds: 260, foreign });
  console.log(
    `\nbeside a foreign program that calls ${foreign.rate} times a second until second ${foreign.toSecond}`,
  );
  const windows = seconds.filter((_, index) => (index + 1) % windowSeconds === 0);
  const rows = windows.map((now, index) => {
    const before = windows[index - 1] ?? { ours: 0, oursRefused: 0, theirs: 0, theirsRefused: 0 };
    return [
      `${index * windowSeconds}–${(index + 1) * windowSeconds} s`,
      ((now.ours - before.ours) / windowSeconds).toFixed(2),
      String(now.oursRefused - before.oursRefused),
      ((now.theirs - before.theirs) / windowSeconds).toFixed(2),
      String(now.theirsRefused - before.theirsRefused),
    ];
  });
  console.log(table(['', 'ours/s', 'refused', 'theirs/s', 'refused'], rows));
  const last = Number(rows.at(-1)?.[1]);
  console.log(`done ${done.live} live and ${done.bulk} bulk calls, lost ${lost.length}`);
  if (lost.length > 0 || last < 0.95 * rate) process.exitCode = 1;
}
