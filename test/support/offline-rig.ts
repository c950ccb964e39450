import { randomBytes } from 'node:crypto';
import type { Command, PortalClient, RestResponse } from '@relay/bitrix24';
import type { PortalEvent } from '@relay/events';
import { type JobProgress, PortalJobs } from '@relay/jobs';
import { databaseOptions, silentLog } from '@relay/platform';
import {
  EventArrivals,
  EventGaps,
  OFFLINE_CONNECTOR,
  OFFLINE_PULLER,
  OfflineBindings,
  PORTAL_ENTITIES,
  PortalCircuitBreaker,
  PortalClients,
  PortalLimits,
  Subscriptions,
  type DeliveryMode,
} from '@relay/portals';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { CatchUp } from '../../apps/offline-puller/src/catch-up.js';
import { QueuePoller } from '../../apps/offline-puller/src/queue-poller.js';
import { PollStateStore } from '../../apps/offline-puller/src/poll-state-store.js';
import { startSimulator, type Simulator } from '../../apps/portal-simulator/src/simulator.js';
import { SecretBox } from '../../libs/portals/src/encryption/secret-box.js';
import { PortalRepository } from '../../libs/portals/src/repository/portal-repository.js';
import { migratedDatabase, type TestDatabase } from './database.js';
import { RecordedLog } from './recorded-log.js';
import { SimulatedPortal } from './simulated-portal.js';
import { control } from './simulator-control.js';

const CONTACT = 3;
const EVENT = 'ONCRMCONTACTUPDATE';
const queue = z.object({
  records: z.array(z.object({ event: z.string(), processId: z.string() })),
});

export class KilledError extends Error {
  override readonly name = 'KilledError';
}

/** A process that ends before its call number `limit`: nothing of it happens any more. */
export class MortalProcess {
  calls = 0;

  constructor(readonly limit = Infinity) {}

  /** Every method of `target` is one call. */
  wrap<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (from, key) => {
        const member: unknown = Reflect.get(from, key, from);
        if (typeof member !== 'function') return member;
        return (...given: unknown[]): unknown => {
          if (this.calls >= this.limit) throw new KilledError(`before call ${this.limit}`);
          this.calls += 1;
          return Reflect.apply(member, from, given);
        };
      },
    });
  }
}

/** A portal that answers otherwise than the simulator. */
export interface Tampering {
  /** What is sent instead of a command; throws for an answer that cannot be read. */
  sent?: (command: Command) => Command;
  /** What is answered instead. */
  answered?: (command: Command, result: unknown) => unknown;
}

/** The client of a portal that does not behave. */
export function tampered(
  client: PortalClient,
  { sent = (one) => one, answered = (_, result) => result }: Tampering,
) {
  const show = (command: Command, response: RestResponse) => ({
    ...response,
    result: answered(command, response.result),
  });
  const call: PortalClient['call'] = async (method, params, options) => {
    const command = sent({ method, ...(params && { params }) });
    return show(
      { method, ...(params && { params }) },
      await client.call(command.method, command.params, options),
    );
  };
  const batch: PortalClient['batch'] = async (commands, options) => {
    const changed = Object.fromEntries(Object.entries(commands).map(([key, one]) => [key, sent(one)]));
    const outcomes = Object.entries(await client.batch(changed, options));
    return Object.fromEntries(
      outcomes.map(([key, outcome]) => {
        const command = commands[key];
        return [key, outcome.ok && command ? { ...outcome, ...show(command, outcome) } : outcome];
      }),
    );
  };
  return new Proxy(client, {
    get: (from, key): unknown =>
      key === 'call' ? call : key === 'batch' ? batch : Reflect.get(from, key, from),
  });
}

/** The code of offline-puller on a real simulator and a real PostgreSQL; instead of the bus a list, in the order of confirmation. */
export class OfflineRig {
  readonly published: { event: PortalEvent; at: number }[] = [];
  readonly bindings: OfflineBindings;
  readonly gaps: EventGaps;
  /** Publications fail while it is set. */
  busError: Error | undefined;
  publishAttempts = 0;
  /** Counts changes and publications. */
  private now = 0;

