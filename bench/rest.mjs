/**
 * A mass update of 10,000 contacts whose names have to be put right, against the least time that the portal's rate limit
 * allows: b24-relay, the official SDK's batch helper, and one request to read and one to write for each. To be reached:
 * b24-relay within 1.05 times the least time and requests.
 *
 * How to read the table. `requests` were counted by the simulated portal, until the last name was right. The least time
 * is that of the least requests: 2,500 reads or 50 writes each, and (requests − burst) / rate seconds until the last one
 * is let in. The slower ways are run with fewer contacts, against the least time for as many, and scaled to all of them:
 * as many requests for each, at the pace that was seen behind the burst. `echo` are requests after the last name was
 * right, for what a program's own updates told of themselves. Everything runs on this machine, b24-relay with each app
 * in a process of its own.
 *
 * `npm run bench -- rest [--contacts 10000] [--slow-contacts 4000] [--slowest-contacts 60] [--rate 2] [--burst 50]`
 * `[--latency 0] [--bus rabbitmq|postgresql] [--only relay]`; about four minutes as it stands.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { leastRequests, leastSeconds, scaledSeconds } from './rest/lower-bound.mjs';
import { readOptions } from './rest/options.mjs';
import { measured, oneByOne, relay, sdkBatches } from './rest/variants.mjs';
import { Closers, startSystem } from './support/system.mjs';
import { duration, grouped, table } from './support/table.mjs';

const reach = 1.05;
const reachRequests = 1.05;
const options = readOptions(process.argv.slice(2));
const { contacts, slowContacts, slowestContacts, limit } = options;
const ending = new AbortController();
const closers = new Closers();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const system = await startSystem(['name-formatter'], options.bus, closers, ending.signal);
  console.log(
    `${limit.rate} requests a second, ${limit.burst} at once; ${options.latencyMs} ms an answer; ${system.description}`,
  );
  const context = { system, options, signal: ending.signal, progress };
  const ways = [
    { key: 'relay', title: 'b24-relay', count: contacts, way: relay(context) },
    {
      key: 'sdk',
      title: 'SDK, batch helper',
      count: slowContacts,
      way: sdkBatches(context, slowContacts, false),
    },
    {
      key: 'packed',
      title: 'SDK, lists packed by hand',
      count: slowContacts,
      way: sdkBatches(context, slowContacts, true),
    },
    { key: 'single', title: 'one read, one write each', count: slowestContacts, way: oneByOne(context) },
  ];
  const results = [];
  for (const { key, title, count, way } of ways) {
    if (options.only !== undefined && options.only !== key) continue;
    const result = await measured(way, key, count, context);
    clearProgress();
    results.push({ key, title, ...result });
  }
  show(results);
  const own = results.find(({ key }) => key === 'relay');
  if (own && (ratio(own) > reach || requestRatio(own) > reachRequests)) process.exitCode = 1;
} finally {
  clearProgress();
  await closers.close();
}

/** @typedef {{ key: string, title: string } & import('./rest/variants.mjs').Measured} Result */

/** @param {Result[]} results */
function show(results) {
  const all = grouped(contacts);
  const least = leastSeconds(leastRequests(contacts), limit);
  console.log(`\nLeast possible for ${all}: ${leastRequests(contacts)} requests, ${duration(least)}\n`);
  const heads = [
    '',
    'contacts',
    'requests',
    'rejected',
    'echo',
    'took',
    'least',
    'ratio',
    `for ${all}`,
    'ratio',
  ];
  console.log(
    table(
      heads,
      results.map((result) => {
        const isScaled = result.contacts !== contacts;
        const seconds = isScaled ? scaledSeconds(result, contacts, limit) : result.seconds;
        return [
          result.title,
          grouped(result.contacts),
          grouped(result.requests),
          grouped(result.rejected),
          grouped(result.echo),
          duration(result.seconds),
          duration(leastSeconds(leastRequests(result.contacts), limit)),
          spelled(ratio(result)),
          `${isScaled ? '~ ' : ''}${duration(seconds)}`,
          spelled(least > 0 ? seconds / least : Infinity),
        ];
      }),
    ),
  );
  console.log('\n~ is scaled from fewer contacts.');
  for (const result of results) {
    const counts = Object.entries(result.calls).map(([method, count]) => `${method} ${grouped(count)}`);
    console.log(
      `${result.title}: ${counts.join(', ')}; ${spelled(requestRatio(result))} times the least requests`,
    );
  }
  console.log(`To be reached by b24-relay: ${reach} of the time, ${reachRequests} of the requests`);
}

/** @param {{ contacts: number, seconds: number }} result against the least time for as many contacts */
function ratio({ contacts: count, seconds }) {
  const least = leastSeconds(leastRequests(count), limit);
  return least > 0 ? seconds / least : Infinity;
}

/** @param {{ contacts: number, requests: number }} result against the least requests for as many contacts */
function requestRatio({ contacts: count, requests }) {
  return requests / leastRequests(count);
}

/** The burst covers so few contacts. @param {number} value */
function spelled(value) {
  return Number.isFinite(value) ? value.toFixed(2) : '–';
}

/** @param {number} done @param {number} of */
function progress(done, of) {
  if (process.stdout.isTTY) process.stdout.write(`\r${grouped(done)} of ${grouped(of)} written `);
}

function clearProgress() {
  if (process.stdout.isTTY) process.stdout.write('\r\u001b[K');
}
