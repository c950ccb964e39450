import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DEFAULT_RETRY_DELAYS_MS, type EventBus, openEventBus } from '@relay/bus';
import { CONSUMER_VARIABLES, type ConsumerOptions, startConsumer } from '@relay/consumer';
import { decodeForm, openEvent, parseEnvelope, parseEventName } from '@relay/events';
import { createLogger, databaseOptions, loadMigrations, readEnvironment, silentLog } from '@relay/platform';
import { PORTAL_ENTITIES, PortalRepository, PortalSettings, PortalsModule } from '@relay/portals';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { startSimulator } from '../../../apps/portal-simulator/src/simulator.js';
import { freshVhost } from '../../../test/support/broker.js';
import { freshDatabase } from '../../../test/support/database.js';
import { eventually } from '../../../test/support/eventually.js';
import { MemoryBroker } from '../../bus/src/memory/memory-bus.js';
import { type Fields, type PortalContents, TestPortal } from './test-portal.js';
import { DeliveryWatch, type Outcome } from './watched-bus.js';

const BUSES = ['memory', 'postgresql', 'rabbitmq'] as const;
export type TestBus = (typeof BUSES)[number];

export interface TestConsumerOptions {
  /** By default that of `RELAY_TEST_BUS`, else `memory`. */
  bus?: TestBus;
  /**
   * Of the bus, ascending, milliseconds. Short ones show how an event comes back: if none is longer than a second, `settled`
   * waits for what failed, until it is done or dead.
   */
  retryDelaysMs?: readonly number[];
}

/** An event's data: the `id` of the thing that it names, or any. */
export interface EventData {
  id?: number | string;
  data?: Fields;
}

export interface TestConsumer {
  /** For `beforeAll`. */
  readonly start: () => Promise<void>;
  /** For `afterAll`. */
  readonly stop: () => Promise<void>;
  /** A new portal of the simulator, at which the application is installed and the consumer's events are bound. */
  readonly testPortal: (contents?: PortalContents) => Promise<TestPortal>;
  /** Sends one event, whether it happened or not. Resolves with what became of it. */
  readonly deliver: (portal: TestPortal, event: string, data?: EventData) => Promise<Outcome>;
  /**
   * Resolves when the portals have sent all events and the consumer has handled them, and those of its own writes, too.
   * What failed and waits for its retry is awaited only with `retryDelaysMs` of at most a second each; what waits for its
   * portal (outcome `waits`) never. @throws after half a minute
   */
  readonly settled: () => Promise<void>;
  /** What `relay portals set` sets for the consumer at a portal. */
  readonly set: (portal: TestPortal, settings: Fields) => Promise<void>;
  /** Codes of the dead letters of a portal, the oldest first. */
  readonly deadLetters: (portal: TestPortal) => string[];
  /** Rows of the consumer's database, which is this spec's own. */
  readonly query: (sql: string, values?: readonly unknown[]) => Promise<Record<string, unknown>[]>;
  /** Everything that the consumer has logged, by pino's names: `msg`, `level`, … */
  readonly log: readonly Record<string, unknown>[];
}

const returned = z.array(z.record(z.string(), z.unknown()));
/** TypeORM adds the count of rows to what `UPDATE` and `DELETE` return. */
const rows = z.union([returned, z.tuple([returned, z.number()]).transform(([first]) => first)]);

const MAX_EVENT_BYTES = 256 * 1024;

/** An event is tried seven times: with such delays `settled` sees the end of it. */
const MAX_AWAITED_DELAY_MS = 1_000;

/** Seconds, as Bitrix24 writes it. */
const TS = '1766047124';

/**
 * A consumer as it runs: its module, its handlers, a bus, a database of its own. Nothing is simulated but Bitrix24.
 * @example
 * const { start, stop, testPortal, deliver } = testConsumer(consumer);
 * beforeAll(start);
 * afterAll(stop);
 */
export function testConsumer(
  consumer: ConsumerOptions,
  { bus, retryDelaysMs = DEFAULT_RETRY_DELAYS_MS }: TestConsumerOptions = {},
): TestConsumer {
  const log: Record<string, unknown>[] = [];
  let running: RunningTest | undefined;
  const test = (): RunningTest => {
    if (!running) throw new Error('The consumer is not started: beforeAll(start)');
    return running;
  };
  return {
    start: async () => {
      if (running) throw new Error('The consumer is started already');
      running = await RunningTest.start(consumer, { bus: bus ?? busOfEnvironment(), retryDelaysMs, log });
    },
    stop: async () => {
      const ended = running;
      running = undefined;
      await ended?.stop();
    },
    testPortal: (contents) => test().addPortal(contents),
    deliver: (portal, event, data) => test().deliver(portal, event, data),
    settled: () => test().settled(),
    set: (portal, settings) => test().set(portal, settings),
    deadLetters: (portal) => test().deadLetters(portal),
    query: (sql, values) => test().query(sql, values),
    log,
  };
}

