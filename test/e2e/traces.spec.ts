import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hasBroker } from '../support/broker.js';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';
import { TraceCollector, type ExportedSpan } from '../support/trace-collector.js';

/** A trace of somebody else's, which a stranger might want ours to be part of. */
const foreign = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };

/** Real: gateway and consumer as processes, PostgreSQL, RabbitMQ. Simulated: Bitrix24, and what collects the spans. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])('a trace on %s', (bus) => {
  let relay: Relay;
  let collector: TraceCollector;
  let portal: SimulatedPortal;
  let applicationToken: string;
  let traced: Record<string, string>;
  let link: CuttableLink | undefined;

  beforeAll(async () => {
    relay = await startRelay(bus, []);
    collector = await TraceCollector.start();
    traced = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '100' };
    await relay.end('gateway');
    await relay.start('gateway', traced);
    await relay.start('name-formatter', traced);
    portal = await relay.portal('acme', { rate: 1_000, burst: 10_000 });
    ({ application_token: applicationToken } = await portal.install(`${relay.gatewayUrl}/b24/install`));
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
  }, 240_000);
  afterAll(async () => {
    await relay?.stop();
    await link?.cut();
    await collector?.stop();
  }, 120_000);

  /** One event that no contact caused, so that nothing else is on its way. @returns the trace that it began */
  async function post(entityId: number): Promise<ExportedSpan> {
    const before = collector.spansWith(eventRoute).length;
    const answer = await fetch(`${relay.gatewayUrl}/b24/events`, {
      method: 'POST',
      headers: { traceparent: `00-${foreign.traceId}-${foreign.spanId}-01` },
      body: new URLSearchParams({
        event: 'ONCRMCONTACTUPDATE',
        'data[FIELDS][ID]': String(entityId),
        ts: String(Math.floor(Date.now() / 1_000)),
        'auth[member_id]': portal.memberId,
        'auth[domain]': portal.domain,
        'auth[application_token]': applicationToken,
      }),
    });
    expect(answer.status).toBe(200);
    return eventually(() => {
      const [server, ...more] = collector.spansWith(eventRoute).slice(before);
      if (!server) throw new Error('no span of the request yet');
      expect(more).toEqual([]);
      return server;
    });
  }
  const eventRoute = { 'http.route': '/b24/events' };

  const spansOf = ({ traceId }: ExportedSpan, kind: ExportedSpan['kind']): ExportedSpan[] =>
    collector.spans.filter((span) => span.traceId === traceId && span.kind === kind);
  const childrenOf = ({ spanId }: ExportedSpan): ExportedSpan[] =>
    collector.spans.filter(({ parentSpanId }) => parentSpanId === spanId);

  it('runs from the POST through the bus to the batch and the REST request', async () => {
    const server = await post(1_001);
    expect(server).toMatchObject({
      service: 'gateway',
      name: 'POST /b24/events',
      kind: 'server',
      attributes: {
        'http.response.status_code': 200,
        'relay.event': 'ONCRMCONTACTUPDATE',
        'relay.member_id': portal.memberId,
      },
    });
    // The sender's own trace is not believed.
    expect(server.parentSpanId ?? '').toBe('');
    expect(server.traceId).not.toBe(foreign.traceId);

    await eventually(() => expect(spansOf(server, 'client')).not.toEqual([]));
    const [producer] = childrenOf(server);
    if (!producer) throw new Error('nothing was published');
    expect(producer).toMatchObject({
      service: 'gateway',
      name: 'publish b24.events',
      kind: 'producer',
      attributes: { 'messaging.system': bus.toLowerCase(), 'messaging.destination.name': 'b24.events' },
    });
    const consumer = await eventually(() => {
      const [found] = childrenOf(producer);
      if (!found) throw new Error('no batch yet');
      return found;
    });
    expect(consumer).toMatchObject({
      service: 'name-formatter',
      name: 'process b24.name-formatter',
      kind: 'consumer',
      attributes: { 'messaging.batch.message_count': 1, 'relay.member_id': portal.memberId },
    });
    expect(childrenOf(consumer)).toEqual([
      expect.objectContaining({
        name: 'POST batch',
        kind: 'client',
        attributes: expect.objectContaining({
          'http.response.status_code': 200,
          'server.address': '127.0.0.1',
          'bitrix24.methods': ['crm.item.list', 'batch'],
          'relay.member_id': portal.memberId,
        }),
      }),
    ]);
  });

  it('goes on after a retry', async () => {
    for (const _ of Array.from({ length: 3 })) await portal.orderFault('batch', '500');
    const server = await post(1_002);
    const batches = await eventually(() => {
      const found = spansOf(server, 'consumer');
      expect(found).toHaveLength(2);
      return found;
    });
    expect(batches.map(({ status, attributes }) => [status.code ?? 0, attributes['error.type']])).toEqual([
      [2, 'INTERNAL_SERVER_ERROR'],
      [0, undefined],
    ]);
    const requests = spansOf(server, 'client').map(
      ({ attributes }) => attributes['http.response.status_code'],
    );
    expect(requests).toEqual([500, 500, 500, 200]);
  }, 60_000);

  it('is begun for what is rejected, too, without a word that was sent', async () => {
    const planted = 'pl4nted-s3cr3t-0123456789';
    await fetch(`${relay.gatewayUrl}/b24/events?auth=${planted}`, {
      method: 'POST',
      body: new URLSearchParams({ event: 'ONCRMCONTACTUPDATE', 'auth[member_id]': planted, ts: '1' }),
    });
    const [rejected] = await eventually(() => {
      const found = collector.spansWith({ 'http.response.status_code': 401 });
      expect(found).toHaveLength(1);
      return found;
    });
    expect(rejected?.attributes).toMatchObject({
      'http.route': '/b24/events',
      'error.type': 'not-authorized',
    });
    expect(collector.bodies.join('\n')).not.toContain(planted);
  });

  (bus === 'RabbitMQ' ? it : it.skip)(
    'goes on after the journal',
    async () => {
      const broker = new URL(relay.env['AMQP_URL'] ?? '');
      link = await CuttableLink.to(Number(broker.port || '5672'), broker.hostname);
      broker.host = `127.0.0.1:${link.port}`;
      await relay.end('gateway');
      await relay.start('gateway', { ...traced, AMQP_URL: broker.href });
      await link.cut();
      const server = await post(1_003);
      expect(server.attributes['relay.journalled']).toBe(true);
      await link.mend();
      const [batch] = await eventually(() => {
        const found = spansOf(server, 'consumer');
        expect(found).toHaveLength(1);
        return found;
      });
      const published = spansOf(server, 'producer');
      expect(published.find(({ spanId }) => spanId === batch?.parentSpanId)?.status.code ?? 0).toBe(0);
      expect(published.every(({ parentSpanId }) => parentSpanId === server.spanId)).toBe(true);
    },
    120_000,
  );

  it('is sent to its last span before the processes end, and names a contact nowhere', async () => {
    const { id } = await portal.add(contactTypeId, { name: 'xANTHIPPE', secondName: '', lastName: 'li' });
    await eventually(async () => expect((await portal.item(contactTypeId, id)).name).toBe('Xanthippe'));
    expect(await relay.endAll()).toMatchObject({ gateway: 0, 'name-formatter': 0 });
    const sent = collector.spans.filter(({ name }) => name === 'POST batch');
    expect(sent.at(-1)?.attributes['bitrix24.methods']).toBeDefined();
    expect(collector.bodies.join('\n')).not.toMatch(/xanthippe/i);
    expect(relay.log()).not.toContain('traces.export.failed');
  }, 60_000);
});