  private constructor(
    readonly simulator: Simulator,
    private readonly database: TestDatabase,
    readonly source: DataSource,
    readonly clients: PortalClients,
    readonly subscriptions: Subscriptions,
    private readonly portals: PortalRepository,
    /** Of the reader, and of the clients. */
    readonly log: RecordedLog,
  ) {
    this.bindings = new OfflineBindings(source);
    this.gaps = new EventGaps(source);
  }

  static async start(nowMs: () => number = Date.now): Promise<OfflineRig> {
    const [simulator, database] = await Promise.all([
      startSimulator({ port: 0, log: silentLog, now: nowMs }),
      migratedDatabase(),
    ]);
    const source = await new DataSource(databaseOptions(database.url, 'spec', PORTAL_ENTITIES)).initialize();
    const box = new SecretBox([{ id: 'k1', key: randomBytes(32) }]);
    const allowHosts = [new URL(simulator.url).host];
    const log = new RecordedLog();
    const clients = new PortalClients({
      dataSource: source,
      box,
      circuitBreaker: new PortalCircuitBreaker(source, log),
      oauth: { urls: [simulator.url], clientId: 'demo.app', clientSecret: 'demo.secret' },
      allowHosts,
      log,
    });
    const subscriptions = new Subscriptions(source, { on: () => () => undefined });
    await subscriptions.record(OFFLINE_PULLER, ['ONOFFLINEEVENT']);
    return new OfflineRig(
      simulator,
      database,
      source,
      clients,
      subscriptions,
      new PortalRepository(source, box, allowHosts),
      log,
    );
  }

  async stop(): Promise<void> {
    await this.clients.close();
    await this.source.destroy();
    await Promise.all([this.simulator.close(), this.database.drop()]);
  }

  /** Installed, with updates of its contacts bound offline, and polled once. */
  async readablePortal(
    name: string,
    {
      canReserve,
      hasConnector = false,
      mode = 'offline',
      contacts = 3,
    }: { canReserve: boolean; hasConnector?: boolean; mode?: DeliveryMode; contacts?: number },
  ): Promise<SimulatedPortal> {
    const portal = await SimulatedPortal.create(this.simulator.url, name, { rate: 1_000, burst: 1_000 });
    await this.setPlan(portal, canReserve, hasConnector);
    for (let count = 0; count < contacts; count += 1) await portal.add(CONTACT, { name: 'x' });
    const { access_token: accessToken, refresh_token: refreshToken } = await portal.install();
    await this.portals.install(
      {
        memberId: portal.memberId,
        clientEndpoint: `${this.simulator.url}/portals/${name}/rest/`,
        accessToken,
        refreshToken,
        expiresAt: Date.now() / 1000 + 3600,
        scope: ['crm'],
        status: 'L',
        oauthHost: new URL(this.simulator.url).host,
      },
      {},
    );
    // The simulator has a bucket of its own; waiting for ours shows nothing here.
    await new PortalLimits(this.source).setLimit(portal.memberId, 'free');
    await this.bindings.setMode(portal.memberId, mode);
    const connector = hasConnector ? OFFLINE_CONNECTOR : '';
    await this.clients
      .for(portal.memberId)
      .call('event.bind', { event: EVENT, event_type: 'offline' }, { connector });
    await this.bindings.save(portal.memberId, [EVENT], 'bound');
    await this.bindings.saveAccess(portal.memberId, { isAdministrator: true, canReserve, hasConnector });
    await this.bindings.saveConnector(portal.memberId, connector);
    await new PollStateStore(this.source).leaseDue(10);
    await this.poll(portal);
    return portal;
  }

  async setPlan({ name }: SimulatedPortal, canReserve: boolean, hasConnector = false): Promise<void> {
    const features = {
      rest_offline_extended: canReserve ? 'Y' : 'N',
      rest_auth_connector: hasConnector ? 'Y' : 'N',
    };
    await control('PATCH', `${this.simulator.url}/_sim/portals/${name}`, { features });
  }

