import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { hasBroker } from '../support/broker.js';
import {
  emptyResult,
  type HeardCall,
  type HostileAnswer,
  HostilePortals,
} from '../support/hostile-portal.js';
import { askGateway, listedPortal } from '../support/operator.js';
import { type BusKind, startRelay, type Relay } from '../support/relay.js';

const CONSUMER = 'name-formatter';
const polling = { timeoutMs: 60_000, everyMs: 100 };
const html = { 'content-type': 'text/html' };
const commands = z.record(z.string(), z.string()).catch({});
const counted = z.object({ matching: z.number() });

/** Once, in place of the answer to a read. Those that pass by themselves are followed by the contact's new name. */
const odd: Record<string, HostileAnswer> = {
  'page-401': { status: 401, headers: html, body: '<html>log in</html>' },
  'page-403': { status: 403, headers: html, body: '<html>forbidden</html>' },
  'page-404': { status: 404, headers: html, body: '<html>not found</html>' },
  connection: { status: 401, body: { error: 'CONNECTION_ERROR' } },
  licence: { status: 403, body: { error: 'WRONG_LICENSE' } },
};
/** For ever: somebody has to put it right. */
const unauthorized: Record<string, HostileAnswer> = {
  'user-gone': { status: 401, body: { error: 'authorization_error' } },
  oauth: { status: 401, body: { error: 'ERROR_OAUTH' } },
  unknown: { status: 401, body: { error: 'SOMETHING_NEW' } },
};

/** A portal whose every contact is called `ada`. */
function contacts(call: HeardCall): HostileAnswer | undefined {
  if (call.method !== 'batch') return undefined;
  const asked = Object.entries(commands.parse(call.params['cmd']));
  const result = Object.fromEntries(asked.map(([key, command]) => [key, resultOf(command)]));
  return {
    body: { result: { result, result_error: [], result_total: [], result_next: [], result_time: [] } },
  };
}

function resultOf(command: string): unknown {
  const [method = '', query = ''] = command.split('?');
  if (method !== 'crm.item.list') return emptyResult(method);
  return {
    items: idsIn(query).map((id) => ({ id: Number(id), name: 'ada', secondName: '', lastName: 'Li' })),
  };
}

function idsIn(query: string): string[] {
  return [...new URLSearchParams(query)].flatMap(([key, id]) => (key.startsWith('filter[@id]') ? [id] : []));
}

/** That a batch reads. */
function idsOf(call: HeardCall): string[] {
  return Object.values(commands.parse(call.params['cmd'])).flatMap((command) =>
    idsIn(command.split('?')[1] ?? ''),
  );
}

function isOf(call: HeardCall, method: string): boolean {
  return call.method === 'batch' && JSON.stringify(call.params).includes(method);
}

function until(isSo: () => boolean): Promise<void> {
  return eventually(() => {
    if (!isSo()) throw new Error('not yet');
  }, polling);
}

const COMMANDS_A_BATCH = 50;

