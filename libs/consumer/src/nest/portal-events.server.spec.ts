import {
  Controller,
  Injectable,
  Module,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type INestMicroservice,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLog, deferred } from '@relay/platform';
import type { Observable } from 'rxjs';
import { eventually } from '../../../../test/support/eventually.js';
import type { FailedEntry, PortalBatch, PostponedEntry } from '../scheduler/batch.js';
import { type Delivery, type EventBus } from '@relay/bus';
import { busesUnderTest, retryDelaysMs, type BusUnderTest } from '../../../../test/support/bus-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import { RecordedLog } from '../../../../test/support/recorded-log.js';
import { MemoryCrashLog } from '../../test/memory-crash-log.js';
import { OnPortalEvents } from './on-portal-events.decorator.js';
import { PortalEventsServer, type PortalEventsServerOptions } from './portal-events.server.js';

jest.setTimeout(60_000);

const names = ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'];

/** The body of the test's only handler, and the batches that it received. */
let handle: (batch: PortalBatch) => Promise<void | (FailedEntry | PostponedEntry)[]>;
let batches: PortalBatch[] = [];
const note = (batch: PortalBatch): ReturnType<typeof handle> => {
  batches.push(batch);
  return handle(batch);
};

@Controller()
class ContactsController {
  @OnPortalEvents(names)
  onContacts(batch: PortalBatch): ReturnType<typeof handle> {
    return note(batch);
  }
}

@Injectable()
class PassThrough implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

@Controller()
@UseInterceptors(PassThrough)
class InterceptedController extends ContactsController {}

@Controller()
class RivalController {
  @OnPortalEvents('ONCRMCONTACTADD')
  onContact(batch: PortalBatch): ReturnType<typeof handle> {
    return note(batch);
  }
}

@Controller()
class MixedController {
  @OnPortalEvents(['ONCRMDEALADD', 'ONCRMDYNAMICITEMADD_147', 'ONIMBOTMESSAGEADD', 'ONSOMETHINGADD_147'])
  onMerged(batch: PortalBatch): ReturnType<typeof handle> {
    return note(batch);
  }

  @OnPortalEvents('ONSESSIONSTART', { merge: false })
  onSession(batch: PortalBatch): ReturnType<typeof handle> {
    return note(batch);
  }
}

@Controller()
class ForeignController {
  @EventPattern(['something.else'])
  onSomethingElse(): void {
    throw new Error('not ours');
  }
}

function moduleOf(...controllers: Type[]): Type {
  @Module({ controllers })
  class TestModule {}
  return TestModule;
}

