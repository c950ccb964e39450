import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { eventOf, InstalledApplication, postForm } from '../support/installed-application.js';
import { command, listedPortal } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const deliveries = 147;

/** Real: gateway, mirror, PostgreSQL, command line. Simulated: Bitrix24. */
describe('an uninstall', () => {
  let relay: Relay;
  let database: pg.Client;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['smart-process-sync']);
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
  }, 60_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
  }, 30_000);

  interface Subject {
    portal: SimulatedPortal;
    app: InstalledApplication;
    applicationToken: string;
  }

  /** Installed, with something set by an operator and something in the mirror. */
  async function livelyPortal(name: string): Promise<Subject> {
    const portal = await relay.portal(name, { types: [{ entityTypeId: deliveries, title: 'Deliveries' }] });
    const app = new InstalledApplication(relay, portal);
    const { application_token: applicationToken } = await app.install('event', app.installUrl);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONCRMDYNAMICITEMADD');
    });
    await portal.add(deliveries, { title: 'Desk lamps' });
    await eventually(async () => expect(await countOf('mirror.items', { portal })).toBe(1));
    const set = await command(relay, [
      'portals',
      'set',
      portal.memberId,
      'smart-process-sync',
      '{"invoices":false}',
    ]);
    expect(set.code).toBe(0);
    return { portal, app, applicationToken };
  }

  async function countOf(table: string, { portal }: Pick<Subject, 'portal'>): Promise<number> {
    const { rows } = await database.query(`SELECT 1 FROM ${table} WHERE member_id = $1`, [portal.memberId]);
    return rows.length;
  }

  it('is told once, though the gateway and a consumer want to hear of it', async () => {
    const { portal, app } = await livelyPortal('once');
    const bound = await portal.eventsBoundTo(app.eventsUrl);
    expect(bound.filter((name) => name === 'ONAPPUNINSTALL')).toHaveLength(1);
    expect(await app.uninstall(0)).toEqual([200]);
  });

  it('deletes the data of the portal when the user wants that, and nobody else’s', async () => {
    const subject = await livelyPortal('cleaned');
    const other = await livelyPortal('other');
    expect(await subject.app.uninstall(1)).toEqual([200]);
    await eventually(async () => expect(await countOf('mirror.items', subject)).toBe(0));
    expect(await listedPortal(relay, subject.portal.memberId)).toMatchObject({
      state: 'uninstalled',
      kind: null,
      settings: {},
      language: null,
    });
    expect(await countOf('portals.credentials', subject)).toBe(0);
    expect(await countOf('portals.event_bindings', subject)).toBe(0);
    expect([await countOf('mirror.items', other), await countOf('portals.credentials', other)]).toEqual([
      1, 1,
    ]);
  });

  it('keeps settings and mirror for the next install when the user wants that', async () => {
    const subject = await livelyPortal('kept');
    expect(await subject.app.uninstall(0)).toEqual([200]);
    expect(await listedPortal(relay, subject.portal.memberId)).toMatchObject({
      state: 'uninstalled',
      kind: null,
      settings: { 'smart-process-sync': { invoices: false } },
    });
    expect(await countOf('portals.credentials', subject)).toBe(0);

    const { status } = await subject.app.install('callback', subject.app.installUrl);
    expect(status).toBe(200);
    await eventually(async () => {
      expect(await subject.portal.eventsBoundTo(subject.app.eventsUrl)).toContain('ONCRMDYNAMICITEMADD');
    });
    // Behind the uninstall in the queue: when this is mirrored, that has been handled.
    await subject.portal.add(deliveries, { title: 'Chairs' });
    await eventually(async () => expect(await countOf('mirror.items', subject)).toBe(2));
    expect(await listedPortal(relay, subject.portal.memberId)).toMatchObject({
      state: 'installed',
      settings: { 'smart-process-sync': { invoices: false } },
    });
  });

  it('is rejected when it is forged, or brings the token of another portal', async () => {
    const victim = await livelyPortal('victim');
    const attacker = await livelyPortal('attacker');
    for (const token of [attacker.applicationToken, 'x'.repeat(32), '']) {
      const form = eventOf(victim.portal, 'ONAPPUNINSTALL', token);
      form.set('data[CLEAN]', '1');
      expect((await postForm(victim.app.eventsUrl, form)).status).toBe(401);
    }
    expect(await listedPortal(relay, victim.portal.memberId)).toMatchObject({ state: 'installed' });
    expect(await countOf('mirror.items', victim)).toBe(1);
  });

  it('is rejected with the token of an outgoing webhook, which whoever made the webhook knows', async () => {
    const victim = await livelyPortal('victim-of-a-webhook');
    const tokens = ['first', 'second'].map((name) => `${name}-outgoing-token-of-a-webhook`);
    for (const token of tokens) {
      const pair = { input: `${victim.portal.webhookUrl}\n${token}\n` };
      expect((await command(relay, ['portals', 'webhook'], pair)).code).toBe(0);
    }
    const [known = '', waiting = ''] = tokens;
    const change = eventOf(victim.portal, 'ONCRMCONTACTUPDATE', known);
    await eventually(async () => expect((await postForm(victim.app.eventsUrl, change)).status).toBe(200));
    for (const token of [known, waiting]) {
      const form = eventOf(victim.portal, 'ONAPPUNINSTALL', token);
      form.set('data[CLEAN]', '1');
      expect((await postForm(victim.app.eventsUrl, form)).status).toBe(401);
    }
    expect(await listedPortal(relay, victim.portal.memberId)).toMatchObject({ state: 'installed' });
    expect(await countOf('mirror.items', victim)).toBe(1);
  });

  it('of the installation before comes too late to harm the next one', async () => {
    const subject = await livelyPortal('back');
    const { status } = await subject.app.install('event', subject.app.installUrl);
    expect(status).toBe(200);
    const late = eventOf(subject.portal, 'ONAPPUNINSTALL', subject.applicationToken);
    late.set('data[CLEAN]', '1');
    expect((await postForm(subject.app.eventsUrl, late)).status).toBe(401);
    expect(await listedPortal(relay, subject.portal.memberId)).toMatchObject({ state: 'installed' });
  });
});
