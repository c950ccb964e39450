import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { eventOf, InstalledApplication, postForm } from '../support/installed-application.js';
import { startRelay, type Relay } from '../support/relay.js';

const bearer = (token: string | undefined) => ({ headers: { authorization: `Bearer ${token}` } });

/** Real: gateway and PostgreSQL. */
describe('at the gateway', () => {
  let relay: Relay;
  let opsUrl: string;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    opsUrl = `http://127.0.0.1:${relay.opsPort('control-plane')}`;
  });
  afterAll(() => relay?.stop());

  async function timed(token: string | undefined): Promise<[status: number, ms: number]> {
    const startedAt = performance.now();
    const { status } = await fetch(`${opsUrl}/ops/api/portals`, bearer(token));
    return [status, performance.now() - startedAt];
  }

  function rejectionsCounted(): Promise<number> {
    return relay.metric('gateway', 'relay_gateway_refused_total');
  }

  function rejectionsLogged(): number {
    return relay.log().split('request rejected').length - 1;
  }

  it('no answer is kept by a cache', async () => {
    const portal = await relay.portal('cached');
    const app = new InstalledApplication(relay, portal);
    const { application_token: token } = await app.install('event', app.installUrl);
    const opening = await app.opening();
    const answers = [
      await postForm(app.eventsUrl, eventOf(portal, 'ONCRMCONTACTADD', token)),
      await postForm(app.eventsUrl, eventOf(portal, 'ONCRMCONTACTADD', 'forged')),
      await postForm(`${app.appUrl}?${opening.query}`, opening.form),
      await postForm(app.appUrl, new URLSearchParams({ AUTH_ID: 'x' })),
      await postForm(app.installUrl, new URLSearchParams({ AUTH_ID: 'x' })),
      await fetch(`${relay.gatewayUrl}/no/such/page`),
      await fetch(`${relay.gatewayUrl}/%zz`),
      await fetch(`${opsUrl}/ops/api/portals`, bearer(relay.env['OPS_TOKEN'])),
      await fetch(`${opsUrl}/ops/api/portals`),
      await fetch(`${opsUrl}/ops`),
      await fetch(`${opsUrl}/health/ready`),
      await fetch(`${opsUrl}/metrics`),
    ];
    expect(answers.map(({ headers }) => headers.get('cache-control'))).toEqual(answers.map(() => 'no-store'));
    expect(answers.map(({ status }) => status)).toEqual([
      200, 401, 200, 400, 400, 404, 400, 200, 401, 200, 200, 200,
    ]);
  });

  it('a wrong token of an operator waits, longer each time, and the right one never does', async () => {
    for (let guess = 0; guess < 5; guess += 1) expect((await timed(`guess ${guess}`))[0]).toBe(401);
    let isAnswered = false;
    const next = timed('one more guess').then((answer) => {
      isAnswered = true;
      return answer;
    });
    expect((await timed(relay.env['OPS_TOKEN']))[0]).toBe(200);
    expect(isAnswered).toBe(false);
    const [status, waitedMs] = await next;
    expect(status).toBe(401);
    expect(waitedMs).toBeGreaterThan(1_000);
    const guesses = await Promise.all(Array.from({ length: 80 }, () => timed('many at once')));
    expect(new Set(guesses.map(([rejected]) => rejected))).toEqual(new Set([401, 429]));
    expect((await timed(relay.env['OPS_TOKEN']))[0]).toBe(200);
    expect(await relay.metric('control-plane', 'relay_ops_wrong_tokens_total')).toBeGreaterThan(80);
  });

  it('rejections are counted one by one, and logged as a sample that says how many more there were', async () => {
    const before = await rejectionsCounted();
    const linesBefore = rejectionsLogged();
    for (let sent = 0; sent < 300; sent += 1) {
      await postForm(`${relay.gatewayUrl}/b24/events`, new URLSearchParams({ event: 'ONX' }));
    }
    expect((await rejectionsCounted()) - before).toBe(300);
    await eventually(() =>
      expect(relay.log()).toMatch(/"leftOut":2\d\d[^\n]*more of the same was not logged/),
    );
    expect(rejectionsLogged() - linesBefore).toBeLessThanOrEqual(20);
  });
});
