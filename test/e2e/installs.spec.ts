import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import {
  eventOf,
  InstalledApplication,
  ordinaryUser,
  type PageRequest,
  postForm,
} from '../support/installed-application.js';
import { testEventComes } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** Real: gateway, PostgreSQL. Simulated: Bitrix24, which also ends an installation as a browser would. */
describe('an install', () => {
  let relay: Relay;
  let database: pg.Client;
  const secrets: string[] = [];
  let made = 0;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
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
  }

  async function freshPortal(): Promise<Subject> {
    made += 1;
    const portal = await relay.portal(`portal-${made}`);
    return { portal, app: new InstalledApplication(relay, portal) };
  }

  async function installedPortal(): Promise<Subject & { applicationToken: string }> {
    const { portal, app } = await freshPortal();
    const { status, application_token: applicationToken } = await app.install('event', app.installUrl);
    expect(status).toBe(200);
    secrets.push(applicationToken);
    return { portal, app, applicationToken };
  }

  async function post(url: string, { query, form }: PageRequest) {
    const sent = ['AUTH_ID', 'REFRESH_ID', 'APPLICATION_TOKEN'].map((name) => form.get(name) ?? '');
    secrets.push(...sent.filter((secret) => secret !== ''));
    return postForm(`${url}?${query}`, form);
  }

  async function statusOfEvent({ portal, app }: Subject, applicationToken: string): Promise<number> {
    return (await postForm(app.eventsUrl, eventOf(portal, 'ONCRMCONTACTADD', applicationToken))).status;
  }

  async function works({ portal }: Subject): Promise<void> {
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONAPPTEST');
    });
    expect(await testEventComes(relay, portal.memberId)).toBe(true);
  }

  async function handlersOf({ portal, app }: Subject): Promise<string[]> {
    return portal.eventsBoundTo(app.eventsUrl);
  }

  async function storedPair({ portal }: Subject): Promise<unknown> {
    const { rows } = await database.query('SELECT * FROM portals.credentials WHERE member_id = $1', [
      portal.memberId,
    ]);
    return rows;
  }

  describe('by the install page', () => {
    it('is confirmed, and the page ends the installation', async () => {
      const subject = await freshPortal();
      const { status, body, application_token } = await subject.app.install('page', subject.app.installUrl);
      secrets.push(application_token);
      expect([status, body]).toEqual([200, expect.stringContaining('data-page="install"')]);
      expect(await statusOfEvent(subject, application_token)).toBe(200);
      await eventually(async () => expect(await handlersOf(subject)).toContain('ONAPPTEST'));
      await works(subject);
    });

    it('may be loaded again, though its proof is used up', async () => {
      const subject = await freshPortal();
      await subject.app.install('page');
      const opening = await subject.app.opening();
      for (const times of [1, 2]) {
        const { status, body } = await post(subject.app.installUrl, opening);
        expect([times, status, body]).toEqual([times, 200, expect.stringContaining('data-page="install"')]);
      }
      expect((await subject.portal.statistics()).renewals).toBe(1);
      await subject.app.finish();
      await works(subject);
    });

    it('says to a person what is wrong, and does not end the installation, when nothing confirms it', async () => {
      const { app, portal } = await freshPortal();
      await app.install('page');
      const opening = await app.opening();
      opening.form.set('REFRESH_ID', randomBytes(16).toString('hex'));
      const { status, headers, body } = await post(app.installUrl, opening);
      expect([status, headers.get('content-type')]).toEqual([401, 'text/html; charset=utf-8']);
      expect(body).toContain('did not confirm this portal');
      expect(body).not.toMatch(/<script|data-page/);
      const sent = [...opening.form.values(), portal.domain].filter((value) => value.length > 3);
      for (const value of sent) expect(body).not.toContain(value);
    });

    it("is not confirmed by another member's pair", async () => {
      const victim = await freshPortal();
      const attacker = await freshPortal();
      await attacker.app.install('page');
      const opening = await attacker.app.opening();
      opening.form.set('member_id', victim.portal.memberId);
      expect((await post(victim.app.installUrl, opening)).status).toBe(401);
      expect(await statusOfEvent(victim, opening.form.get('APPLICATION_TOKEN') ?? '')).toBe(401);
    });

    it.each([
      ['without a DOMAIN', (opening: PageRequest) => (opening.query = '')],
      ['without a member_id', (opening: PageRequest) => opening.form.delete('member_id')],
      ['with an empty REFRESH_ID', (opening: PageRequest) => opening.form.set('REFRESH_ID', '')],
    ])('%s is answered 400 with a page', async (_what, spoil) => {
      const { app } = await freshPortal();
      await app.install('page');
      const opening = await app.opening();
      spoil(opening);
      const { status, body } = await post(app.installUrl, opening);
      expect([status, body]).toEqual([400, expect.stringContaining('<h1>')]);
    });

    it('is kept, sealed, while the OAuth server is away, and finished when it is back', async () => {
      const subject = await freshPortal();
      await subject.app.install('page');
      const opening = await subject.app.opening();
      await relay.outside.cut();
      const away = await post(subject.app.installUrl, opening);
      await relay.outside.mend();
      expect([away.status, away.headers.get('retry-after')]).toEqual([503, '30']);
      expect(away.body).toContain('in a minute');
      expect(away.body).not.toContain('<script');
      const { rows } = await database.query('SELECT * FROM portals.pending_installs');
      const kept = JSON.stringify(rows);
      expect(kept).toContain(subject.portal.memberId);
      for (const secret of secrets) expect(kept.includes(secret)).toBe(false);
      await eventually(async () => {
        expect(await statusOfEvent(subject, opening.form.get('APPLICATION_TOKEN') ?? '')).toBe(200);
      });
      // The person opens it again, and now the installation is ended.
      const again = await post(subject.app.installUrl, await subject.app.opening());
      expect([again.status, again.body]).toEqual([200, expect.stringContaining('data-page="install"')]);
      await subject.app.finish();
      await works(subject);
    });

    it('of an older portal, without an application token, learns it from ONAPPINSTALL', async () => {
      const subject = await freshPortal();
      const { application_token } = await subject.app.install('page');
      secrets.push(application_token);
      const opening = await subject.app.opening();
      opening.form.delete('APPLICATION_TOKEN');
      expect((await post(subject.app.installUrl, opening)).status).toBe(200);
      expect(await handlersOf(subject)).toContain('ONAPPINSTALL');
      expect(await statusOfEvent(subject, application_token)).toBe(401);
      expect(await subject.app.finish()).toEqual([200]);
      expect(await statusOfEvent(subject, application_token)).toBe(200);
      await works(subject);
    });
  });

  it('that comes five times at once is exchanged once, and answered alike', async () => {
    const subject = await freshPortal();
    await subject.app.install('page');
    const opening = await subject.app.opening();
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => post(subject.app.installUrl, opening)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect((await subject.portal.statistics()).renewals).toBe(1);
  });

  it('that races another of the same portal, both confirmed, leaves a portal that works', async () => {
    for (let round = 0; round < 3; round += 1) {
      const subject = await freshPortal();
      const first = await subject.app.install('callback');
      const { access_token, refresh_token } = first;
      const pair = { access_token, refresh_token };
      const event = eventOf(subject.portal, 'ONAPPINSTALL', first.application_token, pair);
      const page = await subject.app.opening();
      const answers = await Promise.all([
        postForm(subject.app.installUrl, event),
        post(subject.app.installUrl, page),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(await statusOfEvent(subject, first.application_token)).toBe(200);
      await works(subject);
    }
  });

  it('that comes again is believed by its new token alone, and doubles no handler', async () => {
    const subject = await installedPortal();
    await eventually(async () => expect(await handlersOf(subject)).toContain('ONAPPTEST'));
    const { status, application_token } = await subject.app.install('page', subject.app.installUrl);
    secrets.push(application_token);
    expect(status).toBe(200);
    expect(await statusOfEvent(subject, subject.applicationToken)).toBe(401);
    expect(await statusOfEvent(subject, application_token)).toBe(200);
    await eventually(async () => {
      expect(await handlersOf(subject)).toEqual(['ONAPPTEST', 'ONAPPUNINSTALL', 'ONAPPUPDATE']);
    });
    await works(subject);
  });

  it('by an ordinary user does not take the place of the one that works', async () => {
    const subject = await installedPortal();
    const before = await storedPair(subject);
    const opening = await subject.app.opening(ordinaryUser);
    const pair = { access_token: 'AUTH_ID', refresh_token: 'REFRESH_ID' } as const;
    const chosen = randomBytes(16).toString('hex');
    const auth = Object.entries(pair).map(([key, name]) => [key, opening.form.get(name) ?? '']);
    const claim = eventOf(subject.portal, 'ONAPPINSTALL', chosen, Object.fromEntries(auth));
    secrets.push(chosen);
    expect((await postForm(subject.app.installUrl, claim)).status).toBe(401);
    expect(await storedPair(subject)).toEqual(before);
    expect(await statusOfEvent(subject, chosen)).toBe(401);
    expect(await statusOfEvent(subject, subject.applicationToken)).toBe(200);
    await works(subject);
  });

  it('that is confirmed while the portal does not answer is kept with its new pair, and finished', async () => {
    const subject = await installedPortal();
    await eventually(async () => expect(await handlersOf(subject)).toContain('ONAPPTEST'));
    const { application_token } = await subject.app.install('page');
    const opening = await subject.app.opening();
    secrets.push(application_token);
    // Whether the user is an administrator cannot be asked: once, with all repeats of the client.
    for (const kind of ['html', 'drop', '500']) await subject.portal.orderFault('user.admin', kind);
    const { status, body } = await post(subject.app.installUrl, opening);
    expect([status, body]).toEqual([503, expect.stringContaining('in a minute')]);
    expect(await statusOfEvent(subject, application_token)).toBe(401);
    await eventually(async () => expect(await statusOfEvent(subject, application_token)).toBe(200));
    expect((await subject.portal.statistics()).renewals).toBe(3);
    await subject.app.finish();
    await works(subject);
  });

  it('is updated with a new application token, of which it is told twice, and doubles no handler', async () => {
    const subject = await installedPortal();
    await eventually(async () => expect(await handlersOf(subject)).toContain('ONAPPUPDATE'));
    // ONAPPUPDATE, and ONAPPINSTALL as at first: it has no page.
    expect(await subject.app.update()).toEqual([200, 200]);
    await eventually(async () => {
      expect(await handlersOf(subject)).toEqual(['ONAPPTEST', 'ONAPPUNINSTALL', 'ONAPPUPDATE']);
    });
    expect(await statusOfEvent(subject, subject.applicationToken)).toBe(401);
    await works(subject);
  });

  it('leaves no secret in any log', () => {
    expect(secrets.length).toBeGreaterThan(20);
    for (const secret of [...secrets, ...relay.secrets]) expect(relay.log().includes(secret)).toBe(false);
  });
});
