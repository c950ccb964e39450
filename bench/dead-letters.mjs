/**
 * Dead letters by the hundred thousand: how long an operator waits for their causes, and whether the gateway's answers slow
 * down meanwhile. To be reached: each answer within a second, also the first.
 *
 * How to read the table. Two consumers have half of the letters each, of many portals and three causes; neither of them runs. The gateway
 * is loaded in rounds, in turns with nobody at the console, and with two operators who each ask for the causes once more as
 * soon as they have the answer, one of them for one portal: far more than the console, which asks every ten seconds. `p99` is that of the
 * gateway's answers in a round; its ratio compares the two rounds beside each other. The first answer is one without any count before it; one
 * with a time as its filter scans all letters, as every answer once did. Of the list, a page of the oldest letters is read, the page after
 * it, one of the newest ones (by a time) and one letter by its id: each the median of five.
 *
 * `npm run bench -- dead-letters [--letters 100000] [--portals 500] [--rounds 5] [--requests 10000] [--bus rabbitmq|postgresql]`; about
 * two minutes as it stands.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import amqp from 'amqplib';
import pg from 'pg';
import { Load } from './gateway/processes.mjs';
import { busOf, number } from './support/options.mjs';
import { eventBody, Portal } from './support/portal.mjs';
import { median } from './support/quantiles.mjs';
import { Closers, startSystem } from './support/system.mjs';
import { grouped, table } from './support/table.mjs';

const CONSUMERS = ['name-formatter', 'smart-process-sync'];
const CAUSES = ['ACCESS_DENIED', 'NOT_FOUND', 'ERROR_CORE'];
const REACH_MS = 1_000;
const CONNECTIONS = 32;
const ROUND_TIMEOUT_MS = 120_000;
const GROUP = 1_000;
const LIST_ROUNDS = 5;

const { values } = parseArgs({
  options: {
    letters: { type: 'string', default: '100000' },
    portals: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '10000' },
    bus: { type: 'string' },
  },
});
const letters = number('letters', values.letters);
const portalCount = number('portals', values.portals);
const rounds = number('rounds', values.rounds);
const requests = number('requests', values.requests);
const ending = new AbortController();
const { signal } = ending;
const closers = new Closers();
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => ending.abort(new Error(name)));

/** @typedef {{ title: string, p50Ms: number, p99Ms: number, perSecond: number, answersMs: number[] }} Round */

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const system = await startSystem(CONSUMERS, busOf(values.bus), closers, signal);
  for (const consumer of CONSUMERS) await system.apps[consumer]?.stop();
  const portal = await Portal.create(
    system.simulatorUrl,
    'portal',
    { rate: 1_000, burst: 10_000, latencyMs: 0 },
    signal,
  );
  const bodies = [eventBody(await portal.install(`${system.gatewayUrl}/b24/install`))];
  for (const consumer of CONSUMERS) await inject(system, consumer, Math.ceil(letters / CONSUMERS.length));
  console.log(`${grouped(letters)} dead letters of ${grouped(portalCount)} portals; ${system.description}`);

  const first = await askForGroups(system, '');
  console.log(
    `the first answer: ${first.ms.toFixed(0)} ms, ${grouped(first.matching)} letters counted by then`,
  );
  const scan = await askForGroups(system, '?since=2020-01-01T00:00:00Z');
  console.log(`an answer with a scan of its own: ${scan.ms.toFixed(0)} ms`);
  await readLists(system);
  const load = new Load(closers);
  const port = Number(new URL(system.gatewayUrl).port);
  /** @type {Round[]} */
  const results = [];
  for (let round = 0; round <= rounds; round += 1) {
    const ways = [
      ['nobody looks', 0],
      ['two operators', 2],
    ];
    for (const [title, operators] of round % 2 === 0 ? ways : ways.toReversed()) {
      const order = { port, bodies, requests, connections: CONNECTIONS, timeoutMs: ROUND_TIMEOUT_MS };
      const looking = lookOn(system, Number(operators));
      const { p50Ms, p99Ms, perSecond, others } = withRate(await load.run(order));
      const answersMs = await looking.end();
      if (others > 0) throw new Error(`${others} answers of the gateway were not 200`);
      console.log(`${round || 'warm-up'}  ${title}  p99 ${p99Ms.toFixed(1)} ms  ${answersMs.length} answers`);
      if (round > 0) results.push({ title: String(title), p50Ms, p99Ms, perSecond, answersMs });
    }
  }
  show(results, first.ms);
} finally {
  await closers.close();
}

/** What the console and `relay dead list|show` ask for. @param {import('./support/system.mjs').System} system */
async function readLists(system) {
  const [consumer = ''] = CONSUMERS;
  const path = `/dead-letters?consumer=${consumer}&limit=100`;
  const { body } = await ask(system, path);
  const { id } = body.deadLetters.at(-1);
  const newest = new Date(Date.now() + 60_000).toISOString();
  const ways = {
    'the oldest 100': path,
    ...(body.next && { 'the 100 after them': `${path}&after=${body.next}` }),
    'those since a time, none': `${path}&since=${encodeURIComponent(newest)}`,
    'of one portal': `${path}&portal=${memberIdOf(0)}`,
    'one by its id': `/dead-letters/${consumer}/${id}`,
  };
  for (const [what, way] of Object.entries(ways)) {
    const times = [];
    for (let round = 0; round < LIST_ROUNDS; round += 1) times.push((await ask(system, way)).ms);
    console.log(`${what}: ${median(times).toFixed(0)} ms`);
  }
}

