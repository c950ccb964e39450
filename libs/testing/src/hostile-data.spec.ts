import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Module } from '@nestjs/common';
import { type ConsumerOptions, OnPortalEvents, type PortalBatch } from '@relay/consumer';
import { testConsumer } from './index.js';

const odd = '<img src=x onerror=alert(1)>\u202Eevil\u2066\u0000\u001b[2J\ud83d\ude92';

const heard: string[] = [];

@Controller()
class ListeningController {
  @OnPortalEvents(['ONCRMDEALADD', 'ONCRMDEALUPDATE'])
  listen({ entries }: PortalBatch): void {
    heard.push(...entries.map(({ entity }) => entity));
  }
}

@Module({ controllers: [ListeningController] })
class ListeningModule {}

const consumer: ConsumerOptions = { name: 'listening', module: ListeningModule };

describe('the kit, given odd data,', () => {
  const { start, stop, testPortal, deliver, settled, deadLetters } = testConsumer(consumer, {
    bus: 'memory',
  });
  beforeAll(start);
  afterAll(stop);

  it.each([
    ['markup, marks and control characters', odd],
    ['a long text', 'x'.repeat(10_000)],
    ['half a character', 'a\ud800'],
    ['nothing', ''],
    ['keys of the form', 'a]=b&[c][]=%00+'],
  ])('keeps %s as it was given', async (_, title) => {
    const portal = await testPortal({ deals: [{ title }] });
    expect(await portal.item('deal', 1)).toMatchObject({ title });
    const { id } = await portal.add('deal', { title });
    expect(await portal.change('deal', id, { comments: title })).toMatchObject({ title, comments: title });
    await settled();
    expect(heard).toContain(`CRMDEAL:${id}`);
  });

  it.each([['0'], ['-1'], ['007'], ['x'], ['1/../2'], ['1?after=0'], ['9'.repeat(300)], [odd], [NaN], [1.5]])(
    'has no item, and changes none, for the id %j',
    async (id) => {
      const portal = await testPortal({ deals: [{ title: 'one' }, { title: 'two' }] });
      await expect(portal.item('deal', id)).resolves.toBeUndefined();
      await expect(portal.put('deal', id, { title: 'odd' })).rejects.toThrow('is no id');
      await expect(portal.change('deal', id, { title: 'odd' })).rejects.toThrow('is no id');
      await expect(portal.remove('deal', id)).rejects.toThrow('is no id');
      expect([await portal.item('deal', 1), await portal.item('deal', 2)]).toMatchObject([
        { title: 'one' },
        { title: 'two' },
      ]);
    },
  );

  it('gives each item an id of its own, and rejects one that is given twice', async () => {
    const deals = [
      { title: 'a' },
      { id: 3, title: 'b' },
      { title: 'c' },
      { id: 2, title: 'd' },
      { title: 'e' },
    ];
    const portal = await testPortal({ deals });
    const titles = [1, 2, 3, 4, 5].map(async (id) => (await portal.item('deal', id))?.['title']);
    expect(await Promise.all(titles)).toEqual(['a', 'd', 'b', 'c', 'e']);
    await expect(testPortal({ deals: [{ id: 7 }, { id: 7 }] })).rejects.toThrow(
      'two items of the type deal have the id 7',
    );
  });

  it.each([['0'], ['x'], [odd], ['9'.repeat(300)], [NaN]])(
    'tells what became of an event of %j',
    async (id) => {
      const portal = await testPortal();
      await expect(deliver(portal, 'ONCRMDEALADD', { id })).resolves.toEqual({ outcome: 'done' });
      expect(deadLetters(portal)).toEqual([]);
    },
  );

  it('says that an event is too much for a gateway, and what was given is no tree', async () => {
    const portal = await testPortal();
    const data: Record<string, unknown> = { [odd]: null, list: [1, { 'a[b]': undefined }] };
    await expect(deliver(portal, 'ONCRMDEALADD', { id: 1, data })).resolves.toEqual({ outcome: 'done' });
    await expect(deliver(portal, 'ONCRMDEALADD', { id: 'x'.repeat(300_000) })).rejects.toThrow('256 KiB');
    data['self'] = data;
    await expect(deliver(portal, 'ONCRMDEALADD', { data })).rejects.toThrow('circular');
  });

  it('holds ten thousand items, and hears of each event that it sends', async () => {
    const portal = await testPortal();
    await portal.fill('deal', 10_000, { title: odd });
    expect(await portal.item('deal', 10_000)).toMatchObject({ title: odd });
    const before = heard.length;
    await Promise.all(
      Array.from({ length: 200 }, (_, at) => deliver(portal, 'ONCRMDEALUPDATE', { id: at + 1 })),
    );
    expect(new Set(heard.slice(before)).size).toBe(200);
  });
});