describe.each(busesUnderTest)('a Nest consumer on %s', (_, setUp) => {
  let underTest: BusUnderTest;
  let bus: EventBus;
  const apps: INestMicroservice[] = [];
  const consumers: string[] = [];

  beforeAll(async () => {
    underTest = await setUp();
    bus = await underTest.open();
  });
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    for (const consumer of consumers.splice(0)) await underTest.forget(consumer);
    batches = [];
  });
  afterAll(async () => {
    await bus.close();
    await underTest.drop();
  });

  const start = async (
    controllers: Type[],
    options: Partial<PortalEventsServerOptions> = {},
  ): Promise<{ app: INestMicroservice; consumer: string; server: PortalEventsServer }> => {
    const consumer = options.consumer ?? `consumer-${consumers.length}`;
    consumers.push(consumer);
    const server = new PortalEventsServer({
      bus,
      consumer,
      log: silentLog,
      crashLog: new MemoryCrashLog(),
      retryDelaysMs,
      ...options,
    });
    const app = await NestFactory.createMicroservice(moduleOf(...controllers), {
      strategy: server,
      logger: false,
    });
    apps.push(app);
    await app.listen();
    return { app, consumer, server };
  };

  it('does not lose an event whose handler throws: it is redelivered, and its code reaches the decision', async () => {
    handle = async () => {
      if (batches.length === 1)
        throw Object.assign(new Error('no answer'), { code: 'TIMEOUT', recovery: 'retry' });
      throw Object.assign(new Error('not allowed'), { code: 'ACCESS_DENIED', recovery: 'never' });
    };
    const { consumer } = await start([ContactsController]);
    await bus.publish(anEvent());
    await eventually(() => expect(batches).toHaveLength(2));
    await eventually(async () => {
      expect(await underTest.deadLetters(consumer)).toMatchObject([{ code: 'ACCESS_DENIED', attempts: 2 }]);
    });
  });

  it('receives the error of a handler behind an interceptor, too', async () => {
    handle = () => Promise.reject(Object.assign(new Error('not allowed'), { code: 'NO', recovery: 'never' }));
    const { consumer } = await start([InterceptedController]);
    await bus.publish(anEvent());
    await eventually(async () =>
      expect(await underTest.deadLetters(consumer)).toMatchObject([{ code: 'NO' }]),
    );
  });

  it('calls one method with the events of all of its names, merged by entity', async () => {
    const gate = deferred<void>();
    handle = () => (batches.length === 1 ? gate.promise : Promise.resolve());
    await start([ContactsController]);
    await bus.publish(anEvent({ entityId: '1' }));
    await eventually(() => expect(batches).toHaveLength(1));
    await bus.publish(anEvent({ name: 'ONCRMCONTACTADD', entityId: '2' }));
    await bus.publish(anEvent({ name: 'ONCRMCONTACTUPDATE', entityId: '2' }));
    // Another portal's event, published last and handled at once, proves that the earlier ones have arrived.
    await bus.publish(anEvent({ memberId: 'a223c6b3710f85df22e9377d6c4f7554' }));
    await eventually(() => expect(batches).toHaveLength(2));
    gate.resolve();
    await eventually(() => expect(batches).toHaveLength(3));
    expect(batches[2]?.entries).toMatchObject([{ entity: 'CRMCONTACT:2', names }]);
  });

  it('retries only the entries that the handler returns as failed', async () => {
    handle = async ({ entries }) =>
      batches.length === 1 ? [{ entity: entries[0]?.entity ?? '', error: new Error('boom') }] : undefined;
    await start([ContactsController]);
    await Promise.all(['1', '2'].map((entityId) => bus.publish(anEvent({ entityId }))));
    await eventually(() => {
      const handled = batches.flatMap(({ entries }) => entries.map(({ entityId }) => entityId));
      expect(handled).toHaveLength(3);
      expect(handled.filter((entityId) => entityId === handled[0])).toHaveLength(2);
      expect(new Set(handled)).toEqual(new Set(['1', '2']));
    });
  });

  it('says once for each event, and where, that its data are not as documented, and handles it', async () => {
    handle = () => Promise.resolve();
    const log = new RecordedLog();
    await start([MixedController], { log, checkData: true });
    const event = { name: 'ONIMBOTMESSAGEADD', entityId: null, entity: null };
    const documented = {
      BOT: { 369: { BOT_ID: '369', BOT_CODE: 'echo' } },
      PARAMS: { MESSAGE_ID: '1', MESSAGE_TYPE: 'P', DIALOG_ID: '2', NEW: 'never seen' },
    };
    await bus.publish(anEvent({ ...event, data: documented }));
    await eventually(() => expect(batches).toHaveLength(1));
    const warned = () =>
      log.lines.filter(({ fields }) => JSON.stringify(fields).includes('consumer.data.unexpected'));
    expect(warned()).toEqual([]);
    const other = { ...documented, BOT: { '\u001b[2J': { BOT_ID: { 0: 'secret' }, BOT_CODE: 'echo' } } };
    for (const data of [other, other]) await bus.publish(anEvent({ ...event, data }));
    await eventually(() => expect(batches.flatMap(({ entries }) => entries)).toHaveLength(3));
    expect(warned()).toMatchObject([
      { level: 'warn', fields: { name: 'ONIMBOTMESSAGEADD', path: 'BOT.*.BOT_ID' } },
    ]);
    expect(log.text()).not.toContain('secret');
  });

  it('gives a handler the data and the eventId that came over the bus', async () => {
    handle = () => Promise.resolve();
    await start([MixedController]);
    const data = { DATA: { 0: { session: { id: '42' } } } };
    await bus.publish(anEvent({ name: 'ONSESSIONSTART', entityId: null, data, eventId: '778' }));
    await bus.publish(
      anEvent({ memberId: 'other', name: 'ONCRMDEALADD', data: { FIELDS: { ID: '82', STAGE_ID: 'NEW' } } }),
    );
    await eventually(() => expect(batches).toHaveLength(2));
    expect(batches.flatMap(({ entries }) => entries)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ data, eventId: '778' }),
        expect.objectContaining({ entityId: '82', data: { FIELDS: { ID: '82', STAGE_ID: 'NEW' } } }),
      ]),
    );
  });

  it('says at its start which events of a handler that merges cannot be merged', async () => {
    const log = new RecordedLog();
    await start([MixedController], { log });
    expect(log.read('warn').map(({ fields }) => fields)).toEqual([
      {
        event: 'consumer.handler.unmergeable',
        consumer: expect.any(String),
        names: ['ONIMBOTMESSAGEADD', 'ONSOMETHINGADD_147'],
      },
    ]);
  });

  it('announces its subscriptions once its queues exist, so that nothing sent from then on is missed', async () => {
    handle = () => Promise.resolve();
    const early = anEvent();
    const onSubscribed = jest.fn(async () => bus.publish(early));
    await start([ContactsController], { onSubscribed });
    expect(onSubscribed.mock.calls).toEqual([[names]]);
    await eventually(() => expect(batches).toHaveLength(1));
  });

  it('does not start when it cannot announce its subscriptions', async () => {
    await expect(
      start([ContactsController], { onSubscribed: () => Promise.reject(new Error('no database')) }),
    ).rejects.toThrow('no database');
  });

  it('does not start without a handler, and names the mistake', async () => {
    await expect(start([ForeignController])).rejects.toMatchObject({ code: 'NO_HANDLERS' });
  });

  it('does not start with two methods for one event', async () => {
    await expect(start([ContactsController, RivalController])).rejects.toMatchObject({
      code: 'DUPLICATE_HANDLER',
    });
  });

  it('finishes batches in flight when it closes, and leaves the rest to the next process', async () => {
    const gate = deferred<void>();
    handle = () => gate.promise;
    const { app, consumer, server } = await start([ContactsController]);
    await bus.publish(anEvent({ entityId: '1' }));
    await eventually(() => expect(batches).toHaveLength(1));
    const pending = anEvent({ entityId: '2' });
    await bus.publish(pending);
    expect(server.isReady()).toBe(true);
    const closed = app.close();
    gate.resolve();
    await closed;
    expect(server.isReady()).toBe(false);
    expect(batches).toHaveLength(1);

    const left: Delivery[] = [];
    const next = await bus.consume({ consumer, names, receive: (delivery) => left.push(delivery) });
    await eventually(() => expect(left.map(({ event }) => event.id)).toEqual([pending.id]));
    await next.stop();
  });

  it('leaves what was postponed to the next process when this one ends first', async () => {
    const gate = deferred<void>();
    handle = async ({ entries }) => {
      if (batches.length === 1) return gate.promise;
      if (entries.length < 2) return [];
      void app.close();
      return [{ entity: 'CRMCONTACT:3', isPostponed: true }];
    };
    const { app, consumer } = await start([ContactsController]);
    await bus.publish(anEvent({ entityId: '1' }));
    await eventually(() => expect(batches).toHaveLength(1));
    const events = ['2', '3'].map((entityId) => anEvent({ entityId }));
    for (const event of events) await bus.publish(event);
    // It proves that the earlier ones have arrived.
    await bus.publish(anEvent({ memberId: 'a223c6b3710f85df22e9377d6c4f7554' }));
    await eventually(() => expect(batches).toHaveLength(2));
    gate.resolve();
    await eventually(() => expect(batches).toHaveLength(3));
    await app.close();

    const left: Delivery[] = [];
    const next = await bus.consume({ consumer, names, receive: (delivery) => left.push(delivery) });
    await eventually(() =>
      expect(left.map(({ event, receipt }) => [event.id, receipt.attempts])).toEqual([[events[1]?.id, 0]]),
    );
    await next.stop();
  });

  it('works in a hybrid application, and ignores handlers of other transports', async () => {
    handle = () => Promise.reject(Object.assign(new Error('not allowed'), { code: 'NO', recovery: 'never' }));
    consumers.push('hybrid');
    const server = new PortalEventsServer({
      bus,
      consumer: 'hybrid',
      log: silentLog,
      crashLog: new MemoryCrashLog(),
    });
    const app = await NestFactory.create(
      moduleOf(ContactsController, ForeignController),
      new FastifyAdapter(),
      { logger: false },
    );
    app.connectMicroservice({ strategy: server });
    try {
      await app.startAllMicroservices();
      await bus.publish(anEvent());
      await eventually(async () =>
        expect(await underTest.deadLetters('hybrid')).toMatchObject([{ code: 'NO' }]),
      );
    } finally {
      await app.close();
    }
  });
});

it('rejects batches larger than Bitrix24 can read in one request', () => {
  expect(() => OnPortalEvents('ONCRMDEALADD', { maxEntries: 2_501 })).toThrow(RangeError);
});
