import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

const manual = readFileSync(join(import.meta.dirname, '../../docs/operating.md'), 'utf8');
const apps = ['gateway', 'name-formatter', 'smart-process-sync'] as const;

/** Real: every app as a process, PostgreSQL with the bus in it. Simulated: Bitrix24. */
describe('metrics', () => {
  let relay: Relay;
  let portal: SimulatedPortal;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['name-formatter', 'smart-process-sync'], {
      apart: apps.map((app) => [app]),
    });
    portal = await relay.portal('acme');
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
  }, 240_000);
  afterAll(() => relay?.stop(), 120_000);

  async function lines(app: string): Promise<string[]> {
    const answer = await fetch(`http://127.0.0.1:${relay.opsPort(app)}/metrics`);
    return (await answer.text()).split('\n');
  }

  async function series(app: string, start: string): Promise<number> {
    const found = (await lines(app)).filter((line) => line.startsWith(start));
    return found.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  it('account for every event: received is accepted and rejected, accepted is sent, sent is settled', async () => {
    const { id } = await portal.add(contactTypeId, { name: 'jOHN', secondName: '', lastName: "o'NEIL" });
    await eventually(async () => expect((await portal.item(contactTypeId, id)).name).toBe('John'));
    const stranger = { method: 'POST', body: new URLSearchParams({ 'auth[member_id]': portal.memberId }) };
    expect((await fetch(`${relay.gatewayUrl}/b24/events`, stranger)).status).toBe(400);
    await fetch(`${relay.gatewayUrl}/b24/events`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });

    await eventually(async () => {
      const { events } = await portal.statistics();
      const sent = events.sent - (events.names['ONAPPINSTALL'] ?? 0);
      const received = await series('gateway', 'relay_gateway_received_total{route="/b24/events"}');
      const accepted = await series('gateway', 'relay_gateway_accepted_total');
      expect(received).toBe(sent + 2);
      expect(accepted).toBe(sent);
      expect(await series('gateway', 'relay_gateway_refused_total{route="/b24/events"')).toBe(2);
      const answered =
        'http_server_request_duration_seconds_count{http_request_method="POST",http_route="/b24/events"';
      expect(await series('gateway', answered)).toBe(received);
      expect(await series('gateway', 'messaging_client_sent_messages_total')).toBe(accepted);
      expect(await series('gateway', 'messaging_client_operation_duration_seconds_count')).toBe(accepted);

      const consumed = await series('name-formatter', 'messaging_client_consumed_messages_total');
      // The contact was added, and changed by us.
      expect(consumed).toBe(2);
      expect(
        await series('name-formatter', 'relay_bus_settled_total{consumer="name-formatter",decision="done"}'),
      ).toBe(2);
      const [entries, merged] = [
        await series('name-formatter', 'relay_bus_batch_entries_sum'),
        await series('name-formatter', 'relay_bus_merged_total'),
      ];
      expect(entries + merged).toBe(2);
    });
    expect(await series('name-formatter', 'relay_rest_wait_seconds_count{work="live"}')).toBeGreaterThan(0);
  }, 60_000);

  it('show what a consumer holds, which is nothing at rest', async () => {
    await eventually(async () => {
      const held = (await lines('name-formatter')).filter((line) =>
        line.includes('{consumer="name-formatter"} '),
      );
      expect(held).toEqual(
        expect.arrayContaining(
          ['lanes', 'waiting_events', 'batches_in_hand', 'oldest_waiting_seconds'].map(
            (what) => `relay_bus_${what}{consumer="name-formatter"} 0`,
          ),
        ),
      );
    });
  });

  it('name no portal', async () => {
    for (const app of apps) {
      const text = (await lines(app)).join('\n');
      expect(text).not.toContain(portal.memberId);
      expect(text).not.toContain(portal.domain);
    }
  });

  it('are in the manual, all that are ours', async () => {
    for (const app of apps) {
      const names = (await lines(app)).flatMap(
        (line) => /^# TYPE ((?:relay|messaging|http)_\w+)/.exec(line)?.[1] ?? [],
      );
      expect(names.length).toBeGreaterThan(5);
      expect({ app, missing: names.filter((name) => !manual.includes(`\`${name}\``)) }).toEqual({
        app,
        missing: [],
      });
    }
  });
});
