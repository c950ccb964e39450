import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { failureOf } from '../test/failure.js';
import { clientOf, Peer } from '../test/peer.js';
import { readHandlers } from './event-handlers.js';
import type { PortalClient } from './portal-client.js';

const address = 'https://relay.example.com/b24/events';
const online = { event: 'ONCRMLEADADD', handler: address, auth_type: '0', offline: 0 };

describe('the handlers of a portal', () => {
  let peer: Peer;
  let client: PortalClient;

  beforeEach(async () => {
    peer = await Peer.start();
    client = clientOf(peer);
  });
  afterEach(() => peer.stop());

  it('are online ones with an address, and offline ones with a connector or none', async () => {
    peer.answer = () => ({
      body: {
        result: [
          online,
          { event: 'onCrmLeadUpdate', handler: address },
          { event: 'ONCRMDEALADD', connector_id: '', offline: 1 },
          { event: 'ONCRMDEALUPDATE', connector_id: 'x', offline: '1' },
        ],
      },
    });
    expect(await readHandlers(client)).toEqual({
      online: [
        { event: 'ONCRMLEADADD', handler: address },
        { event: 'ONCRMLEADUPDATE', handler: address },
      ],
      offline: [
        { event: 'ONCRMDEALADD', connector: '' },
        { event: 'ONCRMDEALUPDATE', connector: 'x' },
      ],
      unreadable: 0,
    });
  });

  it.each([
    null,
    7,
    'text',
    [],
    {},
    { ...online, event: 7 },
    { ...online, event: '' },
    { ...online, event: 'ONCRM\u001b[2J' },
    { ...online, event: 'A'.repeat(101) },
    { ...online, handler: ['https://relay.example.com/'] },
    { ...online, handler: '' },
    { ...online, handler: `https://relay.example.com/${'x'.repeat(2_000)}` },
    { ...online, offline: { deep: [1] } },
    { event: 'ONCRMLEADADD', offline: 1, connector_id: 5 },
  ])('do not hide behind the row %j', async (odd) => {
    peer.answer = () => ({ body: { result: [odd, online, odd] } });
    const { online: read, offline, unreadable } = await readHandlers(client);
    expect([read.length, offline.length, unreadable]).toEqual([1, 0, 2]);
  });

  it.each([null, false, 'text', 7, { event: 'ONCRMLEADADD' }])(
    'that are %j are BAD_ANSWER',
    async (result) => {
      peer.answer = () => ({ body: { result } });
      expect(await failureOf(readHandlers(client))).toMatchObject({ code: 'BAD_ANSWER' });
    },
  );
});
