import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { testConsumer, type TestPortal } from '@relay/testing';
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';
import { consumer } from './consumer.js';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
const message = z.object({
  type: z.string(),
  data: z.object({ memberId: z.string(), events: z.array(z.string()), id: z.string(), item: z.any() }),
});
type Message = z.output<typeof message>;

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

describe('deal-to-webhook', () => {
  const { start, stop, testPortal, deliver, settled, set, deadLetters, log } = testConsumer(consumer, {
    retryDelaysMs: [50],
  });
  const received: Received[] = [];
  let answer: (response: ServerResponse) => void;
  let url: string;
  const receiver = createServer((request, response) => {
    void buffer(request)
      .then((body) => received.push({ headers: request.headers, body: body.toString() }))
      .then(() => answer(response));
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${z.object({ port: z.number() }).parse(receiver.address()).port}/hook/s3cret-path`;
    Object.assign(process.env, { WEBHOOK_SECRETS: `default:${secret}`, WEBHOOK_ALLOW_HOSTS: '127.0.0.1' });
    await start();
  });
  afterAll(async () => {
    await stop();
    receiver.close();
    receiver.closeAllConnections();
    for (const name of ['WEBHOOK_SECRETS', 'WEBHOOK_ALLOW_HOSTS']) delete process.env[name];
  });
  beforeEach(() => {
    received.length = 0;
    answer = (response) => response.end();
  });

  async function forwarding(settings: object = {}): Promise<TestPortal> {
    const portal = await testPortal({ deals: [{ title: 'Lamps' }] });
    await set(portal, { url, ...settings });
    return portal;
  }

  function read({ body, headers }: Received, by = secret): Message {
    const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
    const signed = Object.fromEntries(names.map((name) => [name, String(headers[name])]));
    // What receivers use; it throws for a wrong signature.
    return message.parse(new Webhook(by).verify(body, signed));
  }

  function messages(): Message[] {
    return received.map((each) => read(each));
  }

  it('forwards an event with the deal, signed as Standard Webhooks says', async () => {
    const portal = await forwarding();
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 1 })).toEqual({ outcome: 'done' });
    const { memberId } = portal;
    expect(messages()).toEqual([
      {
        type: 'ONCRMDEALADD',
        data: {
          memberId,
          events: ['ONCRMDEALADD'],
          id: '1',
          item: expect.objectContaining({ title: 'Lamps' }),
        },
      },
    ]);
    const other = `whsec_${randomBytes(32).toString('base64')}`;
    expect(() => received.map((each) => read(each, other))).toThrow('No matching signature found');
  });

  it('forwards what a user does, the end of a deal included', async () => {
    const portal = await forwarding();
    const { id } = await portal.add('deal', { title: 'Chairs' });
    await settled();
    await portal.remove('deal', id);
    await settled();
    expect(messages().map(({ type, data }) => [type, data.item?.title])).toEqual([
      ['ONCRMDEALADD', 'Chairs'],
      ['ONCRMDEALDELETE', undefined],
    ]);
  });

  it('forwards the chosen events alone, and nothing without an address', async () => {
    const portal = await forwarding({ events: ['ONCRMDEALDELETE'] });
    await deliver(portal, 'ONCRMDEALADD', { id: 1 });
    const silent = await testPortal({ deals: [{}] });
    await deliver(silent, 'ONCRMDEALADD', { id: 1 });
    expect(received).toEqual([]);
    expect((await silent.calls()).requests).toBe(0);
  });

  it('sends again what was not taken, with the same id, and a changed deal with another', async () => {
    const portal = await forwarding();
    answer = (response) => {
      answer = (next) => next.end();
      response.writeHead(503).end();
    };
    expect(await deliver(portal, 'ONCRMDEALUPDATE', { id: 1 })).toEqual({
      outcome: 'retry',
      code: 'HTTP_503',
    });
    await settled();
    await portal.until('deal', 1, () => received.length === 2);
    await portal.put('deal', 1, { title: 'Desks' });
    await deliver(portal, 'ONCRMDEALUPDATE', { id: 1 });
    const ids = received.map(({ headers }) => headers['webhook-id']);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
    expect(deadLetters(portal)).toEqual([]);
  });

  it.each([
    ['is gone', 'HTTP_410', (response: ServerResponse) => response.writeHead(410).end()],
    ['cannot be called', 'BAD_ADDRESS', undefined],
  ])('gives up at once where the receiver %s', async (_, code, answers) => {
    const portal = await forwarding(answers ? {} : { url: 'https://10.0.0.1/hook' });
    answer = answers ?? answer;
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 1 })).toEqual({ outcome: 'dead', code });
  });

  it.each([
    ['http://127.0.0.2/', 'plain http'],
    ['https://localhost/', 'this machine'],
    ['https://169.254.169.254/latest', 'the metadata of a cloud'],
    ['https://[::ffff:10.0.0.1]/', 'a private address in another form'],
    ['https://user:password@example.com/', 'credentials'],
  ])('never calls %s (%s)', async (address) => {
    const portal = await forwarding({ url: address });
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 1 })).toEqual({
      outcome: 'dead',
      code: 'BAD_ADDRESS',
    });
  });

  it('follows no redirect', async () => {
    const portal = await forwarding();
    answer = (response) => response.writeHead(307, { location: `${url}/elsewhere` }).end();
    const outcome = await deliver(portal, 'ONCRMDEALADD', { id: 1 });
    expect(outcome).toEqual({ outcome: 'retry', code: 'HTTP_307' });
    answer = (response) => response.end();
    await portal.until('deal', 1, () => received.length === 2);
  });

  it('takes an endless answer for what its status says', async () => {
    const portal = await forwarding();
    answer = (response) => {
      const more = (): void => {
        while (response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
    };
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 1 })).toEqual({ outcome: 'done' });
  });

  it('fails for the deal that cannot be read, and waits for a secret that it does not know', async () => {
    const portal = await forwarding();
    await portal.failNext('crm.item.list', 'INSUFFICIENT_SCOPE');
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 1 })).toMatchObject({ outcome: 'dead' });
    expect(received).toEqual([]);
    await set(portal, { url, secret: 'acme' });
    const outcome = await deliver(portal, 'ONCRMDEALADD', { id: 1 });
    expect(outcome).toEqual({ outcome: 'retry', code: 'UNKNOWN_SECRET' });
    await set(portal, { url });
    await portal.until('deal', 1, () => received.length === 1);
  });

  it('logs neither the secret nor the address', () => {
    const logged = JSON.stringify(log);
    expect(logged).toContain('HTTP_410');
    expect(logged).not.toContain('s3cret-path');
    expect(logged).not.toContain(secret.slice('whsec_'.length));
  });
});
