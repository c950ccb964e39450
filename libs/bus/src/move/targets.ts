import type { Log } from '@relay/platform';
import pg from 'pg';
import { eventIn } from '../admin/dead-letter-store.js';
import { ConfirmedPublisher } from '../rabbitmq/confirmed-publisher.js';
import { STAMP_CTE } from '../postgres/fetch-cursors.js';
import { deferralHeaders } from '../rabbitmq/retry-metadata.js';
import { deadQueue, declareConsumer, retryName, shardQueue } from '../rabbitmq/topology.js';
import { tierFor } from '../contract/retry-delays.js';
import { shardOf } from '../contract/shard.js';
import type { MovedDeadLetter, MoveTarget, WaitingMessage } from './moved.js';

/** No caller waits for a single one of them. */
const DEADLINE_MS = 10_000;
/** A message due this soon is delivered at once. */
const DUE_MS = 1_000;

/** The consumer's queues, declared if they do not exist; the consumer binds its events itself when it starts. */
export async function openRabbitTarget(
  url: string,
  consumer: string,
  { retryDelaysMs, log }: { retryDelaysMs: readonly number[]; log: Log },
): Promise<MoveTarget> {
  const publisher = new ConfirmedPublisher({
    url,
    name: 'move',
    log,
    deadlineMs: DEADLINE_MS,
    declare: (channel) => declareConsumer(channel, { consumer, names: [], retryDelaysMs }),
  });
  await publisher.start();
  return {
    message: ({ shard, content, attempts, firstFailedAt, code, dueInMs }: WaitingMessage) => {
      const queue = shardQueue(consumer, shard);
      const place =
        dueInMs < DUE_MS
          ? { exchange: '', routingKey: queue }
          : { exchange: retryName(consumer, tierFor(dueInMs, retryDelaysMs)), routingKey: queue };
      return publisher.publish({
        ...place,
        content,
        messageId: eventIn(content)?.id,
        headers: deferralHeaders({ attempts, firstFailedAt }, code),
      });
    },
    deadLetter: ({ code, message, attempts, firstFailedAt, lastFailedAt, content }: MovedDeadLetter) =>
      publisher.publish({
        exchange: '',
        routingKey: deadQueue(consumer),
        content,
        messageId: eventIn(content)?.id,
        headers: {
          'b24-consumer': consumer,
          'b24-attempts': attempts,
          'b24-code': code,
          'b24-message': message,
          ...(firstFailedAt !== undefined && { 'b24-first-failed-at': firstFailedAt }),
          ...(lastFailedAt !== undefined && { 'b24-last-failed-at': lastFailedAt }),
        },
      }),
    close: () => publisher.close(),
  };
}

const MESSAGE_SQL = `
  WITH ${STAMP_CTE}, stored AS (
    INSERT INTO bus.messages (consumer, shard, content, attempts, first_failed_at, last_code, available_at)
    SELECT $1, $2::smallint, $3::json, $4::int, to_timestamp($5::float8 / 1000), $6, at + $7::float8 * interval '1 millisecond' FROM stamp
    RETURNING consumer
  )
  SELECT pg_notify('b24.bus.' || consumer, '') FROM stored`;

const LETTER_SQL = `
  INSERT INTO bus.dead_letters (consumer, shard, code, message, attempts, first_failed_at, last_failed_at, content)
  VALUES ($1, $2, $3, $4, $5, coalesce(to_timestamp($6::float8 / 1000), now()), coalesce(to_timestamp($7::float8 / 1000), now()), $8::json)`;

/** The consumer's rows. @param database is not closed with the target */
export function openPostgresTarget(database: pg.Pool, consumer: string): MoveTarget {
  return {
    message: async ({ shard, content, attempts, firstFailedAt, code, dueInMs }: WaitingMessage) => {
      const values = [
        attempts,
        firstFailedAt ?? null,
        code === undefined ? null : withoutNulBytes(code),
        dueInMs,
      ];
      await database.query(MESSAGE_SQL, [consumer, shard, jsonOf(content), ...values]);
    },
    deadLetter: async ({
      code,
      message,
      attempts,
      firstFailedAt,
      lastFailedAt,
      content,
    }: MovedDeadLetter) => {
      const shard = shardOf(eventIn(content)?.memberId ?? '');
      const failure = [withoutNulBytes(code), withoutNulBytes(message), attempts];
      const times = [firstFailedAt ?? null, lastFailedAt ?? null];
      await database.query(LETTER_SQL, [consumer, shard, ...failure, ...times, jsonOf(content)]);
    },
    close: () => Promise.resolve(),
  };
}

/**
 * A queue takes any bytes, a PostgreSQL column only JSON: other content is stored as text, for an operator to read.
 */
function jsonOf(content: Buffer): string {
  const text = content.toString('utf8');
  try {
    JSON.parse(text);
    if (!text.includes('\0')) return text;
  } catch {
    // Handled below.
  }
  return JSON.stringify(text);
}

/** PostgreSQL's text type accepts every character but this one. */
const withoutNulBytes = (text: string): string => text.replaceAll('\0', '');
