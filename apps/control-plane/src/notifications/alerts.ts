import { randomUUID } from 'node:crypto';
import { inTransaction } from '@relay/portals';
import type { DataSource } from 'typeorm';

const HOUR_MS = 3_600_000;
/** A message names no more; `total` counts all. */
const MAX_NAMED = 50;
/** An alert whose number grows is told again, but not more often. */
const REMIND_MS = HOUR_MS;

/** Kinds of alerts, and for how long one must last before it is told: what passes by itself wakes nobody. */
export const GRACE_MS = {
  'portal.unreachable': 0,
  'portal.needs-reauth': 0,
  'portal.needs-webhook': 0,
  'portal.suspended': 10 * 60_000,
  'consumer.paused': 60_000,
  'consumer.dead-letters': 0,
} as const;
export type AlertKind = keyof typeof GRACE_MS;

/** Something that is wrong now. */
export interface Condition {
  kind: AlertKind;
  /** `member_id` of a portal, or the name of a consumer. */
  subject: string;
  /** For people: the portal's domain, or again the name of the consumer. */
  name: string;
  /** Of dead letters; 1 for what has no number. */
  count: number;
}

/** The body of a webhook, in the form of Standard Webhooks. */
export interface AlertMessage {
  type: AlertKind;
  timestamp: string;
  data: {
    status: 'open' | 'resolved';
    /** All that changed together. */
    total: number;
    alerts: { subject: string; name: string; count: number; since: string }[];
  };
}

/** `webhook`: to NOTIFY_URL. `portal`: to the user of the token pair, inside the portal that it is about. */
export const CHANNELS = ['webhook', 'portal'] as const;
export type Channel = (typeof CHANNELS)[number];

interface StoredAlert extends Condition {
  firstSeenAt: Date;
  notifiedAt: Date | null;
  notifiedCount: number;
}

interface TakenNotification {
  id: string;
  channel: Channel;
  message: AlertMessage;
  attempts: number;
  createdAt: Date;
}

/**
 * What is wrong and was told. A change and its notifications are stored together, so that neither a restart nor another
 * leader forgets one or tells it twice.
 */
export class Alerts {
  constructor(
    private readonly dataSource: DataSource,
    private readonly channels: readonly Channel[],
    private readonly now: () => number = Date.now,
  ) {}

  /**
   * @param kinds those that were looked at: an alert of theirs without a condition is resolved; all others stay
   * @param conditions all of these kinds
   */
  async update(kinds: readonly AlertKind[], conditions: readonly Condition[]): Promise<void> {
    const now = new Date(this.now());
    await inTransaction(this.dataSource, async (manager) => {
      // A former leader may still be at it.
      await manager.query('LOCK TABLE platform.alerts IN SHARE ROW EXCLUSIVE MODE');
      const stored = await manager.query<StoredAlert[]>(
        `SELECT kind, subject, name, count, first_seen_at AS "firstSeenAt", notified_at AS "notifiedAt",
           notified_count AS "notifiedCount"
         FROM platform.alerts WHERE kind = ANY ($1)`,
        [kinds],
      );
      const left = new Map(stored.map((alert) => [keyOf(alert), alert]));
      const opened: StoredAlert[] = [];
      const present = conditions.map((condition) => {
        const known = left.get(keyOf(condition));
        left.delete(keyOf(condition));
        const { firstSeenAt = now, notifiedAt = null, notifiedCount = 0 } = known ?? {};
        const alert = { ...condition, firstSeenAt, notifiedAt, notifiedCount };
        if (!isDue(alert, now)) return alert;
        opened.push(alert);
        return { ...alert, notifiedAt: now, notifiedCount: condition.count };
      });
      const gone = [...left.values()];
      await manager.query(
        `DELETE FROM platform.alerts USING unnest($1::text[], $2::text[]) AS gone(kind, subject)
         WHERE alerts.kind = gone.kind AND alerts.subject = gone.subject`,
        [gone.map(({ kind }) => kind), gone.map(({ subject }) => subject)],
      );
      await manager.query(
        `INSERT INTO platform.alerts (kind, subject, name, count, first_seen_at, notified_at, notified_count)
         SELECT kind, subject, name, count, "firstSeenAt", "notifiedAt", "notifiedCount"
         FROM jsonb_to_recordset($1::jsonb) AS present(kind text, subject text, name text, count int,
           "firstSeenAt" timestamptz, "notifiedAt" timestamptz, "notifiedCount" int)
         ON CONFLICT (kind, subject) DO UPDATE SET name = excluded.name, count = excluded.count,
           notified_at = excluded.notified_at, notified_count = excluded.notified_count`,
        [JSON.stringify(present)],
      );
      const resolved = gone.filter(({ notifiedAt }) => notifiedAt !== null);
      const messages = [...messagesOf('open', opened, now), ...messagesOf('resolved', resolved, now)];
      const queued = this.channels.flatMap((channel) => queuedFor(channel, messages));
      // What a portal was not told yet is not so any more: said later, it would be the last that its user reads.
      await manager.query(
        `DELETE FROM platform.notifications
         WHERE channel = 'portal' AND message #>> '{data,alerts,0,subject}' = ANY ($1)`,
        [subjectsIn(queued)],
      );
      await manager.query(
        `INSERT INTO platform.notifications (id, channel, message, created_at, next_at)
         SELECT id, channel, message, $2, $2
         FROM jsonb_to_recordset($1::jsonb) AS queued(id uuid, channel text, message jsonb)`,
        [JSON.stringify(queued), now],
      );
    });
  }

