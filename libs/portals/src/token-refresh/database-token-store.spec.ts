import { OAuthServers, type PortalAccess } from '@relay/bitrix24';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pLimit from 'p-limit';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { quickTimings, tokenStore } from '../../test/token-stores.js';
import { lockCredentials } from '../repository/credentials.js';
import type { DatabaseTokenStore, TokenStoreParts } from './database-token-store.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { DEFAULT_TIMINGS } from './token-refresh.js';

const memberId = 'm1';
const claim = { domain: 'one.bitrix24.com', applicationToken: 'app-token' };

describe('DatabaseTokenStore', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let oauth: SingleUseOAuth;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
  });
  beforeEach(async () => {
    await clear(source);
    oauth = await SingleUseOAuth.start();
  });
  afterEach(() => oauth.stop());
  afterAll(() => database.close());

  /** What one process has: its own pool, its own store. */
  function store(dataSource = source, changes: Partial<TokenStoreParts> = {}): DatabaseTokenStore {
    return tokenStore({ memberId, dataSource, box: database.box, oauthUrl: oauth.url, ...changes });
  }

  async function install(): Promise<string> {
    const grant = oauth.grant(memberId);
    await portalRepository.install(grant, claim);
    return grant.accessToken;
  }

  async function state(): Promise<string | undefined> {
    const [row] = await source.query<{ state: string }[]>('SELECT state FROM portals.portals');
    return row?.state;
  }

  async function waitingForLocks(): Promise<number> {
    const rows = await source.query<unknown[]>(
      `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
    );
    return rows.length;
  }

  /** Of this spec's database, apart from the one that asks. */
  async function transactions(): Promise<number> {
    const rows = await source.query<unknown[]>(
      `SELECT pid FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()
         AND datname = current_database()`,
    );
    return rows.length;
  }

  /** As when the database restarts. */
  async function cutTransactions(): Promise<void> {
    await source.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE state = 'idle in transaction' AND datname = current_database()`,
    );
  }

  it('gives the address and the token that were stored at the install', async () => {
    const accessToken = await install();
    await expect(store().access()).resolves.toEqual({
      kind: 'oauth',
      endpoint: 'https://one.bitrix24.com/rest/',
      accessToken,
    });
  });

  it('gives the secret address of a portal that is known by its webhook', async () => {
    const webhookUrl = 'https://one.bitrix24.com/rest/1/webhook-secret/';
    await portalRepository.registerWebhook({ memberId, webhookUrl, ...claim });
    const webhook = { kind: 'webhook', endpoint: webhookUrl };
    await expect(store().access()).resolves.toEqual(webhook);
    await expect(store().refresh('anything')).resolves.toEqual(webhook);
  });

  it('says that a portal is not installed, before its install and after its end', async () => {
    const notInstalled = expect.objectContaining({ code: 'NOT_INSTALLED', memberId });
    await expect(store().access()).rejects.toEqual(notInstalled);
    await expect(store().refresh('stale')).rejects.toEqual(notInstalled);
    await install();
    await portalRepository.uninstall(memberId);
    await expect(store().access()).rejects.toEqual(notInstalled);
  });

  it('refreshes once when ten processes meet one expired token twenty times', async () => {
    const stale = await install();
    // Answered when the nine others stand at the lock, so that they do meet.
    oauth.beforeAnswer = () => eventually(async () => expect(await waitingForLocks()).toBe(9));
    const processes = await Promise.all(Array.from({ length: 10 }, () => database.connect()));
    const refreshes = processes.flatMap((each) => {
      const tokens = store(each);
      return [tokens.refresh(stale), tokens.refresh(stale)];
    });
    const refreshed = new Set((await Promise.all(refreshes)).map(tokenOf));

    expect(oauth.exchanges.get(memberId)).toBe(1);
    expect(oauth.rejected).toBe(0);
    expect(refreshed.size).toBe(1);
    expect(refreshed).not.toContain(stale);
    expect(refreshed).toContain(tokenOf(await store().access()));
  });

  it('uses what another process has refreshed already', async () => {
    const stale = await install();
    const refreshed = await store(await database.connect()).refresh(stale);
    await expect(store().refresh(stale)).resolves.toEqual(refreshed);
    expect(oauth.exchanges.get(memberId)).toBe(1);
  });

  it('refreshes a pair repeatedly, each time with the newest refresh token', async () => {
    let token = await install();
    for (let round = 0; round < 5; round += 1) token = tokenOf(await store().refresh(token));
    expect(oauth.exchanges.get(memberId)).toBe(5);
    await expect(store().access()).resolves.toMatchObject({ accessToken: token });
  });

  it('asks the OAuth server that the pair belongs to, and remembers which one that is', async () => {
    const other = await SingleUseOAuth.start();
    try {
      const urls = [other.url, oauth.url];
      const both = new OAuthServers({ urls, clientId: 'id', clientSecret: 'secret', timeoutMs: 5_000 });
      let token = await install();
      for (const exchanges of [1, 2]) {
        token = tokenOf(await store(source, { oauth: both }).refresh(token));
        expect(oauth.exchanges.get(memberId)).toBe(exchanges);
      }
      expect(other.rejected).toBe(0);
    } finally {
      await other.stop();
    }
  });

  it('needs one connection for any number of refreshes of a portal in one process', async () => {
    const stale = await install();
    const release = oauth.hold();
    // As many as there may be: it is the shared refresh that keeps the others from a connection, not the turns.
    const tokens = store(source, { semaphore: pLimit(100) });
    const refreshes = Array.from({ length: 100 }, () => tokens.refresh(stale));
    await eventually(() => expect(oauth.exchanges.get(memberId)).toBe(1));
    await expect(source.query('SELECT 1')).resolves.toHaveLength(1);
    expect(await transactions()).toBe(1);
    release();
    expect(new Set((await Promise.all(refreshes)).map(tokenOf)).size).toBe(1);
  });

  it('does not take the outcome of a refresh of an older token', async () => {
    const oldest = await install();
    const tokens = store(source, { semaphore: pLimit(100) });
    // Of the same process: one is about a token that is replaced already, and ends late; the others share the next.
    const second = tokenOf(await store(await database.connect()).refresh(oldest));
    const release = oauth.hold();
    const running: Promise<PortalAccess>[] = [];
    await source.transaction(async (manager) => {
      await lockCredentials(manager, memberId);
      running.push(tokens.refresh(oldest), ...Array.from({ length: 20 }, () => tokens.refresh(second)));
      await eventually(async () => expect(await waitingForLocks()).toBe(1));
    });
    await eventually(() => expect(oauth.exchanges.get(memberId)).toBe(2));
    expect(await transactions()).toBe(1);
    release();
    const [first, ...others] = (await Promise.all(running)).map(tokenOf);
    expect(first).toBe(second);
    expect(new Set(others).size).toBe(1);
    expect(others).not.toContain(second);
  });

  it.each(['invalid_client', 'wrong_client', 'invalid_request', 'insufficient_scope', 'something_new'])(
    'does not take %s for a dead pair: our own keys are rejected, and no portal is to blame',
    async (code) => {
      const stale = await install();
      oauth.rejection = code;
      await expect(store().refresh(stale)).rejects.toMatchObject({ recovery: 'wait', unreachable: false });
      await expect(state()).resolves.toBe('installed');
      oauth.rejection = undefined;
      await expect(store().refresh(stale)).resolves.toMatchObject({ kind: 'oauth' });
    },
  );

  it('knows the token in place of one that was replaced', async () => {
    const stale = await install();
    const refreshed = await store(await database.connect()).refresh(stale);
    await expect(store().latest(stale)).resolves.toEqual(refreshed);
    await expect(store().latest(tokenOf(refreshed))).resolves.toEqual(refreshed);
    expect(oauth.exchanges.get(memberId)).toBe(1);
  });

  it('waits for another process that has killed the rejected token and has not stored the new one yet', async () => {
    const stale = await install();
    const release = oauth.hold();
    const refresh = store(await database.connect()).refresh(stale);
    await eventually(() => expect(oauth.exchanges.get(memberId)).toBe(1));
    const latest = store().latest(stale);
    await eventually(async () => expect(await waitingForLocks()).toBe(1));
    release();
    await expect(latest).resolves.toEqual(await refresh);
  });

  it('asks the OAuth server no more than once a minute for a portal that calls every token expired', async () => {
    const timings = { ...quickTimings, earlyRefreshEveryMs: DEFAULT_TIMINGS.earlyRefreshEveryMs };
    const first = tokenOf(await store(source, { timings }).refresh(await install()));
    for (const dataSource of [source, await database.connect()]) {
      await expect(store(dataSource, { timings }).refresh(first)).rejects.toMatchObject({
        code: 'EXPIRED_TOKEN',
        recovery: 'wait',
        retryAfterMs: expect.any(Number),
      });
    }
    expect(oauth.exchanges.get(memberId)).toBe(1);
    await source.query(`UPDATE portals.credentials SET updated_at = updated_at - interval '61 s'`);
    const second = tokenOf(await store(source, { timings }).refresh(first));
    await source.query(`UPDATE portals.credentials SET updated_at = updated_at - interval '61 s'`);
    await expect(store(source, { timings }).refresh(second)).rejects.toMatchObject({ recovery: 'wait' });
    expect(oauth.exchanges.get(memberId)).toBe(2);
    await expect(state()).resolves.toBe('installed');
  });

  it('refreshes at once again after the portal has accepted the token, as when its sessions are ended twice', async () => {
    const timings = { ...quickTimings, earlyRefreshEveryMs: DEFAULT_TIMINGS.earlyRefreshEveryMs };
    const tokens = store(source, { timings });
    const first = tokenOf(await tokens.refresh(await install()));
    await tokens.note({ ok: true, method: 'profile' });
    await expect(tokens.refresh(first)).resolves.toMatchObject({ kind: 'oauth' });
  });

  it('finishes and stores a refresh whose caller has aborted', async () => {
    const stale = await install();
    const release = oauth.hold();
    const tokens = store();
    const caller = new AbortController();
    const abandoned = tokens.refresh(stale, caller.signal);
    await eventually(() => expect(oauth.exchanges.get(memberId)).toBe(1));
    caller.abort(new Error('the caller left'));
    await expect(abandoned).rejects.toThrow('the caller left');

    release();
    await tokens.waitForRefreshes();
    const refreshed = tokenOf(await tokens.access());
    expect(refreshed).not.toBe(stale);
    await expect(tokens.refresh(refreshed)).resolves.toMatchObject({ kind: 'oauth' });
  });

  it('asks for authorization when the refresh token is dead, and does not ask the OAuth server again', async () => {
    const stale = await install();
    await oauth.stop();
    oauth = await SingleUseOAuth.start();
    const needsReauth = expect.objectContaining({ code: 'NEEDS_REAUTH', recovery: 'reauthorize', memberId });
    await expect(store().refresh(stale)).rejects.toEqual(needsReauth);
    await expect(state()).resolves.toBe('needs-reauth');
    await expect(store().refresh(stale)).rejects.toEqual(needsReauth);
    await expect(store().access()).rejects.toEqual(needsReauth);
    expect(oauth.rejected).toBe(1);
  });

  it('works again after the next install', async () => {
    const stale = await install();
    await oauth.stop();
    oauth = await SingleUseOAuth.start();
    await expect(store().refresh(stale)).rejects.toThrow('authorize the application again');
    const accessToken = await install();
    await expect(store().access()).resolves.toMatchObject({ accessToken });
    await expect(state()).resolves.toBe('installed');
  });

  it('does not take a pair that belongs to another portal', async () => {
    const stale = await install();
    oauth.answer = { member_id: 'another' };
    await expect(store().refresh(stale)).rejects.toMatchObject({
      code: 'WRONG_MEMBER',
      recovery: 'reauthorize',
    });
    await expect(state()).resolves.toBe('needs-reauth');
  });

  it('changes nothing while the OAuth server cannot be reached', async () => {
    const stale = await install();
    const tokens = store();
    await oauth.stop();
    await expect(tokens.refresh(stale)).rejects.toMatchObject({ recovery: 'wait', unreachable: true });
    await expect(state()).resolves.toBe('installed');
    await expect(tokens.access()).resolves.toMatchObject({ accessToken: stale });
  });

  it('says what is missing when the application has no keys', async () => {
    const stale = await install();
    await expect(store(source, { oauth: undefined }).refresh(stale)).rejects.toMatchObject({
      code: 'NO_OAUTH',
      message: expect.stringContaining('B24_CLIENT_ID'),
    });
  });

  it('gives up waiting for a lock that another process does not give back', async () => {
    const stale = await install();
    await source.transaction(async (manager) => {
      await lockCredentials(manager, memberId);
      const waiting = store(source, { timings: { ...quickTimings, lockTimeoutMs: 20 } }).refresh(stale);
      await expect(waiting).rejects.toMatchObject({ code: 'CREDENTIALS_BUSY', recovery: 'retry' });
    });
    expect(oauth.exchanges.size).toBe(0);
  });

  it('stores the address that a renamed portal has now', async () => {
    const stale = await install();
    oauth.answer = { client_endpoint: 'https://renamed.bitrix24.com/rest/' };
    await expect(store().refresh(stale)).resolves.toMatchObject({
      endpoint: 'https://renamed.bitrix24.com/rest/',
    });
    const [row] = await source.query<unknown[]>('SELECT domain, client_endpoint FROM portals.portals');
    expect(row).toEqual({
      domain: 'renamed.bitrix24.com',
      client_endpoint: 'https://renamed.bitrix24.com/rest/',
    });
  });

  it('saves the new pair though the database cut the connection while it was being exchanged', async () => {
    const stale = await install();
    oauth.beforeAnswer = cutTransactions;
    const refreshed = await store(await database.connect()).refresh(stale);
    await expect(store().access()).resolves.toEqual(refreshed);
    oauth.beforeAnswer = () => undefined;
    await expect(store().refresh(tokenOf(refreshed))).resolves.toMatchObject({ kind: 'oauth' });
  });

  it('leaves a newer install alone when it saves a pair late', async () => {
    const stale = await install();
    let newer = '';
    oauth.beforeAnswer = async () => {
      await cutTransactions();
      newer = await install();
    };
    const access = await store(await database.connect()).refresh(stale);
    expect(tokenOf(access)).toBe(newer);
    await expect(store().access()).resolves.toMatchObject({ accessToken: newer });
  });
});

function tokenOf(access: PortalAccess): string {
  return access.kind === 'oauth' ? access.accessToken : '';
}
