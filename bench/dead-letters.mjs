/**
 * Dead letters by the hundred thousand: how long an operator waits, and whether the gateway's answers slow down meanwhile. To be
 * reached: each answer of the console within a second, also the first; the p99 of the gateway's answers while operators look at most
 * 1.2 times that while nobody does.
 *
 * How to read the table. Two consumers have half of the letters each, of many portals and three causes; neither of them runs, and
 * letters are added meanwhile, so that no count stays right. The gateway gets events at a rate that leaves the machine some time: at
 * its highest speed, any process beside it takes from it what it uses, whatever it does. The rounds are in turns: with nobody at
 * the console, and with two operators who each click once a second, in turns on all causes, those of a portal, the letters of a
 * cause, the page after them, and a letter; the console itself asks every ten seconds. `p99` is that of the gateway's
 * answers in a round, from when a request was due; the ratio is that of the two rounds beside each other. CPU is that of a process for each
 * second of the round: everything shares the cores of this machine, the load too, and what does not fit waits; `others` is what
 * does not belong to the benchmark, but for the simulator. `--quick` lets the
 * operators ask once more as soon as they have an answer, which no console does.
 *
 * Before the rounds, with nothing else to do: the first answer is one without any count before it; one with a time as its filter; of the list,
 * a page of the oldest letters is read, the page after it, one of the newest ones (by a time) and one letter by its id:
 * each the median of five.
 *
 * `npm run bench -- dead-letters [--letters 100000] [--portals 500] [--rounds 5] [--seconds 20] [--per-second 300] [--dying 1] [--quick]`
 * `[--bus rabbitmq|postgresql]`; about six minutes as it stands.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import amqp from 'amqplib';
import pg from 'pg';
import { Load } from './gateway/processes.mjs';
import { BusyWatch } from './support/busy-watch.mjs';
import { brokerCpuSeconds, cpuSeconds, DatabaseCpu } from './support/cpu.mjs';
import { busOf, number } from './support/options.mjs';
import { eventBody, Portal } from './support/portal.mjs';
import { median } from './support/quantiles.mjs';
import { Closers, startSystem } from './support/system.mjs';
import { grouped, table } from './support/table.mjs';

const CONSUMERS = ['name-formatter', 'smart-process-sync'];
const CAUSES = ['ACCESS_DENIED', 'NOT_FOUND', 'ERROR_CORE'];
const REACH_MS = 1_000;
const REACH_RATIO = 1.2;
const CONNECTIONS = 32;
const ROUND_TIMEOUT_MS = 120_000;
const GROUP = 1_000;
const LIST_ROUNDS = 5;
const OPERATORS = 2;
const CLICK_EVERY_MS = 1_000;

const { values } = parseArgs({
  options: {
    letters: { type: 'string', default: '100000' },
    portals: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '20' },
    'per-second': { type: 'string', default: '300' },
    dying: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    bus: { type: 'string' },
  },
});
const letters = number('letters', values.letters);
const portalCount = number('portals', values.portals);
const rounds = number('rounds', values.rounds);
const roundSeconds = number('seconds', values.seconds);
const perSecond = number('per-second', values['per-second']);
const dying = number('dying', values.dying);
const ending = new AbortController();
const { signal } = ending;
const closers = new Closers();
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => ending.abort(new Error(name)));

/** @typedef {{ what: string, ms: number }} Click */
/** @typedef {{ title: string, p50Ms: number, p99Ms: number, busy: number, clicks: Click[], cpu: Record<string, number> }} Round */

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
  console.log(`one with a time as its filter: ${scan.ms.toFixed(0)} ms`);
  await readLists(system);
  const load = new Load(closers);
  const port = Number(new URL(system.gatewayUrl).port);
  const databaseCpu = new DatabaseCpu(system.databaseUrl);
  closers.add(() => databaseCpu.stop());
  /** @returns {Record<string, number>} */
  const cpuOf = () => ({
    gateway: cpuSeconds(system.apps['gateway']?.pid() ?? 0) ?? NaN,
    'control plane': cpuSeconds(system.apps['control-plane']?.pid() ?? 0) ?? NaN,
    broker: system.amqpUrl === undefined ? 0 : brokerCpuSeconds(),
    database: databaseCpu.seconds(),
    load: cpuSeconds(load.pid) ?? NaN,
    benchmark: cpuSeconds(process.pid) ?? NaN,
  });
  const stopDying = startDying(system);
  /** @type {Round[]} */
  const results = [];
  for (let round = 0; round <= rounds; round += 1) {
    const ways = /** @type {const} */ ([
      ['nobody looks', 0],
      ['two operators', OPERATORS],
    ]);
    for (const [title, operators] of round % 2 === 0 ? ways : ways.toReversed()) {
      const requests = roundSeconds * perSecond;
      const order = {
        port,
        bodies,
        requests,
        connections: CONNECTIONS,
        timeoutMs: ROUND_TIMEOUT_MS,
        perSecond,
      };
      const looking = lookOn(system, operators);
      const busyWatch = new BusyWatch();
      const before = cpuOf();
      const { p50Ms, p99Ms, others, seconds } = await load.run(order);
      const after = cpuOf();
      const busy = busyWatch.share();
      const clicks = await looking.end();
      if (others > 0) throw new Error(`${others} answers of the gateway were not 200`);
      const cpu = Object.fromEntries(
        Object.entries(after).map(([name, value]) => [name, (value - (before[name] ?? NaN)) / seconds]),
      );
      // Who reads the figures of a round has to know that something else ran beside it.
      cpu['others'] = Math.max(0, busy * availableParallelism() - sumOf(Object.values(cpu)));
      console.log(
        `${round || 'warm-up'}  ${title}  p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms  busy ${percent(busy)}  ${clicks.length} answers`,
      );
      if (round > 0) results.push({ title, p50Ms, p99Ms, busy, clicks, cpu });
    }
  }
  await stopDying();
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

