import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { testConsumer } from '@relay/testing';
import { consumer } from './consumer.js';

const mobile = { typeId: 'PHONE', valueType: 'MOBILE', value: '0532 123 45 67' };
const mail = { typeId: 'EMAIL', valueType: 'WORK', value: '0532 123 45 67@example.com' };

describe('phone-formatter', () => {
  const { start, stop, testPortal, deliver, settled, set } = testConsumer(consumer);
  beforeAll(start);
  afterAll(stop);

  it.each([
    ['contact', 'ONCRMCONTACTADD'],
    ['company', 'ONCRMCOMPANYUPDATE'],
    ['lead', 'ONCRMLEADADD'],
  ] as const)('writes the phones of a %s in E.164, each in its place', async (type, event) => {
    const portal = await testPortal({ language: 'tr' });
    await portal.put(type, 1, { fm: { n0: mobile, n1: mail, n2: { ...mobile, value: 'ask Ali' } } });
    const before = await portal.item(type, 1);
    expect(await deliver(portal, event, { id: 1 })).toEqual({ outcome: 'done' });
    const [first, ...others] = listOf(before?.['fm']);
    expect(await portal.item(type, 1)).toMatchObject({
      fm: [{ ...Object(first), value: '+905321234567' }, ...others],
    });
  });

  it('writes once: its own write leaves nothing to change', async () => {
    const portal = await testPortal({ language: 'tr' });
    const { id } = await portal.add('contact', { name: 'Ada', fm: { n0: mobile } });
    await settled();
    expect(await portal.updates('contact')).toEqual([id]);
    const { calls } = await portal.calls();
    expect(calls['crm.item.list']).toBeGreaterThan(1);
  });

  it('leaves alone what comes back as it was', async () => {
    const portal = await testPortal({ language: 'tr' });
    const { id } = await portal.add('contact', { fm: { n0: mobile } });
    await settled();
    const [phone] = listOf((await portal.item('contact', id))?.['fm']);
    await portal.change('contact', id, { fm: [{ ...Object(phone), value: mobile.value }] });
    await settled();
    expect(await portal.updates('contact')).toEqual([id]);
    expect(await portal.item('contact', id)).toMatchObject({ fm: [{ value: mobile.value }] });
  });

  it('gives way to two programs that want it in two ways', async () => {
    const portal = await testPortal({ language: 'tr' });
    const { id } = await portal.add('contact', { fm: { n0: mobile } });
    await settled();
    const [phone] = listOf((await portal.item('contact', id))?.['fm']);
    for (let times = 0; times < 3; times += 1) {
      for (const value of ['0532-1234567', mobile.value]) {
        await portal.change('contact', id, { fm: [{ ...Object(phone), value }] });
        await settled();
      }
    }
    expect(await portal.updates('contact')).toEqual([id, id]);
    expect(await portal.item('contact', id)).toMatchObject({ fm: [{ value: mobile.value }] });
  });

  it('knows the country from the settings before the language, and guesses none for English', async () => {
    const portal = await testPortal({ contacts: [{ fm: { n0: { ...mobile, value: '020 7946 0958' } } }] });
    await deliver(portal, 'ONCRMCONTACTADD', { id: 1 });
    expect(await portal.updates('contact')).toEqual([]);
    await set(portal, { country: 'GB' });
    await deliver(portal, 'ONCRMCONTACTUPDATE', { id: 1 });
    expect(await portal.item('contact', 1)).toMatchObject({ fm: [{ value: '+442079460958' }] });
  });

  it('fails for the one that the portal does not let it write, and tries it again as it was', async () => {
    const portal = await testPortal({ contacts: [{ fm: { n0: mobile } }], language: 'tr' });
    await portal.failNext('crm.item.update', 'ACCESS_DENIED', { id: 1 });
    expect(await deliver(portal, 'ONCRMCONTACTADD', { id: 1 })).toEqual({
      outcome: 'dead',
      code: 'ACCESS_DENIED',
    });
    expect(await deliver(portal, 'ONCRMCONTACTADD', { id: 1 })).toEqual({ outcome: 'done' });
    expect(await portal.item('contact', 1)).toMatchObject({ fm: [{ value: '+905321234567' }] });
  });

  it('has nothing to do for an item that is gone, nor at a portal where it is not enabled', async () => {
    const portal = await testPortal({ contacts: [{ fm: { n0: mobile } }], language: 'tr' });
    expect(await deliver(portal, 'ONCRMCONTACTUPDATE', { id: 404 })).toEqual({ outcome: 'done' });
    await set(portal, { enabled: false });
    await deliver(portal, 'ONCRMCONTACTADD', { id: 1 });
    expect(await portal.updates('contact')).toEqual([]);
  });
});

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
