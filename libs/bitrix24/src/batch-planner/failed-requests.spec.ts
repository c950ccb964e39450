import { describe, expect, it } from '@jest/globals';
import { ModelPortal } from '../../test/model-portal.js';
import { add, names, results, sizes, spoiledBy, update, writeAll } from '../../test/writes.js';
import { Bitrix24Error } from '../rest/errors.js';

const timeout = new Bitrix24Error('TIMEOUT', { delivered: 'unknown' });
const internal = new Bitrix24Error('INTERNAL_SERVER_ERROR', { httpStatus: 500 });
const tooLong = new Bitrix24Error('ERROR_BATCH_LENGTH_EXCEEDED', { httpStatus: 400 });

describe('a request that is too long', () => {
  it('is bisected, and the rest of the plan is sent in requests of a proven size', async () => {
    const portal = new ModelPortal();
    portal.behaviours = [{ failure: tooLong }, { failure: tooLong }];
    const all = names(150);

    expect(
      results(
        await writeAll(
          portal,
          all.map((name) => add(name)),
          { concurrency: 1 },
        ),
      ),
    ).toEqual(all);
    expect(sizes(portal).slice(0, 5)).toEqual([50, 25, 13, 12, 13]);
    expect(Math.max(...sizes(portal).slice(2))).toBe(13);
    expect(portal.done.toSorted()).toEqual(all.toSorted());
  });

  it('of which the portal executed the first commands is not executed twice', async () => {
    const portal = new ModelPortal();
    portal.maxCommands = 20;
    const all = names(200);

    expect(
      results(
        await writeAll(
          portal,
          all.map((name) => add(name, 'one')),
          { concurrency: 1 },
        ),
      ),
    ).toEqual(all);
    expect(portal.done).toEqual(all);
    expect(sizes(portal).slice(0, 3)).toEqual([50, 20, 10]);
    expect(Math.max(...sizes(portal).slice(1))).toBe(20);
  });

  it('never counts as a portal that is down', async () => {
    const portal = new ModelPortal();
    portal.takes = 1;
    const all = names(300);
    expect(
      results(
        await writeAll(
          portal,
          all.map((name) => add(name)),
        ),
      ),
    ).toEqual(all);
  });

  it('with one command fails that command', async () => {
    const portal = new ModelPortal();
    portal.maxCommands = 0;
    expect(results(await writeAll(portal, [add('a'), add('b')]))).toEqual([
      'ERROR_BATCH_LENGTH_EXCEEDED',
      'ERROR_BATCH_LENGTH_EXCEEDED',
    ]);
    expect(sizes(portal)).toEqual([2, 1, 1]);
  });

  it('in bytes, because of one command, is split around that one', async () => {
    const portal = new ModelPortal();
    portal.spoils = spoiledBy(['w7'], new Bitrix24Error('BAD_ANSWER', { httpStatus: 413 }));
    const outcomes = await writeAll(
      portal,
      names(100).map((name) => add(name)),
      { concurrency: 1 },
    );

    expect(outcomes.filter((outcome) => !outcome.ok)).toHaveLength(1);
    expect(outcomes[7]).toMatchObject({ error: { httpStatus: 413 } });
    expect(sizes(portal).at(-1)).toBe(50);
  });
});

