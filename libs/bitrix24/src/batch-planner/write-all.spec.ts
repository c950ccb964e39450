import { describe, expect, it } from '@jest/globals';
import { ModelPortal, nameOf } from '../../test/model-portal.js';
import { add, names, results, sizes, spoiledBy, update, writeAll } from '../../test/writes.js';
import { Bitrix24Error } from '../rest/errors.js';
import type { Write } from './write-all.js';

describe('writes', () => {
  it('are sent fifty per request, four requests concurrently, and each gets its own result', async () => {
    const portal = new ModelPortal();
    portal.behaviours = names(6).map((_, index) => ({ ticksAfter: 6 - index }));
    const all = names(251);

    expect(
      results(
        await writeAll(
          portal,
          all.map((name) => update(name)),
        ),
      ),
    ).toEqual(all);
    expect(sizes(portal)).toEqual([50, 50, 50, 50, 50, 1]);
    expect(portal.maxInFlight).toBe(4);
  });

  it('without commands send no request', async () => {
    const portal = new ModelPortal();
    expect(await writeAll(portal, [])).toEqual([]);
    expect(portal.sent).toHaveLength(0);
  });

  it('keep the error of one command to its caller, such as a limit or an expired token', async () => {
    const portal = new ModelPortal();
    const codes = new Map([
      ['w1', 'ACCESS_DENIED'],
      ['w2', 'EXPIRED_TOKEN'],
      ['w3', 'OPERATION_TIME_LIMIT'],
    ]);
    portal.answer = (command) => {
      const code = codes.get(nameOf(command));
      if (code === undefined) return { ok: true, result: 'done' };
      return { ok: false, error: new Bitrix24Error(code, { retryAfterMs: 7 }) };
    };

    const outcomes = await writeAll(
      portal,
      names(5).map((name) => update(name)),
    );
    expect(results(outcomes)).toEqual([
      'done',
      'ACCESS_DENIED',
      'EXPIRED_TOKEN',
      'OPERATION_TIME_LIMIT',
      'done',
    ]);
    expect(outcomes[3]).toMatchObject({ error: { recovery: 'wait', retryAfterMs: 7 } });
    expect(portal.sent).toHaveLength(1);
  });

  it('of one entity are executed in order, also across several requests', async () => {
    const portal = new ModelPortal();
    portal.behaviours = [{ ticksBefore: 9 }];
    const one = names(120).map((name) => add(name, 'contact:1'));
    await writeAll(portal, [...one, ...names(50).map((name) => add(`other ${name}`))]);

    expect(portal.done.filter((name) => !name.startsWith('other'))).toEqual(names(120));
    expect(portal.done.indexOf('other w49')).toBeLessThan(portal.done.indexOf('w50'));
  });

  it('with a text that a batch would replace are sent alone, in order, with the text unchanged', async () => {
    const portal = new ModelPortal();
    const text = '$result[a][b]';
    const lone: Write = {
      entity: 'e',
      command: { method: 'crm.item.update', params: { name: 'lone', text } },
    };
    const outcomes = await writeAll(portal, [update('a', 'e'), lone, update('b', 'e'), update('c')]);

    expect(results(outcomes)).toEqual(['a', 'lone', 'b', 'c']);
    expect(portal.done).toEqual(['a', 'lone', 'b', 'c']);
    expect(portal.sent.map((request) => [request.alone, request.names])).toEqual([
      [false, ['a']],
      [true, ['lone']],
      [false, ['b', 'c']],
    ]);
  });

  it('that cannot be batched are sent alone, and invalid ones fail alone', async () => {
    const portal = new ModelPortal();
    const outcomes = await writeAll(portal, [
      { entity: 'a', command: { method: 'x.update', params: { name: 'a', tags: [] } } },
      { entity: 'b', command: { method: 'x.update', params: { name: 'b', price: Number.NaN } } },
      update('c'),
    ]);

    expect(outcomes).toMatchObject([{ ok: true }, { ok: false, error: expect.any(TypeError) }, { ok: true }]);
    expect(portal.sent.flatMap((request) => request.names)).toEqual(['a', 'c']);
  });
});

describe('an unbatched call that fails', () => {
  it.each(['OPERATION_TIME_LIMIT', 'INVALID_CREDENTIALS', 'NOT_FOUND'])(
    'with %s does not affect the others',
    async (code) => {
      const portal = new ModelPortal();
      portal.spoils = spoiledBy(['w0'], new Bitrix24Error(code, { httpStatus: 403 }));
      const lone = { ...update('w0').command.params, tags: [] };
      const writes = [
        { entity: 'w0', command: { method: 'x.update', params: lone } },
        ...names(60)
          .slice(1)
          .map((name) => update(name)),
      ];
      expect(results(await writeAll(portal, writes, { concurrency: 1 }))).toEqual([
        code,
        ...names(60).slice(1),
      ]);
    },
  );
});

describe('an abort', () => {
  it('before the first request sends nothing', async () => {
    const portal = new ModelPortal();
    const reason = new Error('enough');
    const outcomes = await writeAll(portal, [update('a')], { signal: AbortSignal.abort(reason) });
    expect(outcomes).toEqual([{ ok: false, error: reason }]);
    expect(portal.sent).toHaveLength(0);
  });

  it('during execution keeps the results so far and is the outcome of the rest', async () => {
    const portal = new ModelPortal();
    const controller = new AbortController();
    portal.answer = (command) => {
      if (nameOf(command) === 'w49') controller.abort(new Error('enough'));
      return { ok: true, result: 'done' };
    };
    const { signal } = controller;
    const outcomes = await writeAll(
      portal,
      names(120).map((name) => update(name)),
      { signal, concurrency: 1 },
    );

    expect(portal.sent).toHaveLength(1);
    expect(portal.sent[0]?.options.signal).toBe(signal);
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(50);
    expect(outcomes[50]).toEqual({ ok: false, error: new Error('enough') });
  });
});
