import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { control } from '../support/simulator-control.js';
import { eventually } from '../support/eventually.js';
import {
  administrator,
  eventOf,
  InstalledApplication,
  ordinaryUser,
  postForm,
} from '../support/installed-application.js';
import { listedPortal, testEventComes } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

type Route =
  | 'app page'
  | 'install page'
  | 'callback'
  | 'ONAPPINSTALL'
  | 'ONAPPUPDATE'
  | 'ONAPPINSTALL as an event'
  | 'ONAPPUPDATE as an event';
type State = 'installed' | 'suspended' | 'needs-reauth' | 'uninstalled';

const routes: Route[] = [
  'app page',
  'install page',
  'callback',
  'ONAPPINSTALL',
  'ONAPPUPDATE',
  'ONAPPINSTALL as an event',
  'ONAPPUPDATE as an event',
];
const states: State[] = ['installed', 'suspended', 'needs-reauth', 'uninstalled'];

interface Subject {
  portal: SimulatedPortal;
  app: InstalledApplication;
  applicationToken: string;
}

/** With the pair of an opening, and an application token as that user's browser sends it: theirs to choose, or to leave out. */
async function send(
  route: Route,
  { app, portal }: Subject,
  token: string | undefined,
  userId = ordinaryUser,
): Promise<number> {
  const { query, form } = await app.opening(userId);
  if (route === 'app page' || route === 'install page') {
    if (token === undefined) form.delete('APPLICATION_TOKEN');
    else form.set('APPLICATION_TOKEN', token);
    const url = route === 'app page' ? app.appUrl : app.installUrl;
    return (await postForm(`${url}?${query}`, form)).status;
  }
  const pair = { access_token: form.get('AUTH_ID') ?? '', refresh_token: form.get('REFRESH_ID') ?? '' };
  const [name = ''] = route.split(' ');
  const event = eventOf(portal, name.toUpperCase(), token ?? '', pair);
  if (route === 'callback') for (const field of ['event', 'ts', 'data[FIELDS][ID]']) event.delete(field);
  return (await postForm(route.endsWith('as an event') ? app.eventsUrl : app.installUrl, event)).status;
}

async function isBelieved(
  { app, portal }: Subject,
  token: string,
  event = 'ONCRMCONTACTADD',
): Promise<boolean> {
  const form = eventOf(portal, event, token);
  form.set('data[CLEAN]', '1');
  return (await postForm(app.eventsUrl, form)).status === 200;
}

/**
 * Every user who opens the application gets a token pair that the OAuth server confirms, by way of a browser in which
 * they may change what stands beside it. Real: gateway, PostgreSQL. Simulated: Bitrix24, whose user 2 is no administrator.
 */
describe('what a user who is no administrator sends', () => {
  let relay: Relay;
  let database: pg.Client;
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

  async function unknownPortal(): Promise<Subject> {
    made += 1;
    const portal = await relay.portal(`portal-${made}`);
    const app = new InstalledApplication(relay, portal);
    const { application_token: applicationToken } = await app.install('event');
    return { portal, app, applicationToken };
  }

  async function portalThatIs(state: State): Promise<Subject> {
    made += 1;
    const portal = await relay.portal(`portal-${made}`);
    const app = new InstalledApplication(relay, portal);
    const { application_token: applicationToken } = await app.install('event', app.installUrl);
    const subject = { portal, app, applicationToken };
    await eventually(async () => expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONAPPTEST'));
    if (state === 'needs-reauth') {
      await app.losePair();
      await expect(testEventComes(relay, portal.memberId)).rejects.toThrow(/answered 5/);
    }
    if (state === 'suspended') {
      await suspend(portal, 'overload');
      await expect(testEventComes(relay, portal.memberId)).rejects.toThrow(/answered 5/);
      await suspend(portal, null);
    }
    if (state === 'uninstalled') {
      const form = eventOf(portal, 'ONAPPUNINSTALL', applicationToken);
      expect((await postForm(app.eventsUrl, form)).status).toBe(200);
    }
    await eventually(async () => expect((await listedPortal(relay, portal.memberId)).state).toBe(state));
    return subject;
  }

  async function suspend({ name }: SimulatedPortal, reason: string | null): Promise<void> {
    await control('POST', `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}/_sim/portals/${name}/suspend`, {
      reason,
    });
  }

  async function stored({ portal: { memberId } }: Subject): Promise<unknown> {
    const { rows } = await database.query(
      `SELECT to_jsonb(p) - '{updated_at,language}'::text[] AS portal, to_jsonb(c) AS pair,
         ARRAY(SELECT encode(hash, 'hex') FROM portals.application_tokens t
               WHERE t.member_id = p.member_id ORDER BY 1) AS tokens
       FROM portals.portals p LEFT JOIN portals.credentials c USING (member_id) WHERE member_id = $1`,
      [memberId],
    );
    return rows;
  }

  describe.each(states)('at a portal that is %s', (state) => {
    let subject: Subject;
    let before: unknown;

    beforeAll(async () => {
      subject = await portalThatIs(state);
      before = await stored(subject);
    }, 60_000);

    it.each(routes)('changes nothing by the %s', async (route) => {
      const chosen = randomBytes(16).toString('hex');
      expect(await send(route, subject, chosen)).toBe(401);
      if (route.endsWith('page')) await send(route, subject, undefined);
      // Proved by the token, an update is one more event that says nothing; no install is stored by it.
      await send(route, subject, subject.applicationToken);
      expect(await stored(subject)).toEqual(before);
      expect(await isBelieved(subject, chosen)).toBe(false);
      expect(await isBelieved(subject, chosen, 'ONAPPUNINSTALL')).toBe(false);
      expect(await stored(subject)).toEqual(before);
    });

    it('leaves the portal to its administrator', async () => {
      expect(await send('install page', subject, subject.applicationToken, administrator)).toBe(200);
      expect(await isBelieved(subject, subject.applicationToken)).toBe(true);
    });
  });

  describe('at a portal that is unknown', () => {
    it.each(
      routes.filter((route) => !['app page', 'ONAPPUPDATE', 'ONAPPUPDATE as an event'].includes(route)),
    )('may install by the %s, and makes no application token believed', async (route) => {
      const subject = await unknownPortal();
      expect(await send(route, subject, subject.applicationToken)).toBe(200);
      expect(await listedPortal(relay, subject.portal.memberId)).toMatchObject({
        state: 'installed',
        kind: 'oauth',
      });
      expect(await isBelieved(subject, subject.applicationToken)).toBe(false);
      // What was sent first stands: the same user brings no token afterwards either.
      const before = await stored(subject);
      expect(await send('install page', subject, randomBytes(16).toString('hex'))).toBe(401);
      expect(await stored(subject)).toEqual(before);
      expect(await send('app page', subject, subject.applicationToken, administrator)).toBe(200);
      expect(await isBelieved(subject, subject.applicationToken)).toBe(true);
    });

    it('installs nothing by the app page', async () => {
      const subject = await unknownPortal();
      expect(await send('app page', subject, subject.applicationToken)).toBe(401);
      expect(await stored(subject)).toEqual([]);
    });

    it('does not take the place of an administrator’s install that comes at the same time', async () => {
      for (let round = 0; round < 3; round += 1) {
        const subject = await unknownPortal();
        const [, theirs] = await Promise.all([
          send('install page', subject, randomBytes(16).toString('hex')),
          send('install page', subject, subject.applicationToken, administrator),
        ]);
        expect(theirs).toBe(200);
        expect(await isBelieved(subject, subject.applicationToken)).toBe(true);
      }
    });
  });
});
