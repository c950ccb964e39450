import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { eventOf, InstalledApplication, postForm } from '../support/installed-application.js';
import { testEventComes } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import { SimulatedPortal } from '../support/simulated-portal.js';

/** Rejects whatever it is asked for. */
class RejectingOAuth {
  asked = 0;
  private readonly server: Server;

  constructor() {
    this.server = createServer((_request, response) => {
      this.asked += 1;
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
    });
  }

  get url(): string {
    return `http://127.0.0.1:${z.object({ port: z.number() }).parse(this.server.address()).port}`;
  }

  async start(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Real: gateway and PostgreSQL. Simulated: Bitrix24, whose portals belong to the second of the believed OAuth servers. */
describe('of several OAuth servers', () => {
  const [first, stranger] = [new RejectingOAuth(), new RejectingOAuth()];
  let relay: Relay;

  beforeAll(async () => {
    await Promise.all([first.start(), stranger.start()]);
    relay = await startRelay('PostgreSQL', []);
    const simulator = `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}`;
    await relay.restart({ B24_OAUTH_URL: `${first.url},${simulator}` });
  });
  afterAll(async () => {
    await relay?.stop();
    first.stop();
    stranger.stop();
  });

  async function application(name: string): Promise<[SimulatedPortal, InstalledApplication]> {
    const portal = await relay.portal(name);
    return [portal, new InstalledApplication(relay, portal)];
  }

  it('the one that the tokens name confirms an install, and refreshes them from then on', async () => {
    const [portal, app] = await application('east');
    expect((await app.install('event', app.installUrl)).status).toBe(200);
    await eventually(async () => expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONAPPTEST'));
    await portal.expireTokens();
    expect(await testEventComes(relay, portal.memberId)).toBe(true);
    expect((await portal.statistics()).renewals).toBe(2);
    expect(first.asked).toBe(0);
  });

  it('the one that the tokens name confirms the pair of a page', async () => {
    const [, app] = await application('east-page');
    expect((await app.install('page', app.installUrl)).status).toBe(200);
    expect(first.asked).toBe(0);
  });

  it('the first is asked where the tokens name none, or a stranger, who is never asked', async () => {
    const [portal, app] = await application('forged');
    const granted = await app.install('event');
    // An empty one counts as none.
    for (const server_endpoint of ['', `${stranger.url}/rest/`]) {
      const before = first.asked;
      const form = eventOf(portal, 'ONAPPINSTALL', granted.application_token, {
        access_token: granted.access_token,
        // Another each time: one that was rejected is not asked about again.
        refresh_token: `${granted.refresh_token}${server_endpoint.length}`,
        server_endpoint,
      });
      expect((await postForm(app.installUrl, form)).status).toBe(401);
      expect(first.asked).toBe(before + 1);
    }
    expect(stranger.asked).toBe(0);
  });
});
