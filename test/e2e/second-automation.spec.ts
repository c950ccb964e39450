import { createServer, type IncomingMessage, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

const contact = z.object({ result: z.object({ item: z.object({ name: z.string() }) }) });

/**
 * A program of somebody else: told of each changed contact, it reads the name and writes it as it wants it, if it is otherwise.
 */
class Automation {
  /** What it wants for the name that it finds; undefined: it leaves it. */
  wish: (name: string) => string | undefined = () => undefined;
  received = 0;
  writes = 0;
  readonly failures: unknown[] = [];
  /** Of its incoming webhook. */
  restUrl = '';
  private readonly server: Server = createServer((request, response) => {
    void this.take(request).finally(() => response.end());
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = z.object({ port: z.number() }).parse(this.server.address());
    return `http://127.0.0.1:${port}/`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async take(request: IncomingMessage): Promise<void> {
    this.received += 1;
    try {
      await this.onEvent(new URLSearchParams(await text(request)).get('data[FIELDS][ID]') ?? '');
    } catch (error) {
      this.failures.push(error);
    }
  }

  private async onEvent(id: string): Promise<void> {
    const found = contact.parse(await this.call('crm.item.get', { entityTypeId: contactTypeId, id }));
    const name = this.wish(found.result.item.name);
    if (name === undefined || name === found.result.item.name) return;
    this.writes += 1;
    await this.call('crm.item.update', { entityTypeId: contactTypeId, id, fields: { name } });
  }

  private async call(method: string, params: object): Promise<unknown> {
    const answer = await fetch(`${this.restUrl}${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(params),
    });
    return answer.json();
  }
}

/** Real: every app as built, PostgreSQL, and a second program that writes names. Simulated: Bitrix24. */
describe('beside a second automation that writes names', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  const automation = new Automation();

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['name-formatter']);
    portal = await relay.portal('acme', { rate: 1_000, burst: 10_000 });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
    automation.restUrl = portal.webhookUrl;
    await portal.addOutgoingWebhook('ONCRMCONTACTUPDATE', await automation.start());
  }, 240_000);
  beforeEach(() => {
    automation.wish = () => undefined;
    automation.writes = 0;
  });
  afterAll(async () => {
    automation.stop();
    await relay?.stop();
  }, 60_000);

  /** Every event has been handled, by either program. */
  async function untilIdle(): Promise<void> {
    await eventually(async () => {
      const { events } = await portal.statistics();
      expect(events.pending).toBe(0);
      const lifecycle = Object.entries(events.names).filter(([name]) => name.startsWith('ONAPP'));
      const ours = events.sent - automation.received - lifecycle.reduce((sum, [, count]) => sum + count, 0);
      expect(await relay.metric('name-formatter', 'relay_bus_settled_total')).toBe(ours);
    });
    expect(automation.failures).toEqual([]);
  }

  async function updates(): Promise<number> {
    return (await portal.statistics()).calls['crm.item.update'] ?? 0;
  }

  async function nameOf(id: number): Promise<unknown> {
    return (await portal.item(contactTypeId, id))['name'];
  }

  it('gives way at once to one that writes the same value again', async () => {
    const before = await updates();
    automation.wish = () => 'CLUB';
    const { id } = await portal.add(contactTypeId, { name: 'CLUB', secondName: '', lastName: 'Smith' });
    await eventually(() => expect(automation.writes).toBe(1));
    await untilIdle();
    expect(await nameOf(id)).toBe('CLUB');
    expect([automation.writes, (await updates()) - before]).toEqual([1, 2]);
  });

  it('gives way after the second correction to one that writes ever new values, and says so once', async () => {
    const before = await updates();
    automation.wish = (name) =>
      /\p{Ll}/u.test(name) ? `CLUB ${'X'.repeat(automation.writes + 4)}` : undefined;
    const { id } = await portal.add(contactTypeId, { name: 'CLUB', secondName: '', lastName: 'Smith' });
    await eventually(() => expect(automation.writes).toBe(2));
    await untilIdle();
    await portal.change(contactTypeId, id, { name: 'CLUB ZZZZZ' });
    await untilIdle();
    expect(await nameOf(id)).toBe('CLUB ZZZZZ');
    expect([automation.writes, (await updates()) - before]).toEqual([2, 4]);
    expect(relay.log().match(/"names\.correction\.contested"/g)).toHaveLength(1);
  });

  it('leaves what a person puts back, and corrects the other field', async () => {
    const { id } = await portal.add(contactTypeId, { name: 'JJ', secondName: '', lastName: 'ABRAMS' });
    await eventually(async () => expect(await nameOf(id)).toBe('Jj'));
    await untilIdle();
    const before = await updates();
    await portal.change(contactTypeId, id, { name: 'JJ', lastName: 'mILLER' });
    await eventually(async () =>
      expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'JJ', lastName: 'Miller' }),
    );
    await untilIdle();
    expect(await nameOf(id)).toBe('JJ');
    expect((await updates()) - before).toBe(1);
  });
});