function busOfEnvironment(): TestBus {
  return z.enum(BUSES).parse(process.env['RELAY_TEST_BUS'] ?? 'memory');
}

/** A Bitrix24 of portals for `TestPortal.create`, for specs that need no running consumer. */
export function startTestSimulator(): ReturnType<typeof startSimulator> {
  return startSimulator({ port: 0, log: silentLog });
}

type Resource = () => Promise<unknown>;

/** Opened in this order, closed in the other. */
class RunningTest {
  private readonly resources: Resource[] = [];
  private readonly watch: DeliveryWatch;
  private readonly allPortals: TestPortal[] = [];
  private simulatorUrl = '';
  private handlerUrl = '';
  private bus: EventBus | undefined;
  private portals: TestingModule | undefined;

  private constructor(
    private readonly name: string,
    retryDelaysMs: readonly number[],
  ) {
    this.watch = new DeliveryWatch(retryDelaysMs.every((delayMs) => delayMs <= MAX_AWAITED_DELAY_MS));
  }

  static async start(
    consumer: ConsumerOptions,
    options: Required<TestConsumerOptions> & { log: Record<string, unknown>[] },
  ): Promise<RunningTest> {
    const test = new RunningTest(consumer.name, options.retryDelaysMs);
    try {
      await test.open(consumer, options);
    } catch (error) {
      await test.stop();
      throw error;
    }
    return test;
  }

  async addPortal(contents: PortalContents = {}): Promise<TestPortal> {
    const { names } = this.watch;
    // A portal offers suffixed events only of smart processes that it has.
    const processes = names.map((name) => parseEventName(name).entityTypeId).filter((id) => id >= 128);
    const items = Object.fromEntries(processes.map((id) => [id, []]));
    const portal = await TestPortal.create(this.simulatorUrl, {
      ...contents,
      items: { ...items, ...contents.items },
    });
    await portal.bind([...new Set(names)], this.handlerUrl);
    await installPortal(this.module(), portal);
    this.allPortals.push(portal);
    return portal;
  }

  async deliver(portal: TestPortal, event: string, { id, data }: EventData = {}): Promise<Outcome> {
    const { member_id, application_token } = portal.installation;
    const form = new URLSearchParams({
      event,
      ts: TS,
      'auth[member_id]': member_id,
      'auth[application_token]': application_token,
    });
    appendTree(form, 'data', { ...data, ...(id !== undefined && { FIELDS: { ID: id } }) });
    return this.receive(Buffer.from(form.toString()));
  }

  async settled(): Promise<void> {
    await eventually(async () => {
      const before = this.watch.state();
      const pending = await Promise.all(this.allPortals.map((portal) => portal.pendingEvents()));
      const unsent = pending.reduce((sum, count) => sum + count, 0);
      const after = this.watch.state();
      // An event that a portal has sent meanwhile was published meanwhile.
      if (before.inFlight + after.inFlight + unsent > 0 || after.published > before.published)
        throw new Error(`${unsent} events are not sent yet, ${after.inFlight} are not done yet`);
    });
  }

  async set(portal: TestPortal, settings: Fields): Promise<void> {
    await this.module().get(PortalSettings).set(portal.memberId, this.name, settings);
  }

  deadLetters({ memberId }: TestPortal): string[] {
    const own = this.watch.deadLetters.filter(({ event }) => event.memberId === memberId);
    return own.map(({ code }) => code);
  }

  async query(sql: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    return rows.parse(
      await this.module()
        .get(DataSource)
        .query(sql, [...values]),
    );
  }

