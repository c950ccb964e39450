import { describe, expect, it } from '@jest/globals';
import type { ListedHandlers } from '@relay/bitrix24';
import fc from 'fast-check';
import { diffHandlers, unbindableNow, type WantedHandlers } from './handler-comparison.js';

const here = 'https://relay.example.com/b24/events';
const former = 'https://old.example.com/b24/events';
const foreign = 'https://somebody.example.org/hook';

function wantedOf(online: string[], offline: string[] = []): WantedHandlers {
  return {
    online: new Set(online),
    offline: new Set(offline),
    connector: '',
    address: here,
    ownAddresses: new Set([here, former]),
  };
}
function listedOf(
  online: [event: string, handler: string][],
  offline: [event: string, connector: string][] = [],
): ListedHandlers {
  return {
    online: online.map(([event, handler]) => ({ event, handler })),
    offline: offline.map(([event, connector]) => ({ event, connector })),
    unreadable: 0,
  };
}

describe('the difference between bound and wanted handlers', () => {
  it('is none where each wanted event is bound, also twice, and others bind at their own addresses', () => {
    const listed = listedOf(
      [
        ['A', here],
        ['A', here],
        ['A', foreign],
        ['B', foreign],
      ],
      [['A', '']],
    );
    expect(diffHandlers(listed, wantedOf(['A'], ['A']))).toEqual({
      missing: { online: [], offline: [] },
      surplus: { online: [], offline: [] },
      foreign: 2,
      unreadable: 0,
    });
  });

  it('is what is missing, and what is ours and not wanted, at any address that we ever bound', () => {
    const listed = listedOf(
      [
        ['A', former],
        ['C', here],
        ['C', former],
      ],
      [
        ['C', ''],
        ['D', 'x'],
      ],
    );
    expect(diffHandlers(listed, wantedOf(['A', 'B'], ['A']))).toEqual({
      missing: { online: ['A', 'B'], offline: ['A'] },
      surplus: {
        online: [
          { event: 'A', handler: former },
          { event: 'C', handler: here },
          { event: 'C', handler: former },
        ],
        offline: [{ event: 'C', connector: '' }],
      },
      foreign: 1,
      unreadable: 0,
    });
  });

  it('is by the connector of the portal, and of no other program', () => {
    const listed = listedOf(
      [],
      [
        ['A', 'b24-relay'],
        ['B', ''],
        ['C', 'somebody'],
        ['D', 'b24-relay'],
        ['D', 'somebody'],
      ],
    );
    const wanted = { ...wantedOf([], ['A', 'B', 'C']), connector: 'b24-relay' };
    expect(diffHandlers(listed, wanted)).toMatchObject({
      missing: { offline: ['B', 'C'] },
      surplus: { offline: [{ event: 'D', connector: 'b24-relay' }] },
      foreign: 2,
    });
  });

  it('leaves the install event alone, which the gateway binds for the page of an older portal', () => {
    const listed = listedOf([
      ['ONAPPINSTALL', here],
      ['ONAPPINSTALL', former],
    ]);
    expect(diffHandlers(listed, wantedOf([])).surplus.online).toEqual([
      { event: 'ONAPPINSTALL', handler: former },
    ]);
  });

  it('never has a handler at an address that is not ours', () => {
    const event = fc.constantFrom('A', 'B', 'A_147', 'ONAPPINSTALL');
    const handler = fc.constantFrom(here, former, foreign, `${here}/`, here.toUpperCase(), '');
    fc.assert(
      fc.property(fc.array(fc.tuple(event, handler)), fc.subarray(['A', 'B', 'A_147']), (rows, online) => {
        const wanted = wantedOf(online);
        const { surplus, missing } = diffHandlers(listedOf(rows), wanted);
        for (const one of surplus.online) {
          expect([here, former]).toContain(one.handler);
          expect(one.handler === here && online.includes(one.event)).toBe(false);
        }
        // What is wanted is bound, or missing.
        for (const name of online) {
          const isBound = rows.some(([bound, at]) => bound === name && at === here);
          expect(missing.online.includes(name)).toBe(!isBound);
        }
      }),
    );
  });

  it('of a portal that lists a hundred thousand handlers is no longer than two hundred', () => {
    const rows = Array.from({ length: 100_000 }, (_, at): [string, string] => [`E${at}`, here]);
    const queued = rows.map(([event]): [string, string] => [event, '']);
    const { surplus } = diffHandlers(listedOf(rows, queued), wantedOf(['A']));
    expect([surplus.online.length, surplus.offline.length]).toEqual([200, 200]);
  });
});

describe('what can be unbound before the rest is bound', () => {
  it('is not a former address while the present one is not bound there', () => {
    const surplus = [
      { event: 'A', handler: former },
      { event: 'B', handler: former },
      { event: 'C', handler: former },
    ];
    const listed = [...surplus, { event: 'B', handler: here }];
    expect(unbindableNow(surplus, listed, wantedOf(['A', 'B']), ['A'])).toEqual([
      { event: 'B', handler: former },
      { event: 'C', handler: former },
    ]);
  });

  it('is not a basic event while a suffixed one may turn out to be unknown', () => {
    const surplus = [
      { event: 'A', handler: here },
      { event: 'AB', handler: here },
    ];
    const wanted = wantedOf(['A_147']);
    expect(unbindableNow(surplus, surplus, wanted, ['A_147'])).toEqual([{ event: 'AB', handler: here }]);
    expect(unbindableNow(surplus, surplus, wanted, [])).toEqual(surplus);
  });
});