/** @param {import('./support/system.mjs').System} system @param {number} operators */
function lookOn(system, operators) {
  const over = new AbortController();
  /** @type {Click[]} */
  const clicks = [];
  const looks = Array.from({ length: operators }, async (_, at) => {
    for await (const { what, ms } of clicking(system, CONSUMERS[at % CONSUMERS.length] ?? '')) {
      clicks.push({ what, ms });
      if (over.signal.aborted) return;
      if (!values.quick) await sleep(Math.max(0, CLICK_EVERY_MS - ms));
    }
  });
  const all = Promise.all(looks);
  // What fails is said at the end of the round, and the system is stopped then.
  all.catch(() => undefined);
  return {
    end: async () => {
      over.abort();
      await all;
      return clicks;
    },
  };
}

/** One operator. @param {import('./support/system.mjs').System} system @param {string} consumer */
async function* clicking(system, consumer) {
  for (let turn = 0; ; turn += 1) {
    const portal = memberIdOf(turn % portalCount);
    yield { what: 'causes', ...(await ask(system, '/dead-letters/groups')) };
    yield { what: 'causes of a portal', ...(await ask(system, `/dead-letters/groups?portal=${portal}`)) };
    const path = `/dead-letters?consumer=${consumer}&error=${CAUSES[turn % CAUSES.length]}&limit=100`;
    const page = await ask(system, path);
    yield { what: 'list', ...page };
    const { next, deadLetters } = page.body;
    if (next) yield { what: 'next page', ...(await ask(system, `${path}&after=${next}`)) };
    const id = deadLetters.at(-1)?.id;
    if (id) yield { what: 'letter', ...(await ask(system, `/dead-letters/${consumer}/${id}`)) };
  }
}

/** Letters of each consumer, so many a second. @param {import('./support/system.mjs').System} system */
function startDying(system) {
  const over = new AbortController();
  const died = (async () => {
    while (!over.signal.aborted) {
      for (const consumer of CONSUMERS) await inject(system, consumer, dying);
      await sleep(1_000, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  died.catch(() => undefined);
  return async () => {
    over.abort();
    await died;
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
  if (!answer.ok) throw new Error(`${path} was rejected: ${answer.status} ${text}`);
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
  const names = Object.keys(results[0]?.cpu ?? {});
  const rows = titles.map((title) => {
    const own = of(title);
    return [
      title,
      `${median(own.map(({ p50Ms }) => p50Ms)).toFixed(1)} ms`,
      `${median(own.map(({ p99Ms }) => p99Ms)).toFixed(1)} ms`,
      percent(median(own.map(({ busy }) => busy))),
      ...names.map((name) => percent(median(own.map(({ cpu }) => cpu[name] ?? NaN)))),
    ];
  });
  console.log(`\n${table(['', 'p50', 'p99', 'busy', ...names], rows)}`);
  const clicks = results.flatMap((result) => result.clicks);
  const kinds = [...new Set(clicks.map(({ what }) => what))].map((what) => {
    const times = clicks.filter((click) => click.what === what).map(({ ms }) => ms);
    return [
      what,
      grouped(times.length),
      `${median(times).toFixed(0)} ms`,
      `${Math.max(...times).toFixed(0)} ms`,
    ];
  });
  console.log(`\n${table(['read by the operators', 'times', 'median', 'slowest'], kinds)}`);
  const ratios = of('two operators').map(
    ({ p99Ms }, round) => p99Ms / (of('nobody looks')[round]?.p99Ms ?? NaN),
  );
  const [ratio, least, most] = [median(ratios), Math.min(...ratios), Math.max(...ratios)];
  console.log(
    `\np99 of the gateway: ${ratio.toFixed(2)} times that while nobody looks (${ratios.length} rounds: ${least.toFixed(2)} to ${most.toFixed(2)}). To be reached: ${REACH_RATIO}`,
  );
  const slowest = Math.max(firstMs, ...clicks.map(({ ms }) => ms));
  console.log(
    `Slowest answer of the console's: ${slowest.toFixed(0)} ms. To be reached: ${grouped(REACH_MS)} ms`,
  );
  if (!(slowest <= REACH_MS && ratio <= REACH_RATIO)) process.exitCode = 1;
}

/** @param {readonly number[]} numbers */
function sumOf(numbers) {
  return numbers.reduce((sum, one) => sum + one, 0);
}

/** @param {number} share */
function percent(share) {
  return `${Math.round(100 * share)} %`;
}
