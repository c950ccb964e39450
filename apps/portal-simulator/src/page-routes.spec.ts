import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestSimulator } from '../test/support.js';
import { ViewReader } from '../test/view-reader.js';

let b24: TestSimulator;

beforeEach(async () => {
  b24 = await TestSimulator.start();
});
afterEach(() => b24.close());

function changes(portal = 'demo'): Promise<ViewReader> {
  return ViewReader.open(`${b24.simulator.url}/_sim/portals/${portal}/changes`);
}

describe('the page', () => {
  it('is what a browser gets at /, and may load nothing from elsewhere', async () => {
    const { status, body, headers } = await b24.send('/', { headers: { accept: 'text/html,*/*;q=0.8' } });
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    expect(body).not.toMatch(/https?:|<style|style=|onclick/);
  });

  it('has all the files that it names', async () => {
    const { body } = await b24.send('/', { headers: { accept: 'text/html' } });
    const named = [...String(body).matchAll(/"(\/page\/[^"]+)"/g)].map(([, path = '']) => path);
    expect(named).toEqual(expect.arrayContaining(['/page/icon.svg', '/page/list.css', '/page/main.mjs']));
    for (const path of named) expect((await b24.send(path)).status).toBe(200);
    expect((await b24.send('/page/main.mjs')).headers.get('content-type')).toBe(
      'text/javascript; charset=utf-8',
    );
  });

  it('serves no other file', async () => {
    for (const path of ['/page/nothing.css', '/page/..%2fmain.ts', '/page/%2e%2e%2fsimulator.ts']) {
      expect((await b24.send(path)).status).toBe(404);
    }
  });
});

describe('changes', () => {
  it('begin with all there is, and go on with what is new', async () => {
    const stream = await changes();
    const first = await stream.until(() => true);
    expect(first).toMatchObject({
      portal: 'demo',
      portals: ['demo'],
      application: 'absent',
      limits: { rate: 2, burst: 50 },
      contacts: { total: 3, rows: [{ id: 3 }, { id: 2 }, { id: 1, fields: { name: 'anna-maria' } }] },
      processes: [{ entityTypeId: 147, title: 'Deliveries', total: 3 }],
      stats: { requests: 0 },
    });
    await b24.control('items/3', { fields: { name: 'ada' } });
    const { contacts } = await stream.until(({ contacts: { total } }) => total === 4);
    expect(contacts.rows[0]).toMatchObject({ id: 4, fields: { name: 'ada', secondName: '', lastName: '' } });
    await stream.close();
  });

  it('show who changed an item, and how long after the change before', async () => {
    const { accessToken } = await b24.install();
    const stream = await changes();
    const lastBy = async (author: string) => {
      const { contacts } = await stream.until(({ contacts: { rows } }) => rows.at(-1)?.changedBy === author);
      return contacts.rows.at(-1);
    };
    await b24.control('items/3', { id: 1, fields: { name: 'aNNA' } });
    expect(await lastBy('user')).toMatchObject({ id: 1 });
    b24.skip(1);
    await b24.callAs(accessToken, 'crm.item.update', { entityTypeId: 3, id: 1, fields: { name: 'Anna' } });
    const { before } = { ...(await lastBy('application')) };
    expect(before).toEqual({
      fields: { name: 'aNNA', secondName: '', lastName: "O'NEIL" },
      sinceMs: expect.any(Number),
    });
    expect(before).toMatchObject({ sinceMs: expect.closeTo(1000, -3) });
    await b24.call('crm.item.update', { entityTypeId: 3, id: 1, fields: { comments: 'x' } });
    expect(await lastBy('webhook')).not.toHaveProperty('before');
    await b24.control('items/3', { id: 1, fields: { name: 'A' }, by: 'robot' });
    expect(await lastBy('robot')).toMatchObject({ before: { fields: { name: 'Anna' } } });
    await stream.close();
  });

  it('show whether the application is installed, and whether a handler is bound', async () => {
    const stream = await changes();
    const { accessToken } = await b24.install();
    expect(await stream.until(({ application }) => application !== 'absent')).toMatchObject({
      application: 'installed',
    });
    await b24.callAs(accessToken, 'event.bind', {
      event: 'ONCRMCONTACTUPDATE',
      handler: 'http://127.0.0.1:1/',
    });
    expect(await stream.until(({ application }) => application !== 'installed')).toMatchObject({
      application: 'listening',
    });
    await stream.close();
  });

  it('show the newest hundred of many', async () => {
    await b24.control('items/3', { count: 1000, fields: { name: 'n{n}' }, silent: true });
    const stream = await changes();
    const { contacts } = await stream.until(() => true);
    expect([contacts.total, contacts.rows.length, contacts.rows[0]?.id]).toEqual([1003, 100, 1003]);
    await stream.close();
  });

  it('follow a renamed portal, and end with one that is removed', async () => {
    await b24.post('/_sim/portals', { name: 'acme' });
    const stream = await changes('acme');
    await b24.control('rename', { to: 'acme-2' }, 'acme');
    await stream.until(({ portal }) => portal === 'acme-2');
    await b24.send('/_sim/portals/acme-2', { method: 'DELETE' });
    expect((await stream.toEnd()).at(-1)).toMatch(/^event: gone/);
    expect((await b24.send('/_sim/portals/acme-2/changes')).status).toBe(404);
  });

  it('do not keep the simulator from closing', async () => {
    const other = await TestSimulator.start();
    const stream = await ViewReader.open(`${other.simulator.url}/_sim/portals/demo/changes`);
    await stream.until(() => true);
    await other.close();
    expect(await stream.toEnd()).toEqual([]);
  });
});

it.each([
  ['cross-site', 403],
  ['same-site', 403],
  ['same-origin', 200],
])('what a page posts to /_sim from %s is answered %d', async (site, status) => {
  const answer = await b24.send('/_sim/portals/demo/stats', {
    method: 'DELETE',
    headers: { 'sec-fetch-site': site },
  });
  expect(answer.status).toBe(status);
});
