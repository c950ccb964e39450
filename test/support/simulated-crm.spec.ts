import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { TestSimulator } from '../../apps/portal-simulator/test/support.js';
import { SimulatedPortal } from './simulated-portal.js';

let simulator: TestSimulator;
let portal: SimulatedPortal;

beforeAll(async () => {
  simulator = await TestSimulator.start();
  const types = [{ entityTypeId: 147, title: 'Orders', fields: 'every' as const }];
  portal = await SimulatedPortal.create(simulator.simulator.url, 'acme', { types, suffixedEvents: false });
});
afterAll(() => simulator.close());

async function titles(entityTypeId: number): Promise<unknown[]> {
  const read: unknown[] = [];
  for await (const item of portal.crm.allItems(entityTypeId, ['id', 'title'])) read.push(item['title']);
  return read;
}

it('the hands of an administrator do what the simulator offers', async () => {
  const { crm } = portal;
  await crm.addType({ entityTypeId: 150, title: 'Visits', code: 'visits' });
  await crm.changeType(150, { title: 'Calls' });
  const [colour] = await crm.addUserFields(150, [{ type: 'enumeration', items: [{ value: 'Red' }] }]);
  const red = colour?.enum?.[0]?.id ?? 0;
  await crm.changeUserField(150, colour?.id ?? '', {
    label: 'Paint',
    items: [{ id: red, value: 'Crimson' }],
  });
  expect(await crm.userFields(150)).toMatchObject([
    { editFormLabel: { en: 'Paint' }, enum: [{ id: red, value: 'Crimson' }] },
  ]);
  await crm.removeUserField(150, colour?.fieldName ?? '');
  expect(await crm.userFields(150)).toEqual([]);

  expect(await crm.makeItems(150, 3, { seed: 2 })).toEqual({ added: 3, lastId: 3 });
  const before = await titles(150);
  expect(before).toHaveLength(3);
  await crm.backup('before');
  expect(await crm.changeAtRandom(150, { count: 5, adds: 1 })).toMatchObject({ added: 5, deleted: 0 });
  await crm.putRaw(150, 5, { title: 5 });
  expect(await titles(150)).toContain(5);
  await crm.restore('before');
  expect(await titles(150)).toEqual(before);

  await crm.hide(150, [1]);
  await portal.set({ missingReference: 'empty', rate: 50 });
  const list = await simulator.call('crm.item.list', { entityTypeId: 150 }, 'acme');
  expect(list.at('total')).toBe(2);
  await crm.removeType(150);
  await expect(titles(150)).rejects.toThrow(/answered 400/);
});
