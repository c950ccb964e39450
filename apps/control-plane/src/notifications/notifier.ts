import { createHmac } from 'node:crypto';
import { Bitrix24Error, type PortalClient, post } from '@relay/bitrix24';
import type { ConsumerStatus } from '@relay/bus';
import { counter, type Environment, type LeaderLease, type Log, PeriodicJob } from '@relay/platform';
import type { PortalQuery } from '@relay/portals';
import type { DataSource } from 'typeorm';
import { z } from 'zod';
import {
  type AlertKind,
  type AlertMessage,
  Alerts,
  CHANNELS,
  type Channel,
  type Condition,
} from './alerts.js';

const CHECK_INTERVAL_MS = 15_000;
/** Of each channel: thousands of portals that are to be told hold up no webhook. */
const CONCURRENCY = 20;
const TIMEOUT_MS = 10_000;
/** The body of the answer is not read, only its status. */
const MAX_RESPONSE_BYTES = 64 * 1_024;
/** Who does not take it for a day is not told any more: the state is on the console. */
const MAX_AGE_MS = 24 * 3_600_000;

const sent = counter({
  name: 'relay_notifications_total',
  help: 'Attempts to deliver a notification, by channel and outcome.',
  labelNames: ['channel', 'outcome'],
});

/** api-reference/common/users/profile.md */
const profile = z.object({ ID: z.coerce.number().int().positive() });

const PORTAL_KINDS = [
  'portal.unreachable',
  'portal.needs-reauth',
  'portal.needs-webhook',
  'portal.suspended',
] as const;
const CONSUMER_KINDS = ['consumer.paused', 'consumer.dead-letters'] as const;

type NotifyEnvironment = Pick<
  Environment,
  'NOTIFY_URL' | 'NOTIFY_SECRET' | 'NOTIFY_ALLOW_HOSTS' | 'NOTIFY_PORTALS'
>;

type ConsumerState = Pick<ConsumerStatus, 'consumer' | 'dead'> & {
  processes: readonly { isPaused: boolean }[];
};

export interface NotifierOptions {
  environment: NotifyEnvironment;
  dataSource: DataSource;
  lease: Pick<LeaderLease, 'isLeader'>;
  portals: Pick<PortalQuery, 'all'>;
  consumers: { statuses(): Promise<readonly ConsumerState[]> };
  /** `PortalClients`. */
  clients: { for(memberId: string, options: { priority: 'background' }): Pick<PortalClient, 'call'> };
  log: Log;
  now?: () => number;
}

/** The receiver did not take it. Names neither the address, which may be a secret, nor the answer. */
class NotificationError extends Error {
  override readonly name = 'NotificationError';

  constructor(readonly code: string) {
    super(`the receiver did not take the notification: ${code}`);
  }
}

/**
 * Tells people what is wrong with portals and consumers, and when it is right again: by a webhook that is signed as Standard
 * Webhooks says, and inside the portal that it is about. The leader checks and delivers.
 */
export class Notifier {
  private readonly periodic: PeriodicJob;
  private readonly alerts: Alerts;
  private readonly now: () => number;
  private readonly isOn: boolean;

  constructor(private readonly options: NotifierOptions) {
    const { environment, dataSource, log, now = Date.now } = options;
    const channels: Channel[] = [
      ...(environment.NOTIFY_URL === undefined ? [] : ['webhook' as const]),
      ...(environment.NOTIFY_PORTALS ? ['portal' as const] : []),
    ];
    this.isOn = channels.length > 0;
    this.now = now;
    this.alerts = new Alerts(dataSource, channels, now);
    this.periodic = new PeriodicJob('notifications', CHECK_INTERVAL_MS, log, async () => {
      if (!options.lease.isLeader()) return;
      await this.check();
      await this.deliver();
    });
  }

  start(): void {
    if (this.isOn) this.periodic.start();
  }

  async stop(): Promise<void> {
    await this.periodic.stop();
  }

  /** Queues what has changed. What cannot be read stays as it was. */
  async check(): Promise<void> {
    await this.updateFrom(PORTAL_KINDS, () => this.ofPortals());
    await this.updateFrom(CONSUMER_KINDS, () => this.ofConsumers());
  }

  private async updateFrom(kinds: readonly AlertKind[], read: () => Promise<Condition[]>): Promise<void> {
    let conditions: Condition[];
    try {
      conditions = await read();
    } catch (err) {
      this.options.log.info({ err, kinds }, 'what notifications are about cannot be read now');
      return;
    }
    await this.alerts.update(kinds, conditions);
  }

