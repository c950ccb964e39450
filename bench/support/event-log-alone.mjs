/** What the event log's writer takes of a processor by itself. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from './quantiles.mjs';

const ROUNDS = 12;
const TICK_MS = 10;
/** Rows wait for others for half a second; then a group is written. */
const LINGER_MS = 800;

/**
 * In this process, which does nothing else: so many rows at that rate, and the same loop without a writer, in turns. It is little, and
 * so is its noise, which is lost in the work of a service.
 * @param {string} databaseUrl @param {number} rows of a round @param {number} perSecond
 * @returns {Promise<{ gateway: number, consumer: number }>} microseconds of an event's row, and of an outcome's row
 */
export async function writerMicros(databaseUrl, rows, perSecond) {
  const dist = join(import.meta.dirname, '../../dist/libs/event-log/src/index.js');
  const { EventLogWriter } = await import(dist);
  const log = { info: () => undefined, warn: (/** @type {object} */ told) => console.error(told) };
  const writer = new EventLogWriter({ databaseUrl, log });
  try {
    const events = Array.from({ length: rows }, (_, index) => anEvent(index));
    return {
      gateway: await micros(events, perSecond, (event) => writer.received(event)),
      consumer: await micros(events, perSecond, ({ id }) =>
        writer.settled({ eventId: id, consumer: 'name-formatter', outcome: 'done', attempts: 0 }),
      ),
    };
  } finally {
    await writer.close();
  }
}

/**
 * @template T
 * @param {readonly T[]} rows @param {number} perSecond @param {(row: T) => void} write
 */
async function micros(rows, perSecond, write) {
  const costs = [];
  // The first round is not counted: the code is not compiled yet.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const [first, second] = round % 2 === 0 ? [write, nothing] : [nothing, write];
    const [one, other] = [await cpuOf(rows, perSecond, first), await cpuOf(rows, perSecond, second)];
    if (round > 0) costs.push((first === write ? one - other : other - one) / rows.length);
  }
  return median(costs);
}

function nothing() {}

/** @template T @param {readonly T[]} rows @param {number} perSecond @param {(row: T) => void} write */
async function cpuOf(rows, perSecond, write) {
  const before = process.cpuUsage();
  const perTick = Math.max(1, Math.round((perSecond * TICK_MS) / 1_000));
  for (let from = 0; from < rows.length; from += perTick) {
    for (const row of rows.slice(from, from + perTick)) write(row);
    await sleep(TICK_MS);
  }
  await sleep(LINGER_MS);
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** @param {number} index */
function anEvent(index) {
  return {
    id: randomUUID(),
    memberId: 'a'.repeat(32),
    name: 'ONCRMCONTACTUPDATE',
    entityTypeId: 3,
    entity: `CRMCONTACT:${index}`,
    entityId: String(index),
    receivedAt: Date.now(),
    ts: Math.floor(Date.now() / 1_000),
    data: { FIELDS: { ID: String(index) } },
  };
}