/** Real: gateway, name-formatter, PostgreSQL, RabbitMQ. Made up: what the portals answer. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])(
  'a rejection on %s',
  (bus) => {
    let relay: Relay;
    let portals: HostilePortals;
    let changes: Record<string, string>;

    beforeAll(async () => {
      portals = await HostilePortals.start();
      relay = await startRelay(bus, [], { apart: [[CONSUMER]] });
      changes = { B24_OAUTH_URL: await portals.url(), B24_ALLOW_HOSTS: await portals.host() };
      await relay.restart(changes);
      await relay.start(CONSUMER, changes);
    }, 240_000);
    afterAll(async () => {
      await relay?.stop();
      await portals?.stop();
    }, 120_000);

    const heard = (memberId: string, method: string): HeardCall[] =>
      portals.calls.filter((call) => call.memberId === memberId && isOf(call, method));
    const send = (memberId: string, id: number): Promise<number> =>
      portals.send(relay.gatewayUrl, memberId, 'ONCRMCONTACTUPDATE', { ID: String(id) });

    async function install(memberId: string): Promise<void> {
      expect(await portals.install(relay.gatewayUrl, memberId)).toBe(200);
    }

    async function deadAt(memberId: string): Promise<number> {
      const path = `/dead-letters?consumer=${CONSUMER}&portal=${memberId}`;
      return counted.parse(await askGateway(relay, 'GET', path)).matching;
    }

    it('that is odd and passes is none of the event: it is handled a little later', async () => {
      portals.answer = (call) => {
        const isFirst = isOf(call, 'crm.item.list') && heard(call.memberId, 'crm.item.list').length === 1;
        return (isFirst && odd[call.memberId]) || contacts(call);
      };
      for (const memberId of Object.keys(odd)) await install(memberId);
      for (const memberId of Object.keys(odd)) expect(await send(memberId, 7)).toBe(200);
      await eventually(() => {
        const written = Object.keys(odd).filter((memberId) => heard(memberId, 'crm.item.update').length > 0);
        expect(written).toEqual(Object.keys(odd));
      }, polling);
      for (const memberId of Object.keys(odd))
        expect([memberId, await deadAt(memberId)]).toEqual([memberId, 0]);
    }, 120_000);

    it('of the token says nothing about the event, which waits', async () => {
      portals.answer = (call) =>
        isOf(call, 'crm.item.list') ? (unauthorized[call.memberId] ?? contacts(call)) : contacts(call);
      for (const memberId of Object.keys(unauthorized)) {
        await install(memberId);
        expect(await send(memberId, 7)).toBe(200);
        await eventually(() => expect(heard(memberId, 'crm.item.list').length).toBeGreaterThan(0), polling);
      }
      // What is sent to a portal that answers is handled behind theirs.
      await install('well');
      await send('well', 7);
      await eventually(() => expect(heard('well', 'crm.item.update').length).toBeGreaterThan(0), polling);
      for (const memberId of Object.keys(unauthorized)) {
        expect([memberId, await deadAt(memberId)]).toEqual([memberId, 0]);
      }
    }, 120_000);

    it('of the plan is looked at once with app.info, then suspends the portal', async () => {
      const denied = { status: 401, body: { error: 'ACCESS_DENIED' } };
      let isDenied = false;
      portals.answer = (call) => (isDenied && call.memberId === 'plan' ? denied : contacts(call));
      const looks = (): number =>
        portals.calls.filter(({ memberId, method }) => memberId === 'plan' && method === 'app.info').length;
      await install('plan');
      // The gateway asks it for the language.
      await eventually(() => expect(looks()).toBe(1), polling);
      isDenied = true;
      expect(await send('plan', 7)).toBe(200);
      await eventually(async () => {
        expect(await listedPortal(relay, 'plan')).toMatchObject({
          state: 'suspended',
          suspendedReason: 'ACCESS_DENIED',
        });
      }, polling);
      expect(looks()).toBeGreaterThan(1);
      expect(await deadAt('plan')).toBe(0);
    }, 120_000);

    it('of a token that was replaced meanwhile keeps no event waiting', async () => {
      let stale = '';
      let inFlight = 0;
      let written = 0;
      let read = 0;
      const isGranted = (): boolean => portals.accessTokenOf('replaced') !== stale;
      portals.answer = async (call) => {
        if (call.memberId === 'replaced' && isOf(call, 'crm.item.list')) read = idsOf(call).length;
        if (call.memberId !== 'replaced' || !isOf(call, 'crm.item.update')) return contacts(call);
        const count = Object.keys(commands.parse(call.params['cmd'])).length;
        // On a busy machine the consumer may begin with the few events that have arrived: their only write passes.
        const isHeld = call.token === stale && (inFlight > 0 || read >= 2 * COMMANDS_A_BATCH);
        if (!isHeld) {
          written += count;
          return contacts(call);
        }
        // Writes are under way with one token: the first makes us refresh it, the others hear that it is dead.
        inFlight += 1;
        const isFirst = inFlight === 1;
        await until(() => (isFirst ? inFlight > 1 : isGranted()));
        return { status: 401, body: { error: isFirst ? 'expired_token' : 'NO_AUTH_FOUND' } };
      };
      await install('replaced');
      stale = portals.accessTokenOf('replaced') ?? '';
      const ids = Array.from({ length: 205 }, (_, index) => index + 1);
      await relay.end(CONSUMER);
      for (const id of ids) expect(await send('replaced', id)).toBe(200);
      await relay.start(CONSUMER, changes);
      await eventually(() => expect(written).toBeGreaterThanOrEqual(ids.length), {
        timeoutMs: 30_000,
        everyMs: 100,
      });
      expect(inFlight).toBeGreaterThan(1);
      expect(await deadAt('replaced')).toBe(0);
    }, 120_000);

    it('of every token as expired causes one refresh, not one for each try', async () => {
      let isRejecting = false;
      const expired = { status: 401, body: { error: 'expired_token' } };
      portals.answer = (call) => (isRejecting && call.memberId === 'always' ? expired : contacts(call));
      await install('always');
      isRejecting = true;
      const tries = (): number => portals.calls.filter(({ memberId }) => memberId === 'always').length;
      const before = portals.grants.get('always') ?? 0;
      expect(await send('always', 1)).toBe(200);
      await eventually(() => expect(portals.grants.get('always')).toBe(before + 1), polling);
      // It stands in the database once it is used: a process that is killed before has lost the grant.
      await eventually(() => {
        const calls = portals.calls.filter(({ memberId }) => memberId === 'always');
        expect(new Set(calls.map(({ token }) => token)).size).toBe(2);
      }, polling);
      // A new process knows of it, too: what was refreshed stands in the database.
      for (let start = 0; start < 2; start += 1) {
        const sofar = tries();
        await relay.kill(CONSUMER);
        await relay.start(CONSUMER, changes);
        // What was tried before may wait for minutes.
        expect(await send('always', 2 + start)).toBe(200);
        await eventually(() => expect(tries()).toBeGreaterThan(sofar), polling);
      }
      expect(portals.grants.get('always')).toBe(before + 1);
      expect(await deadAt('always')).toBe(0);
    }, 120_000);
  },
);