  /** Takes what is due of a channel; each is due again after a pause that doubles, unless `remove` is called. */
  async takeDue(channel: Channel, limit: number): Promise<TakenNotification[]> {
    const [rows] = await this.dataSource.query<[TakenNotification[], number]>(
      `UPDATE platform.notifications
       SET attempts = attempts + 1, next_at = $1::timestamptz + make_interval(mins => least(60, 2 ^ least(attempts, 6))::int)
       WHERE id IN (
         SELECT id FROM platform.notifications WHERE channel = $3 AND next_at <= $1
         ORDER BY next_at, created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
       RETURNING id, channel, message, attempts, created_at AS "createdAt"`,
      [new Date(this.now()), limit, channel],
    );
    return rows;
  }

  async remove(id: string): Promise<void> {
    await this.dataSource.query('DELETE FROM platform.notifications WHERE id = $1', [id]);
  }
}

function keyOf({ kind, subject }: Condition): string {
  return `${kind} ${subject}`;
}

function isDue({ kind, count, firstSeenAt, notifiedAt, notifiedCount }: StoredAlert, now: Date): boolean {
  if (notifiedAt === null) return now.getTime() - firstSeenAt.getTime() >= GRACE_MS[kind];
  return count > notifiedCount && now.getTime() - notifiedAt.getTime() >= REMIND_MS;
}

/** One of each kind, however many portals fall silent together. */
function messagesOf(status: 'open' | 'resolved', alerts: readonly StoredAlert[], now: Date): AlertMessage[] {
  const kinds = [...new Set(alerts.map(({ kind }) => kind))];
  return kinds.map((type) => {
    const all = alerts.filter(({ kind }) => kind === type);
    return {
      type,
      timestamp: now.toISOString(),
      data: {
        status,
        total: all.length,
        alerts: all.map(({ subject, name, count, firstSeenAt }) => ({
          subject,
          name,
          count,
          since: firstSeenAt.toISOString(),
        })),
      },
    };
  });
}

interface QueuedNotification {
  id: string;
  channel: Channel;
  message: AlertMessage;
}

function subjectsIn(queued: readonly QueuedNotification[]): string[] {
  const inPortals = queued.filter(({ channel }) => channel === 'portal');
  return inPortals.flatMap(({ message }) => message.data.alerts.map(({ subject }) => subject));
}

/** A portal that cannot be called cannot be told anything either: only `portal.unreachable` is said there. */
function queuedFor(channel: Channel, messages: readonly AlertMessage[]): QueuedNotification[] {
  const queued = messages.flatMap((message) => {
    const { alerts } = message.data;
    if (channel === 'webhook') {
      return [{ ...message, data: { ...message.data, alerts: alerts.slice(0, MAX_NAMED) } }];
    }
    if (message.type !== 'portal.unreachable') return [];
    return alerts.map((alert) => ({ ...message, data: { ...message.data, total: 1, alerts: [alert] } }));
  });
  return queued.map((message) => ({ id: randomUUID(), channel, message }));
}