/** @param {import('./gateway/load.mjs').Result} result */
function withRate(result) {
  return { ...result, perSecond: result.accepted / result.seconds };
}

/** @param {import('./support/system.mjs').System} system @param {number} operators */
function lookOn(system, operators) {
  const over = new AbortController();
  /** @type {number[]} */
  const answersMs = [];
  const looks = Array.from({ length: operators }, async (_, at) => {
    while (!over.signal.aborted)
      answersMs.push((await askForGroups(system, at === 0 ? '' : `?portal=${memberIdOf(1)}`)).ms);
  });
  const all = Promise.all(looks);
  // What fails is said at the end of the round, and the system is stopped then.
  all.catch(() => undefined);
  return {
    end: async () => {
      over.abort();
      await all;
      return answersMs;
    },
  };
}

/** @param {import('./support/system.mjs').System} system @param {string} query */
async function askForGroups(system, query) {
  const { ms, body } = await ask(system, `/dead-letters/groups${query}`);
  return { ms, matching: Number(body.matching) };
}

/** @param {import('./support/system.mjs').System} system @param {string} path @returns {Promise<{ ms: number, body: any }>} */
async function ask({ operator }, path) {
  const begin = performance.now();
  const answer = await fetch(`${operator.url}/ops/api${path}`, {
    headers: { authorization: `Bearer ${operator.token}` },
    signal,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path} was refused: ${answer.status} ${text}`);
  return { ms: performance.now() - begin, body: JSON.parse(text) };
}

/** @param {number} portal */
function memberIdOf(portal) {
  return portal.toString(16).padStart(32, '0');
}

/** @param {number} at */
function messageAt(at) {
  const event = {
    id: randomUUID(),
    memberId: memberIdOf(at % portalCount),
    name: 'ONCRMCONTACTUPDATE',
    entityTypeId: 0,
    entityId: String(at),
    entity: `CRMCONTACT:${at}`,
    data: { FIELDS: { ID: String(at) } },
    ts: 1_764_057_600,
    receivedAt: 1_764_057_600_000,
  };
  return {
    content: JSON.stringify({ v: 1, ...event }),
    messageId: event.id,
    code: CAUSES[at % CAUSES.length] ?? '',
  };
}

/** @param {import('./support/system.mjs').System} system @param {string} consumer @param {number} count */
async function inject({ amqpUrl, databaseUrl }, consumer, count) {
  if (amqpUrl === undefined) {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    for (let from = 0; from < count; from += GROUP) {
      const group = groupFrom(from, count);
      await client.query(
        `INSERT INTO bus.dead_letters (consumer, shard, code, message, attempts, first_failed_at, last_failed_at, content)
         SELECT $1, 0, code, 'No', 1, now(), now(), content::json FROM unnest($2::text[], $3::text[]) AS given (code, content)`,
        [consumer, group.map(({ code }) => code), group.map(({ content }) => content)],
      );
    }
    await client.end();
    return;
  }
  const connection = await amqp.connect(amqpUrl);
  const channel = await connection.createConfirmChannel();
  for (let from = 0; from < count; from += GROUP) {
    for (const { content, messageId, code } of groupFrom(from, count)) {
      const headers = {
        'b24-code': code,
        'b24-message': 'No',
        'b24-attempts': 1,
        'b24-last-failed-at': Date.now(),
      };
      channel.sendToQueue(`b24.${consumer}.dead`, Buffer.from(content), {
        persistent: true,
        messageId,
        headers,
      });
    }
    await channel.waitForConfirms();
  }
  await connection.close();
}

/** @param {number} from @param {number} count */
function groupFrom(from, count) {
  return Array.from({ length: Math.min(GROUP, count - from) }, (_, index) => messageAt(from + index));
}

/** @param {Round[]} results @param {number} firstMs */
function show(results, firstMs) {
  const of = (/** @type {string} */ title) => results.filter((result) => result.title === title);
  const titles = [...new Set(results.map(({ title }) => title))].toSorted();
  const rows = titles.map((title) => {
    const own = of(title);
    const answersMs = own.flatMap((result) => result.answersMs);
    return [
      title,
      grouped(median(own.map(({ perSecond }) => perSecond))),
      `${median(own.map(({ p50Ms }) => p50Ms)).toFixed(1)} ms`,
      `${median(own.map(({ p99Ms }) => p99Ms)).toFixed(1)} ms`,
      ...(answersMs.length === 0
        ? ['', '', '']
        : [
            grouped(answersMs.length),
            `${median(answersMs).toFixed(0)} ms`,
            `${Math.max(...answersMs).toFixed(0)} ms`,
          ]),
    ];
  });
  const heads = ['', "gateway's 200s/s", 'p50', 'p99', 'causes read', 'median', 'slowest'];
  console.log(`\n${table(heads, rows)}`);
  const ratio = median(
    of('two operators').map(({ p99Ms }, round) => p99Ms / (of('nobody looks')[round]?.p99Ms ?? NaN)),
  );
  const slowest = Math.max(firstMs, ...results.flatMap(({ answersMs }) => answersMs));
  console.log(`\np99 of the gateway: ${ratio.toFixed(2)} times that while nobody looks`);
  console.log(
    `Slowest answer of the console's: ${slowest.toFixed(0)} ms. To be reached: ${grouped(REACH_MS)} ms`,
  );
  if (!(slowest <= REACH_MS)) process.exitCode = 1;
}
