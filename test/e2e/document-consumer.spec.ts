import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { askGateway, command } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const texts = z.record(z.string(), z.string());
const addressed = z.object({ address: z.string() });
const { channels } = z
  .object({
    channels: z.object({
      shard: addressed.extend({ parameters: z.object({ shard: z.object({ enum: z.array(z.string()) }) }) }),
      retry: addressed.extend({ 'x-ttl-ms': z.record(z.string(), z.number()) }),
      dead: addressed,
    }),
  })
  .parse(parse(readFileSync('docs/asyncapi.yaml', 'utf8')));

const fill = (pattern: string, words: z.output<typeof texts>): string =>
  pattern.replace(/\{(\w+)\}/g, (_, word: string) => words[word] ?? '');

const DEAL = 2;

const tiers = Object.keys(channels.retry['x-ttl-ms']);

/** A failure that a retry cannot help is final. */
class Failure extends Error {
  constructor(
    readonly code: string,
    readonly isFinal: boolean,
  ) {
    super('It was not to be');
  }
}

type Handle = (event: unknown, headers: Record<string, unknown>) => void;

/** The whole of a consumer in another program: all that it knows is `docs/asyncapi.yaml`. @param handle throws a Failure */
async function consume(url: string, consumer: string, handle: Handle): Promise<ChannelModel> {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  const take = async (message: ConsumeMessage, queue: string): Promise<void> => {
    const { content, properties } = message;
    const { headers = {}, messageId } = properties;
    try {
      handle(JSON.parse(content.toString()), headers);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const { 'b24-attempts': before = 0, 'b24-first-failed-at': firstFailedAt = Date.now() } = headers;
      const tier = error.isFinal ? undefined : tiers[before];
      const words = { consumer, tier: tier ?? '' };
      const [to, key] = tier
        ? [fill(channels.retry.address, words), queue]
        : ['', fill(channels.dead.address, words)];
      const failed = { 'b24-consumer': consumer, 'b24-code': error.code, 'b24-message': error.message };
      const at = { 'b24-first-failed-at': firstFailedAt, 'b24-last-failed-at': Date.now() };
      const sent = { ...failed, ...at, 'b24-attempts': before + 1 };
      channel.publish(to, key, content, { headers: sent, messageId, persistent: true });
      await channel.waitForConfirms();
    }
    channel.ack(message);
  };
  await channel.prefetch(10);
  for (const shard of channels.shard.parameters.shard.enum) {
    const queue = fill(channels.shard.address, { consumer, shard });
    await channel.consume(queue, (message) => message && void take(message, queue));
  }
  return connection;
}

/** Real: gateway, control plane, RabbitMQ. Simulated: Bitrix24. */
(hasBroker ? describe : describe.skip)('a consumer that knows docs/asyncapi.yaml alone', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let connection: ChannelModel | undefined;

  beforeAll(async () => {
    relay = await startRelay('RabbitMQ', []);
    portal = await relay.portal('acme');
    await portal.install(`${relay.gatewayUrl}/b24/install`);
  }, 240_000);
  afterAll(async () => {
    await connection?.close();
    await relay?.stop();
  }, 120_000);

  it('gets an event of a portal, again after a retry, and leaves a dead letter that relay shows', async () => {
    // As the document says.
    const register = await command(relay, [
      'consumer',
      'register',
      'foreign',
      '--events',
      'onCrmDealAdd,ONCRMDEALAD',
    ]);
    expect(register).toMatchObject({ code: 0 });
    expect(register.screen).toMatch(/^foreign gets ONCRMDEALADD, ONCRMDEALAD: .+\n.+ a slip: ONCRMDEALAD\n$/);
    await eventually(async () =>
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMDEALADD'),
    );
    // It waits for a consumer that has never run.
    const { id } = await portal.add(DEAL, { title: 'Twelve lamps' });
    const taken: { event: unknown; headers: unknown }[] = [];
    connection = await consume(relay.env['AMQP_URL'] ?? '', 'foreign', (event, headers) => {
      taken.push({ event, headers });
      throw new Failure('NOT_TODAY', taken.length === 2);
    });
    await eventually(() => expect(taken).toHaveLength(2));
    const event = {
      v: 1,
      memberId: portal.memberId,
      name: 'ONCRMDEALADD',
      entity: `CRMDEAL:${id}`,
      entityId: String(id),
      data: { FIELDS: { ID: String(id) } },
    };
    expect(taken[0]).toMatchObject({ event, headers: expect.not.objectContaining({ 'b24-attempts': 1 }) });
    expect(taken[1]).toMatchObject({ event, headers: { 'b24-attempts': 1, 'b24-code': 'NOT_TODAY' } });

    await eventually(async () =>
      expect(await askGateway(relay, 'GET', '/dead-letters?consumer=foreign')).toMatchObject({
        deadLetters: [{ code: 'NOT_TODAY', attempts: 2, event: 'ONCRMDEALADD', memberId: portal.memberId }],
      }),
    );

    await connection.close();
    connection = undefined;
    for (const step of ['--drain', '--drop'])
      expect(await command(relay, ['consumer', 'retire', 'foreign', step])).toMatchObject({ code: 0 });
  }, 120_000);
});
