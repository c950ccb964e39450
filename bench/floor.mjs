/**
 * What the chain from the POST of an event to its acknowledgement takes on RabbitMQ without anything of ours: a load, a
 * `node:http` server with amqplib (the one of `bench -- gateway`), the broker, and a consumer that parses a message and
 * acknowledges it. It says what is left for `bench -- chain` to win; nothing is to be reached.
 *
 * How to read the table. The broker is one of this run, with the exchange and the sixteen quorum queues of a consumer.
 * `broker` is the CPU of its process for each event, and so on. `all` is their sum: two cores can do no more events a
 * second than two seconds hold of it. The values are medians of the rounds.
 *
 * `npm run bench -- floor [--events 20000] [--portals 40] [--rounds 5]`; on Linux with RabbitMQ installed, one minute.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import amqp from 'amqplib';
import { privateBroker } from '../test/support/private-broker.mjs';
import { Load, startServer } from './gateway/processes.mjs';
import { cpuSeconds } from './support/cpu.mjs';
import { formOf } from './support/event-poster.mjs';
import { number } from './support/options.mjs';
import { median } from './support/quantiles.mjs';
import { Closers, deployedMemory } from './support/system.mjs';
import { grouped, table } from './support/table.mjs';
import { until } from './support/wait.mjs';

const CONNECTIONS = 64;
const PREFETCH = 4_000;
const ROUND_TIMEOUT_MS = 120_000;
const PARTS = /** @type {const} */ (['load', 'server', 'broker', 'consumer']);

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '20000' },
    portals: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '5' },
  },
});
const options = {
  events: number('events', values.events),
  portals: number('portals', values.portals),
  rounds: number('rounds', values.rounds),
};
const ending = new AbortController();
const closers = new Closers();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ending.abort(new Error(signal)));

try {
  execFileSync(process.execPath, [join(import.meta.dirname, '../scripts/prepare.mjs')], { stdio: 'inherit' });
  const broker = await privateBroker();
  closers.add(() => broker.stop());
  const consumer = await consume(broker.url);
  const grants = Array.from({ length: options.portals }, () => ({
    member_id: randomBytes(16).toString('hex'),
    application_token: randomBytes(16).toString('hex'),
    domain: 'portal.bitrix24.com',
    client_endpoint: 'https://portal.bitrix24.com/rest/',
  }));
  const system = { amqpUrl: broker.url, databaseUrl: '' };
  const { port, pid } = await startServer('bare', system, grants, deployedMemory('gateway'), closers);
  const load = new Load(closers);
  const pids = { load: load.pid, server: pid, broker: pidOf(broker.node), consumer: process.pid };
  const cpu = () => PARTS.map((part) => cpuSeconds(pids[part]) ?? NaN);
  const bodies = grants.map((grant, n) => formOf(grant, n + 1, n + 1));
  /** @type {number[][]} µs of each part, then events a second */
  const results = [];
  // The first round is not counted: the code is not compiled yet.
  for (let round = 0; round <= options.rounds; round += 1) {
    const [before, received, begin] = [cpu(), consumer.received(), performance.now()];
    await load.run({
      port,
      bodies,
      requests: options.events,
      connections: CONNECTIONS,
      timeoutMs: ROUND_TIMEOUT_MS,
    });
    const isDone = async () => consumer.received() - received >= options.events || undefined;
    await until('not all events are acknowledged', isDone, {
      everyMs: 20,
      timeoutMs: ROUND_TIMEOUT_MS,
      signal: ending.signal,
    });
    const seconds = (performance.now() - begin) / 1_000;
    const after = cpu();
    const micros = after.map((each, n) => (1e6 * (each - (before[n] ?? NaN))) / options.events);
    if (round > 0) results.push([...micros, options.events / seconds]);
  }
  const [perSecond = NaN, ...micros] = [PARTS.length, ...PARTS.keys()].map((n) =>
    median(results.map((result) => result[n] ?? NaN)),
  );
  const all = micros.reduce((sum, each) => sum + each, 0);
  const cells = [grouped(perSecond), ...[...micros, all].map((each) => `${each.toFixed(0)} µs`)];
  console.log(`\n${table(['events/s', ...PARTS, 'all'], [cells])}`);
  console.log(`\nTwo cores can do ${grouped(2e6 / all)} events a second.`);
} finally {
  await closers.close();
}

/** @param {string} url */
async function consume(url) {
  /** @type {typeof import('../libs/bus/src/rabbitmq/topology.js')} */
  const { declareConsumer, declareEvents, shardQueue } = await import(
    join(import.meta.dirname, '../dist/libs/bus/src/rabbitmq/topology.js')
  );
  const connection = await amqp.connect(url, { noDelay: true });
  closers.add(() => connection.close());
  const channel = await connection.createChannel();
  await declareEvents(channel);
  const name = 'floor';
  await declareConsumer(channel, { consumer: name, names: ['ONCRMCONTACTUPDATE'], retryDelaysMs: [] });
  await channel.prefetch(PREFETCH);
  let received = 0;
  /** @type {import('amqplib').ConsumeMessage | undefined} */
  let last;
  const take = (/** @type {import('amqplib').ConsumeMessage | null} */ message) => {
    if (message === null) throw new Error('a queue is gone');
    JSON.parse(message.content.toString('utf8'));
    received += 1;
    // One frame for all that came together, as our own consumer does it.
    if (last === undefined) {
      setImmediate(() => {
        if (last) channel.ack(last, true);
        last = undefined;
      });
    }
    last = message;
  };
  for (let shard = 0; shard < 16; shard += 1) await channel.consume(shardQueue(name, shard), take);
  return { received: () => received };
}

/** Of the Erlang machine, whose environment has the name of the node. @param {string} node */
function pidOf(node) {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  const found = pids.find((pid) => {
    try {
      const [program] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      return program?.endsWith('beam.smp') && environment.includes(`RABBITMQ_NODENAME=${node}`);
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`the process of ${node} was not found`);
  return Number(found);
}