  private async ofPortals(): Promise<Condition[]> {
    const all = await this.options.portals.all();
    return all.flatMap(({ memberId, domain, state }) => {
      const kind = PORTAL_KINDS.find((one) => one === `portal.${state}`);
      return kind ? [{ kind, subject: memberId, name: domain, count: 1 }] : [];
    });
  }

  private async ofConsumers(): Promise<Condition[]> {
    const all = await this.options.consumers.statuses();
    return all.flatMap(({ consumer, dead, processes }) => {
      const named = { subject: consumer, name: consumer };
      return [
        ...(dead > 0 ? [{ kind: 'consumer.dead-letters' as const, ...named, count: dead }] : []),
        ...(processes.some(({ isPaused }) => isPaused)
          ? [{ kind: 'consumer.paused' as const, ...named, count: 1 }]
          : []),
      ];
    });
  }

  /** Delivers what is due; what is not taken is tried again for a day, with the same id. */
  async deliver(): Promise<void> {
    const { log } = this.options;
    const taken = await Promise.all(CHANNELS.map((each) => this.alerts.takeDue(each, CONCURRENCY)));
    await Promise.all(
      taken.flat().map(async ({ id, channel, message, attempts, createdAt }) => {
        const { type } = message;
        try {
          await (channel === 'webhook' ? this.post(id, message) : this.tell(message));
          sent.inc({ channel, outcome: 'sent' });
          await this.alerts.remove(id);
        } catch (err) {
          sent.inc({ channel, outcome: 'failed' });
          const isGivenUp = this.now() - createdAt.getTime() > MAX_AGE_MS || isFinal(err);
          if (isGivenUp) await this.alerts.remove(id);
          if (isGivenUp || attempts === 1) {
            log.warn(
              { event: isGivenUp ? 'notification.dropped' : 'notification.failed', channel, type, err },
              isGivenUp
                ? 'a notification could not be delivered'
                : 'a notification could not be delivered, trying again',
            );
          }
        }
      }),
    );
  }

  /** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
  private async post(id: string, message: AlertMessage): Promise<void> {
    const { NOTIFY_URL: url, NOTIFY_SECRET: key, NOTIFY_ALLOW_HOSTS: allowHosts } = this.options.environment;
    if (url === undefined || key === undefined) throw new NotificationError('NOT_CONFIGURED');
    const body = JSON.stringify(message);
    const timestamp = String(Math.floor(this.now() / 1_000));
    const signature = createHmac('sha256', key).update(`msg_${id}.${timestamp}.${body}`).digest('base64');
    const result = await post({
      url: new URL(url),
      contentType: 'application/json',
      body,
      headers: {
        'user-agent': 'b24-relay',
        'webhook-id': `msg_${id}`,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${signature}`,
      },
      timeoutMs: TIMEOUT_MS,
      maxResponseBytes: MAX_RESPONSE_BYTES,
      allowHosts,
    });
    const { httpStatus } = result;
    // Also if the answer cannot be read.
    if (httpStatus !== undefined && httpStatus >= 200 && httpStatus < 300) return;
    throw new NotificationError(result.ok || httpStatus !== undefined ? `HTTP_${httpStatus}` : result.code);
  }

  /** To whoever has authorized the application: the only user of a portal of whom anything is known. */
  private async tell({ data: { status, alerts } }: AlertMessage): Promise<void> {
    for (const { subject } of alerts) {
      const client = this.options.clients.for(subject, { priority: 'background' });
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const { result } = await client.call('profile', {}, { signal, repeatable: true });
      const { ID: userId } = profile.parse(result);
      await client.call(
        'im.notify',
        { USER_ID: userId, TYPE: 'SYSTEM', MESSAGE: PORTAL_TEXTS[status], TAG: 'B24_RELAY|UNREACHABLE' },
        { signal },
      );
    }
  }
}

const PORTAL_TEXTS = {
  open: 'The events of this Bitrix24 do not reach the server of the application. Changes are not processed until they do. Please tell the people who run the application.',
  resolved: 'The events of this Bitrix24 reach the server of the application again.',
};

/** The portal has not given the application the permission for it, or is not there any more. */
function isFinal(error: unknown): boolean {
  if (error instanceof Bitrix24Error) return error.recovery === 'never';
  return error instanceof NotificationError && ['HTTP_410', 'NOT_CONFIGURED'].includes(error.code);
}
