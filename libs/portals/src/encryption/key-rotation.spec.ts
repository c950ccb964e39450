import { randomBytes } from 'node:crypto';
import { silentLog } from '@relay/platform';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, dump, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { tokenStore } from '../../test/token-stores.js';
import { PendingInstalls, type PendingClaim } from '../installs/pending-installs.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { WebhookPairs } from '../installs/webhook-pairs.js';
import { KeyRotation } from './key-rotation.js';
import { SecretBox } from './secret-box.js';

const oldKey = { id: 'old', key: randomBytes(32) };
const newKey = { id: 'new', key: randomBytes(32) };
/** Before, during and after the change of TOKEN_KEYS. */
const oldBox = new SecretBox([oldKey]);
const bothKeys = new SecretBox([newKey, oldKey]);
const newBox = new SecretBox([newKey]);

const webhookUrl = 'https://two.bitrix24.com/rest/1/webhook-secret/';

describe('rotating to a new key', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let oauth: SingleUseOAuth;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    oauth = await SingleUseOAuth.start();
  });
  beforeEach(async () => {
    await clear(source);
    await source.query('TRUNCATE portals.webhook_pairs');
    oauth.beforeAnswer = () => undefined;
  });
  afterAll(async () => {
    await oauth.stop();
    await database.close();
  });

  const rotation = (box = bothKeys): KeyRotation => new KeyRotation(source, box, silentLog);

  async function install(memberId: string, box = oldBox): Promise<string> {
    const grant = oauth.grant(memberId);
    const portalRepository = new PortalRepository(source, box, []);
    await portalRepository.install(grant, { applicationToken: `token-${memberId}` });
    return grant.accessToken;
  }

  /** One of everything that is sealed. */
  async function fill(): Promise<{ accessToken: string; claim: PendingClaim }> {
    const accessToken = await install('oauth');
    const portalRepository = new PortalRepository(source, oldBox, []);
    const webhook = { memberId: 'webhook', webhookUrl, applicationToken: 't1' };
    await portalRepository.registerWebhook(webhook);
    const claim = {
      memberId: 'pending',
      domain: 'd',
      applicationToken: 't2',
      accessToken: 'a',
      refreshToken: 'r',
    };
    await new PendingInstalls(source, oldBox, silentLog).keep(claim);
    await new WebhookPairs(source, oldBox, portalRepository, []).add({ webhookUrl, applicationToken: 't3' });
    return { accessToken, claim };
  }

  it('leaves nothing that needs the old key, and all that was sealed as it was', async () => {
    const { accessToken, claim } = await fill();
    const updatedAt = await source.query<unknown[]>('SELECT updated_at FROM portals.credentials');
    await expect(rotation().run()).resolves.toEqual({
      rewritten: 4,
      alreadyCurrent: 0,
      unreadable: 0,
      currentKeyId: 'new',
      keysInUse: { new: 5 },
    });
    expect(await dump(source)).not.toContain('v1:old:');
    expect(await source.query('SELECT updated_at FROM portals.credentials')).toEqual(updatedAt);

    const parts = { dataSource: source, box: newBox, oauthUrl: oauth.url };
    const tokens = tokenStore({ ...parts, memberId: 'oauth' });
    await expect(tokens.access()).resolves.toMatchObject({ accessToken });
    await expect(tokens.refresh(accessToken)).resolves.toMatchObject({ kind: 'oauth' });
    await expect(tokenStore({ ...parts, memberId: 'webhook' }).access()).resolves.toEqual({
      kind: 'webhook',
      endpoint: webhookUrl,
    });
    await source.query('UPDATE portals.pending_installs SET next_try_at = now()');
    const claims: PendingClaim[] = [];
    await new PendingInstalls(source, newBox, silentLog).takeDue(1, async (one) => {
      claims.push(one);
      return 'done';
    });
    expect(claims).toEqual([claim]);
    const pairs = new WebhookPairs(source, newBox, new PortalRepository(source, newBox, []), []);
    await expect(pairs.claim('third', 't3')).resolves.toBe(true);
  });

  it('finds every sealed column that the schema has', async () => {
    await fill();
    const sealed = (await dump(source)).match(/v1:old:/g) ?? [];
    const { keysInUse } = await rotation(oldBox).run();
    expect(keysInUse).toEqual({ old: sealed.length });
  });

  it('goes on where it was interrupted, and a second time changes nothing', async () => {
    await fill();
    await source.query(`UPDATE portals.credentials SET access_token = $1 WHERE member_id = 'oauth'`, [
      newBox.seal('access', { memberId: 'oauth', field: 'access_token' }),
    ]);
    await expect(rotation().run()).resolves.toMatchObject({ rewritten: 4, alreadyCurrent: 0 });
    const before = await dump(source);
    await expect(rotation().run()).resolves.toMatchObject({ rewritten: 0, alreadyCurrent: 4 });
    expect(await dump(source)).toBe(before);
  });

  it('gets through more rows than are read at once', async () => {
    for (let number = 0; number < 3; number += 1) await install(`m${number}`);
    await source.query(
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state)
       SELECT 'x' || n, 'd', 'https://d/rest/', 'installed' FROM generate_series(1, 450) n`,
    );
    await source.query(
      `INSERT INTO portals.credentials (member_id, kind, webhook_url)
       SELECT 'x' || n, 'webhook', 'v1:lost:AAAA' FROM generate_series(1, 450) n`,
    );
    await expect(rotation().run()).resolves.toMatchObject({
      rewritten: 3,
      unreadable: 450,
      keysInUse: { lost: 450, new: 6 },
    });
  });

  it('leaves what no key opens as it is, and says so', async () => {
    await install('lost', new SecretBox([{ id: 'gone', key: randomBytes(32) }]));
    await install('kept');
    const before = await source.query<unknown[]>(
      `SELECT * FROM portals.credentials WHERE member_id = 'lost'`,
    );
    await expect(rotation().run()).resolves.toMatchObject({
      rewritten: 1,
      unreadable: 1,
      keysInUse: { gone: 2, new: 2 },
    });
    expect(await source.query(`SELECT * FROM portals.credentials WHERE member_id = 'lost'`)).toEqual(before);
  });

  it('loses no pair that is refreshed at the same moment', async () => {
    const stale = await install('busy');
    const release = oauth.hold();
    const tokens = tokenStore({
      memberId: 'busy',
      dataSource: await database.connect(),
      box: oldBox,
      oauthUrl: oauth.url,
    });
    const refresh = tokens.refresh(stale);
    await eventually(() => expect(oauth.exchanges.get('busy')).toBe(1));
    const rotated = rotation().run();
    // The rotation waits for the row that the refresh keeps locked.
    await eventually(async () => {
      const waiting = await source.query<unknown[]>(
        `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
      );
      expect(waiting).toHaveLength(1);
    });
    release();
    const refreshed = await refresh;
    await expect(rotated).resolves.toMatchObject({ rewritten: 1, keysInUse: { new: 2 } });
    const after = tokenStore({ memberId: 'busy', dataSource: source, box: newBox, oauthUrl: oauth.url });
    await expect(after.access()).resolves.toEqual(refreshed);
    await expect(
      after.refresh(refreshed.kind === 'oauth' ? refreshed.accessToken : ''),
    ).resolves.toMatchObject({
      kind: 'oauth',
    });
  });
});