  private get bus() {
    return {
      publish: (event: PortalEvent): Promise<void> => {
        this.publishAttempts += 1;
        if (this.busError) return Promise.reject(this.busError);
        this.published.push({ event, at: (this.now += 1) });
        return Promise.resolve();
      },
    };
  }

  /** The job of a portal whose events were missed, as often as its progress may be lost. @returns how many events */
  async catchUp(
    { memberId }: SimulatedPortal,
    {
      mortal = new MortalProcess(),
      tampering = {},
      limits,
    }: {
      mortal?: MortalProcess;
      tampering?: Tampering;
      limits?: ConstructorParameters<typeof CatchUp>[6];
    } = {},
  ): Promise<number> {
    const catchUp = this.catchUpOf(mortal, tampering, limits);
    const jobs = new PortalJobs(this.source);
    const job = await jobs.request(OFFLINE_PULLER, memberId, 'catch-up');
    const report = async (progress: JobProgress): Promise<void> => {
      const json = JSON.stringify(progress);
      await this.source.query('UPDATE portals.tasks SET progress = $2::jsonb WHERE id = $1', [job.id, json]);
    };
    const { events } = await catchUp.run({ job, report, signal: new AbortController().signal });
    await this.source.query('DELETE FROM portals.tasks WHERE id = $1', [job.id]);
    return Number(events);
  }

  /** By member id, the gaps for which jobs are to be requested. */
  dueCatchUps(): Promise<Map<string, string>> {
    return this.catchUpOf().due();
  }

  /** What the leader does. */
  async requestCatchUps(): Promise<void> {
    const due = await this.dueCatchUps();
    await new PortalJobs(this.source).requestAll(OFFLINE_PULLER, [...due.keys()], 'catch-up');
    await this.catchUpOf().saveRequested(due);
  }

  private catchUpOf(
    mortal = new MortalProcess(),
    tampering: Tampering = {},
    limits?: ConstructorParameters<typeof CatchUp>[6],
  ): CatchUp {
    return new CatchUp(
      this.source,
      { for: (...given) => mortal.wrap(tampered(this.clients.for(...given), tampering)) },
      this.gaps,
      this.subscriptions,
      mortal.wrap(this.bus),
      this.log,
      limits,
    );
  }

  /** @returns how many records were read */
  async poll(
    { memberId }: SimulatedPortal,
    { mortal = new MortalProcess(), tampering = {} }: { mortal?: MortalProcess; tampering?: Tampering } = {},
  ): Promise<number> {
    const { clients } = this;
    const store = mortal.wrap(new PollStateStore(this.source));
    const publisher = mortal.wrap(this.bus);
    const ofProcess = {
      for: (...given: Parameters<PortalClients['for']>): PortalClient =>
        mortal.wrap(tampered(clients.for(...given), tampering)),
    };
    const poller = new QueuePoller(
      ofProcess,
      this.bindings,
      store,
      publisher,
      new EventArrivals(this.source),
      this.gaps,
      this.log,
    );
    return poller.poll(memberId, new AbortController().signal);
  }

  /** @returns when it changed, in the order of `published` */
  async change(portal: SimulatedPortal, id: number): Promise<number> {
    await portal.change(CONTACT, id, { name: `x${this.now}` });
    return (this.now += 1);
  }

  publishedAfter(id: number, at: number): number {
    return this.published.filter((one) => one.event.entityId === String(id) && one.at > at).length;
  }

  /** What is left at the portal, and in the database. */
  async left({ name }: SimulatedPortal) {
    const { records } = queue.parse(
      await control('GET', `${this.simulator.url}/_sim/portals/${name}/offline`),
    );
    const rows = await this.source.query<object[]>(
      'SELECT process_id FROM offline.batches UNION ALL SELECT message_id FROM offline.records',
    );
    return { records, rows };
  }
}
