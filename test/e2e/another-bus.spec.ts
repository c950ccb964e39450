import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { z } from 'zod';
import { freshVhost, hasBroker, type TestVhost } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { askGateway, command } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

const answer = z.object({
  deadLetters: z.array(z.looseObject({ code: z.string(), attempts: z.number() })),
});

/** Real: every app as built, PostgreSQL, RabbitMQ. Simulated: Bitrix24. */
(hasBroker ? describe : describe.skip)('an installation that changes its bus', () => {
  let relay: Relay;
  let vhost: TestVhost;
  let portal: SimulatedPortal;
  let database: pg.Pool;

  beforeAll(async () => {
    [relay, vhost] = await Promise.all([startRelay('PostgreSQL', ['name-formatter']), freshVhost()]);
    database = new pg.Pool({ connectionString: relay.env['DATABASE_URL'], max: 1 });
    database.on('error', () => undefined);
    portal = await relay.portal('acme', { rate: 1_000, burst: 10_000 });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
  }, 120_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
    await vhost?.drop();
  }, 60_000);

  async function addContact(): Promise<number> {
    const { events: before } = await portal.statistics();
    const { id } = await portal.add(contactTypeId, { name: 'jOHN', secondName: '', lastName: "o'NEIL" });
    await eventually(async () => {
      const { events } = await portal.statistics();
      expect(events.answers['200'] ?? 0).toBeGreaterThan(before.answers['200'] ?? 0);
    });
    return id;
  }

  async function restartOn(variables: Record<string, string>): Promise<void> {
    await relay.restart(variables);
    await relay.start('name-formatter', variables);
  }

  async function isCorrected(id: number): Promise<void> {
    await eventually(
      async () =>
        expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'John', lastName: "O'Neil" }),
      { timeoutMs: 60_000, everyMs: 200 },
    );
  }

  async function deadLetters(): Promise<unknown> {
    const path = '/dead-letters?consumer=name-formatter';
    return answer.parse(await askGateway(relay, 'GET', path)).deadLetters;
  }

  it('finds on RabbitMQ what waited, retried and lay dead in PostgreSQL', async () => {
    await relay.end('name-formatter');
    const waiting = await addContact();
    const retried = await addContact();
    await database.query(
      `UPDATE bus.messages SET attempts = 2, first_failed_at = now(), available_at = now() + interval '4 s'
       WHERE id = (SELECT max(id) FROM bus.messages)`,
    );
    await database.query(
      `INSERT INTO bus.dead_letters (consumer, shard, code, message, attempts, first_failed_at, last_failed_at, content)
       SELECT consumer, shard, 'ACCESS_DENIED', 'No access', 3, now(), now(), content FROM bus.messages LIMIT 1`,
    );

    await restartOn({ AMQP_URL: vhost.url });
    await isCorrected(waiting);
    await isCorrected(retried);
    await eventually(async () =>
      expect(await deadLetters()).toMatchObject([{ code: 'ACCESS_DENIED', attempts: 3 }]),
    );
    const { rows } = await database.query(
      'SELECT consumer FROM bus.messages UNION ALL SELECT consumer FROM bus.dead_letters',
    );
    expect(rows).toEqual([]);
    expect(relay.log()).toContain('moved from the previous bus');
  }, 180_000);

  it('finds in PostgreSQL what waited and lay dead on RabbitMQ, also that could not be reached at first', async () => {
    await relay.end('name-formatter');
    const waiting = await addContact();
    await relay.restart({ PREVIOUS_AMQP_URL: 'amqp://127.0.0.1:1' });
    await eventually(() => expect(relay.log()).toContain('at once by: relay bus move'));
    expect(await command(relay, ['bus', 'move'])).toMatchObject({ code: 1 });

    await restartOn({ PREVIOUS_AMQP_URL: vhost.url });
    await isCorrected(waiting);
    await eventually(async () =>
      expect(await deadLetters()).toMatchObject([{ code: 'ACCESS_DENIED', attempts: 3 }]),
    );
    expect(await command(relay, ['bus', 'move'])).toMatchObject({
      code: 0,
      screen: expect.stringContaining('Moved from the previous bus: 0 events'),
    });
  }, 180_000);
});
