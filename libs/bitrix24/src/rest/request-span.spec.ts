import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { failureOf } from '../../test/failure.js';
import { clientOf, Peer } from '../../test/peer.js';
import { MemoryTokens } from '../../test/token-store.js';
import { webhookTokens } from './access.js';
import type { PortalClient, PortalClientOptions } from '../portal-client.js';

const exporter = new InMemorySpanExporter();
let peer: Peer;

beforeAll(() => {
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
});
beforeEach(async () => {
  peer = await Peer.start();
});
afterEach(async () => {
  exporter.reset();
  await peer.stop();
});

function client(options: Partial<PortalClientOptions> = {}): PortalClient {
  const tokens = webhookTokens(`${peer.url}/rest/1/s3cret/`);
  return clientOf(peer, { tokens, ...options });
}

describe('the span of a request', () => {
  it('contains the method, the portal and the response status', async () => {
    peer.answer = () => ({ body: { result: { result: { a: 1, b: 2 }, result_error: [] } } });
    await client().batch({ a: { method: 'crm.item.list' }, b: { method: 'crm.item.Update' } });
    const [span, ...more] = exporter.getFinishedSpans();
    expect(more).toEqual([]);
    expect(span).toMatchObject({
      name: 'POST batch',
      kind: SpanKind.CLIENT,
      status: { code: SpanStatusCode.UNSET },
      attributes: {
        'http.request.method': 'POST',
        'http.response.status_code': 200,
        'server.address': '127.0.0.1',
        'bitrix24.member_id': 'm1',
        'bitrix24.method': 'batch',
        'bitrix24.methods': ['crm.item.list', 'crm.item.update', 'batch'],
      },
    });
  });

  it('has the attributes of the caller, too', async () => {
    await client({ spanAttributes: { 'shop.tenant': 'acme' } }).call('app.info');
    const [span] = exporter.getFinishedSpans();
    expect(span?.instrumentationScope.name).toBe('bitrix24-rest-client');
    expect(span?.attributes).toMatchObject({ 'bitrix24.method': 'app.info', 'shop.tenant': 'acme' });
  });

  it('is created for each retry, with its error', async () => {
    peer.answer = (_, count) =>
      count < 3 ? { status: 500, body: { error: 'INTERNAL_SERVER_ERROR' } } : { body: { result: 1 } };
    await client().call('crm.item.get', { id: 82 });
    expect(exporter.getFinishedSpans().map(({ attributes }) => attributes)).toEqual([
      expect.objectContaining({ 'http.response.status_code': 500, 'error.type': 'INTERNAL_SERVER_ERROR' }),
      expect.objectContaining({ 'http.response.status_code': 500, 'error.type': 'INTERNAL_SERVER_ERROR' }),
      expect.objectContaining({ 'http.response.status_code': 200 }),
    ]);
  });

  it('has no status without a response', async () => {
    peer.answer = () => 'reset';
    await failureOf(client().call('crm.item.add', {}));
    const [span] = exporter.getFinishedSpans();
    expect(span?.status.code).toBe(SpanStatusCode.ERROR);
    expect(span?.attributes).toMatchObject({ 'error.type': 'TRANSPORT' });
    expect(span?.attributes).not.toHaveProperty(['http.response.status_code']);
  });

  it('ends when the caller aborts, without the text of the reason', async () => {
    peer.answer = () => 'hang';
    const giveUp = new AbortController();
    const call = client().call('crm.item.get', {}, { signal: giveUp.signal });
    void peer.hears(1).then(() => giveUp.abort(new TypeError('s3cret')));
    await expect(call).rejects.toThrow('s3cret');
    const [span] = exporter.getFinishedSpans();
    expect(span?.attributes['error.type']).toBe('TypeError');
    expect(span?.status.message).toBeUndefined();
  });

  it('contains no webhook’s secret, no token, no parameter and no content of the response', async () => {
    const tokens = new MemoryTokens(`${peer.url}/rest/`, 's3cret-token');
    peer.answer = (received) => ({
      status: 400,
      body: { error: 'ODD', error_description: `s3cret ${received.text}` },
    });
    for (const each of [client(), client({ tokens })]) {
      await failureOf(each.call('crm.item.get', { id: 's3cret-parameter' }));
    }
    const spans = exporter.getFinishedSpans();
    expect(spans).toHaveLength(2);
    const told = spans.map(({ name, attributes, status, events }) => ({ name, attributes, status, events }));
    expect(JSON.stringify(told)).not.toContain('s3cret');
  });
});