describe('a request with an unknown outcome', () => {
  it.each([
    ['that timed out', timeout],
    ['that a gateway gave up', new Bitrix24Error('BAD_ANSWER', { httpStatus: 504 })],
    ['that ended the process of the portal', internal],
    ['that a firewall rejected', new Bitrix24Error('BAD_ANSWER', { httpStatus: 403, detail: 'html' })],
    ['whose connection broke', new Bitrix24Error('TRANSPORT', { delivered: 'unknown' })],
  ])('%s is split around the command that spoils it', async (_, error) => {
    const portal = new ModelPortal();
    portal.spoils = spoiledBy(['w33'], error);
    const all = names(50);

    const expected = all.map((name) => (name === 'w33' ? error.code : name));
    expect(
      results(
        await writeAll(
          portal,
          all.map((name) => update(name)),
        ),
      ),
    ).toEqual(expected);
    expect(portal.sent.length).toBeLessThanOrEqual(1 + 2 * 6);
  });

  it('does not fail other commands when four of its commands are bad', async () => {
    const portal = new ModelPortal();
    portal.spoils = spoiledBy(['w3', 'w17', 'w29', 'w44'], internal);
    const outcomes = await writeAll(
      portal,
      names(50).map((name) => update(name)),
    );
    expect(outcomes.flatMap((outcome, index) => (outcome.ok ? [] : [index]))).toEqual([3, 17, 29, 44]);
  });

  it('fails commands that are not idempotent, and executes the others', async () => {
    const portal = new ModelPortal();
    portal.behaviours = [{ failure: timeout, done: 2 }];
    const writes = [update('a'), add('b'), update('c', 'e'), add('d', 'e'), update('f', 'e'), update('g')];

    expect(results(await writeAll(portal, writes))).toEqual([
      'a',
      'TIMEOUT',
      'TIMEOUT',
      'TIMEOUT',
      'TIMEOUT',
      'g',
    ]);
    expect(portal.done).toEqual(['a', 'b', 'a', 'g']);
  });

  it('follows the caller’s `repeatable` rather than the method’s name', async () => {
    const portal = new ModelPortal();
    portal.behaviours = [{ failure: timeout, done: 9 }];
    const outcomes = await writeAll(portal, [
      { ...add('a'), repeatable: true },
      { ...update('b'), repeatable: false },
      update('c'),
    ]);
    expect(results(outcomes)).toEqual(['a', 'TIMEOUT', 'c']);
  });

  it.each([
    ['timed out', timeout],
    ['was given up by a gateway', new Bitrix24Error('BAD_ANSWER', { httpStatus: 504 })],
  ])(
    'because it %s makes the rest of the plan smaller, unless as large a one was answered',
    async (_, failure) => {
      const slow = new ModelPortal();
      slow.behaviours = [{ failure }];
      await writeAll(
        slow,
        names(150).map((name) => update(name)),
        { concurrency: 1 },
      );
      expect(sizes(slow)).toEqual([50, 25, 25, 25, 25, 25, 25]);

      const once = new ModelPortal();
      once.behaviours = [{}, { failure }];
      await writeAll(
        once,
        names(200).map((name) => update(name)),
        { concurrency: 1 },
      );
      expect(sizes(once)).toEqual([50, 50, 25, 25, 50, 50]);
    },
  );

  it('is retried as a whole by the client if it is idempotent, its parts are not', async () => {
    const portal = new ModelPortal();
    await writeAll(portal, [add('a'), update('b')]);
    portal.behaviours = [{ failure: internal }];
    await writeAll(portal, [update('a'), update('b')]);
    expect(portal.sent.map(({ options }) => options.repeatable)).toEqual([false, true, false, false]);
  });
});

describe('a portal that accepts no requests', () => {
  const down = [
    ['that has moved', new Bitrix24Error('REDIRECT', { httpStatus: 302 })],
    [
      'whose token expires however often it is refreshed',
      new Bitrix24Error('EXPIRED_TOKEN', { httpStatus: 401 }),
    ],
    ['that is over its limit', new Bitrix24Error('QUERY_LIMIT_EXCEEDED', { httpStatus: 503 })],
    ['that is suspended', new Bitrix24Error('PORTAL_SUSPENDED', { recovery: 'wait' })],
    ['that must be authorized again', new Bitrix24Error('NO_AUTH_FOUND', { httpStatus: 401 })],
    ['that cannot be reached', new Bitrix24Error('TRANSPORT', { delivered: 'no' })],
    ['whose credentials cannot be read', new Error('no database')],
  ] as const;

  it.each(down)('%s gets one request, and all unsent commands get its error', async (_, failure) => {
    const portal = new ModelPortal();
    portal.behaviours = [{}, { failure }];
    const outcomes = await writeAll(
      portal,
      names(500).map((name) => update(name)),
      { concurrency: 1 },
    );

    expect(portal.sent).toHaveLength(2);
    expect(outcomes.slice(0, 50).every(({ ok }) => ok)).toBe(true);
    expect(outcomes.slice(50)).toEqual(outcomes.slice(50).map(() => ({ ok: false, error: failure })));
  });

  it('and never answers counts as down after twelve requests', async () => {
    const portal = new ModelPortal();
    portal.spoils = () => timeout;
    const outcomes = await writeAll(
      portal,
      names(500).map((name) => update(name)),
      { concurrency: 1 },
    );
    expect(portal.sent).toHaveLength(12);
    expect(outcomes.every((outcome) => !outcome.ok && outcome.error === timeout)).toBe(true);
  });

  it('loses no request that was in flight when another one failed', async () => {
    const portal = new ModelPortal();
    portal.behaviours = [{ ticksAfter: 20 }, { failure: new Bitrix24Error('OVERLOAD_LIMIT') }];
    const outcomes = await writeAll(
      portal,
      names(150).map((name) => add(name)),
      { concurrency: 2 },
    );
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(50);
    expect(portal.sent).toHaveLength(2);
  });
});