  /** Closes everything, whatever fails. @throws what failed first */
  async stop(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of this.resources.splice(0).toReversed())
      await close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  private async open(
    consumer: ConsumerOptions,
    { bus: kind, retryDelaysMs, log }: Required<TestConsumerOptions> & { log: Record<string, unknown>[] },
  ): Promise<void> {
    const simulator = await startTestSimulator();
    this.resources.push(() => simulator.close());
    this.simulatorUrl = simulator.url;
    const database = await freshDatabase(await loadMigrations());
    this.resources.push(() => database.drop());
    const environment = readEnvironment(CONSUMER_VARIABLES, {
      DATABASE_URL: database.url,
      TOKEN_KEYS: `test:${randomBytes(32).toString('base64')}`,
      B24_ALLOW_HOSTS: '127.0.0.1',
      LOG_LEVEL: 'debug',
    });
    this.portals = await portalsOf(database.url, environment.TOKEN_KEYS);
    this.resources.push(async () => this.portals?.close());
    const openBus = await this.busOf(kind, database.url, retryDelaysMs);
    const bus = await openBus();
    this.bus = bus;
    this.resources.push(() => bus.close());
    const running = await startConsumer(
      consumer,
      environment,
      {
        log: createLogger(consumer.name, 'debug', { write: (line) => log.push(JSON.parse(line)) }),
        startOpsServer: async () => undefined,
        mountOpsApi: () => undefined,
        stopOpsServer: async () => undefined,
      },
      async () => this.watch.over(await openBus()),
    );
    this.resources.push(() => running.close());
    this.handlerUrl = await this.listen();
  }

  /** Opens what one process would open. */
  private async busOf(
    kind: TestBus,
    databaseUrl: string,
    retryDelaysMs: readonly number[],
  ): Promise<() => Promise<EventBus>> {
    const options = { log: silentLog, retryDelaysMs, publishDeadlineMs: 5_000 };
    if (kind === 'postgresql') return () => openEventBus({ databaseUrl, ...options, pollMs: 50 });
    if (kind === 'rabbitmq') {
      const vhost = await freshVhost();
      this.resources.push(() => vhost.drop());
      return () => openEventBus({ amqpUrl: vhost.url, ...options });
    }
    const broker = new MemoryBroker(retryDelaysMs);
    this.resources.push(async () => broker.close());
    return async () => broker.open(silentLog);
  }

  /** What the gateway does, without its proofs: decodes an event of a portal, publishes it, answers 200. */
  private async listen(): Promise<string> {
    const server = createServer((request, response) => {
      void buffer(request)
        .then((body) => {
          // Its outcome is awaited by whoever wants it.
          const outcome = this.receive(body);
          response.end();
          return outcome;
        })
        .catch(() => response.destroy());
    });
    this.resources.push(async () => closeServer(server));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = z.object({ port: z.number() }).parse(server.address());
    return `http://127.0.0.1:${port}/b24/events`;
  }

  private receive(body: Buffer): Promise<Outcome> {
    if (!this.bus) throw new Error('The bus is not open');
    if (body.length > MAX_EVENT_BYTES) throw new Error('A gateway takes no event of more than 256 KiB');
    const form = decodeForm(body);
    return this.watch.publish(this.bus, openEvent(form, parseEnvelope(form), Date.now()));
  }

  private module(): TestingModule {
    if (!this.portals) throw new Error('The consumer is not started');
    return this.portals;
  }
}

/** Stores a portal as the gateway does after an install. */
export async function installPortal(portals: Pick<TestingModule, 'get'>, portal: TestPortal): Promise<void> {
  const { installation, language, scope } = portal;
  const grant = {
    memberId: installation.member_id,
    clientEndpoint: installation.client_endpoint,
    accessToken: installation.access_token,
    refreshToken: installation.refresh_token,
    expiresAt: Date.now() + 3_600_000,
    scope: [...scope],
    status: 'L',
    oauthHost: 'oauth.bitrix.info',
  };
  const claim = { domain: installation.domain, applicationToken: installation.application_token, language };
  await portals.get(PortalRepository).install(grant, claim);
}

function portalsOf(
  databaseUrl: string,
  tokenKeys: Parameters<typeof PortalsModule.forRoot>[0]['tokenKeys'],
): Promise<TestingModule> {
  return Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot(databaseOptions(databaseUrl, 'spec', PORTAL_ENTITIES)),
      PortalsModule.forRoot({ tokenKeys, allowHosts: ['127.0.0.1'], log: silentLog, databaseUrl }),
    ],
  }).compile();
}

/** @throws TypeError for a tree that contains itself */
function appendTree(form: URLSearchParams, name: string, tree: object, above: readonly object[] = []): void {
  if (above.includes(tree)) throw new TypeError(`${name} is circular`);
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === 'object' && value !== null)
      appendTree(form, `${name}[${key}]`, value, [...above, tree]);
    else form.append(`${name}[${key}]`, String(value));
  }
}

function closeServer(server: Server): void {
  server.close();
  server.closeAllConnections();
}
