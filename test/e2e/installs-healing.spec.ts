import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import {
  administrator,
  eventOf,
  InstalledApplication,
  ordinaryUser,
  type PageRequest,
  postForm,
} from '../support/installed-application.js';
import { listedPortal, testEventComes } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** Real: gateway and PostgreSQL. Simulated: Bitrix24, with the user who opens the application. */
describe('the application opened in the portal', () => {
  let relay: Relay;
  const secrets: string[] = [];
  let made = 0;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
  }, 60_000);
  afterAll(() => relay?.stop(), 30_000);

  interface Subject {
    portal: SimulatedPortal;
    app: InstalledApplication;
    applicationToken: string;
  }

  async function installedPortal(): Promise<Subject> {
    made += 1;
    const portal = await relay.portal(`portal-${made}`);
    const app = new InstalledApplication(relay, portal);
    const { status, application_token: applicationToken } = await app.install('event', app.installUrl);
    expect(status).toBe(200);
    secrets.push(applicationToken);
    await eventually(async () => expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONAPPTEST'));
    return { portal, app, applicationToken };
  }

  /** As after the one moment in which a new pair can be lost. */
  async function portalThatLostItsPair(): Promise<Subject> {
    const subject = await installedPortal();
    await subject.app.losePair();
    await expect(testEventComes(relay, subject.portal.memberId)).rejects.toThrow(/answered 5/);
    await eventually(async () => expect(await stateOf(subject)).toBe('needs-reauth'));
    return subject;
  }

  async function stateOf({ portal }: Subject): Promise<string> {
    return (await listedPortal(relay, portal.memberId)).state;
  }

  async function post(url: string, { query, form }: PageRequest) {
    secrets.push(form.get('AUTH_ID') ?? 'none', form.get('REFRESH_ID') ?? 'none');
    return postForm(`${url}?${query}`, form);
  }

  it('shows how the portal stands, and costs nothing', async () => {
    const { app, portal } = await installedPortal();
    const { renewals, requests } = await portal.statistics();
    for (const userId of [administrator, ordinaryUser]) {
      const { status, body } = await app.openPage(userId);
      expect([status, body]).toEqual([200, expect.stringContaining('Connected')]);
      expect(body).toContain(`${portal.name}.`);
    }
    expect(await portal.statistics()).toMatchObject({ renewals, requests });
  });

  it('mends a portal that lost its pair, when an administrator opens it', async () => {
    const subject = await portalThatLostItsPair();
    const { status, body } = await subject.app.openPage(ordinaryUser);
    expect([status, body]).toEqual([401, expect.stringContaining('administrator')]);
    expect(await stateOf(subject)).toBe('needs-reauth');

    const opened = await subject.app.openPage(administrator);
    expect([opened.status, opened.body]).toEqual([200, expect.stringContaining('Connected')]);
    expect(await stateOf(subject)).toBe('installed');
    expect(await subject.portal.eventsBoundTo(subject.app.eventsUrl)).toEqual([
      'ONAPPTEST',
      'ONAPPUNINSTALL',
      'ONAPPUPDATE',
    ]);
    expect(await testEventComes(relay, subject.portal.memberId)).toBe(true);
  });

  it('installs a portal whose install was never heard', async () => {
    const portal = await relay.portal('unheard');
    const app = new InstalledApplication(relay, portal);
    const { application_token } = await app.install('event');
    secrets.push(application_token);
    expect((await app.openPage(ordinaryUser)).status).toBe(401);
    expect((await app.openPage(administrator)).status).toBe(200);
    await eventually(async () => expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONAPPTEST'));
    expect(await testEventComes(relay, portal.memberId)).toBe(true);
  });

  it('brings the application token of a new installation that was never heard', async () => {
    const { app, portal } = await installedPortal();
    const { application_token } = await app.install('event');
    secrets.push(application_token);
    const event = eventOf(portal, 'ONCRMCONTACTADD', application_token);
    expect((await postForm(app.eventsUrl, event)).status).toBe(401);
    expect((await app.openPage(administrator)).status).toBe(200);
    expect((await postForm(app.eventsUrl, event)).status).toBe(200);
    await eventually(async () => expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONAPPTEST'));
  });

  it('shows nothing, and asks nobody, where an older portal proves nothing', async () => {
    const { app, portal } = await installedPortal();
    const { renewals } = await portal.statistics();
    const opening = await app.opening();
    opening.form.delete('APPLICATION_TOKEN');
    const { status, body } = await post(app.appUrl, opening);
    expect([status, body]).toEqual([200, expect.stringContaining('nothing to do here')]);
    expect(body).not.toContain(portal.domain);
    expect((await portal.statistics()).renewals).toBe(renewals);
  });

  it('is rejected with a page when it is forged, and answers 503 while the OAuth server is away', async () => {
    const subject = await portalThatLostItsPair();
    const forged = await subject.app.opening();
    forged.form.set('REFRESH_ID', randomBytes(16).toString('hex'));
    const rejected = await post(subject.app.appUrl, forged);
    expect([rejected.status, rejected.body]).toEqual([401, expect.stringContaining('did not confirm')]);
    expect(rejected.headers.get('content-security-policy')).toContain(`script-src 'none'`);

    const opening = await subject.app.opening();
    await relay.outside.cut();
    const away = await post(subject.app.appUrl, opening);
    await relay.outside.mend();
    expect([away.status, away.body]).toEqual([503, expect.stringContaining('in a minute')]);
    expect(await stateOf(subject)).toBe('needs-reauth');
    expect((await post(subject.app.appUrl, opening)).status).toBe(200);
    expect(await stateOf(subject)).toBe('installed');
  });

  it('is not needed where an event brings a pair', async () => {
    const subject = await portalThatLostItsPair();
    const { form } = await subject.app.opening(administrator);
    const pair = { access_token: form.get('AUTH_ID') ?? '', refresh_token: form.get('REFRESH_ID') ?? '' };
    secrets.push(pair.access_token, pair.refresh_token);
    const event = eventOf(subject.portal, 'ONIMBOTMESSAGEADD', subject.applicationToken, pair);
    expect((await postForm(subject.app.eventsUrl, event)).status).toBe(200);
    await eventually(async () => expect(await stateOf(subject)).toBe('installed'));
    expect(await testEventComes(relay, subject.portal.memberId)).toBe(true);
  });

  it('is needed where the pair of an event is an ordinary user’s or that of another portal', async () => {
    const subject = await portalThatLostItsPair();
    const other = await installedPortal();
    for (const { form } of [
      await subject.app.opening(ordinaryUser),
      await other.app.opening(administrator),
    ]) {
      const pair = { refresh_token: form.get('REFRESH_ID') ?? '' };
      secrets.push(pair.refresh_token);
      const event = eventOf(subject.portal, 'ONIMBOTMESSAGEADD', subject.applicationToken, pair);
      expect((await postForm(subject.app.eventsUrl, event)).status).toBe(200);
    }
    await eventually(() => expect(triesOf(subject)).toBe(1));
    expect(await stateOf(subject)).toBe('needs-reauth');
  });

  it('is waited for by a flood of events whose pairs are worth nothing, with one try', async () => {
    const subject = await portalThatLostItsPair();
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const pair = { refresh_token: randomBytes(16).toString('hex') };
        const event = eventOf(subject.portal, 'ONIMBOTMESSAGEADD', subject.applicationToken, pair);
        return (await postForm(subject.app.eventsUrl, event)).status;
      }),
    );
    expect(new Set(answers)).toEqual(new Set([200]));
    await eventually(() => expect(triesOf(subject)).toBe(1));
    expect((await subject.app.openPage(administrator)).status).toBe(200);
    expect([await stateOf(subject), triesOf(subject)]).toEqual(['installed', 1]);
  });

  function triesOf({ portal }: Subject): number {
    const lines = relay.log().split('\n');
    const words = 'an event could not authorize its portal again';
    return lines.filter((line) => line.includes(words) && line.includes(portal.memberId)).length;
  }

  it('leaves no secret in any log', () => {
    for (const secret of [...secrets, ...relay.secrets]) expect(relay.log().includes(secret)).toBe(false);
  });
});
