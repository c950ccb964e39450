import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { command } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';

/** Clears the screen, begins a line, turns text round: what a portal named itself before hosts were checked. */
const hostile = 'acme.example\u001b[2J\r\nm2  installed  oauth  \u202emoc.emca\u009b31m\u2028';
const steering = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** Real: gateway, PostgreSQL, command line. */
describe('a foreign text on the terminal of an operator', () => {
  let relay: Relay;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    const database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
    await database.query(
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state)
       VALUES ('m1', $1, 'https://acme.example/rest/', 'needs-reauth')`,
      [hostile],
    );
    await database.end();
  }, 240_000);
  afterAll(() => relay?.stop(), 30_000);

  it('neither steers it nor looks like a line of ours', async () => {
    const { code, screen } = await command(relay, ['portals']);
    expect(code).toBe(0);
    expect(screen).toContain('acme.example');
    expect(screen).not.toMatch(steering);
    // One of titles, one of the portal.
    expect(screen.trimEnd().split('\n')).toHaveLength(2);
  });

  it('is the same text in JSON, by escapes', async () => {
    const { screen } = await command(relay, ['portals', '--json']);
    expect(screen).not.toMatch(steering);
    expect(JSON.parse(screen)).toEqual([expect.objectContaining({ memberId: 'm1', domain: hostile })]);
  });
});
