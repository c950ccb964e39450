import { Bitrix24Error, type RequestOutcome } from '@relay/bitrix24';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { installedPortals } from '../../test/installed-portals.js';
import { clear, keptLog, PortalsDatabase, type LogLine } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { tokenStore } from '../../test/token-stores.js';
import { hasApplicationToken } from '../repository/application-token.js';
import { PostgresListener } from '../database/postgres-listener.js';
import { PortalQuery } from '../repository/portal-query.js';
import { loadPortalsFrom } from '../cache/portal-loader.js';
import { PortalRepository } from '../repository/portal-repository.js';
import type { DatabaseTokenStore } from '../token-refresh/database-token-store.js';
import { PortalCircuitBreaker } from './portal-circuit-breaker.js';

const memberId = 'm1';
const claim = { domain: 'one.bitrix24.com', applicationToken: 'app-token' };
const minute = 60_000;
const answered: RequestOutcome = { ok: true, method: 'profile' };

function rejected(code: string, { method = 'batch', httpStatus = 503 } = {}): RequestOutcome {
  return { ok: false, method, error: new Bitrix24Error(code, { method, httpStatus }) };
}

interface OneProcess {
  tokens: DatabaseTokenStore;
  circuitBreaker: PortalCircuitBreaker;
}

describe('a suspended portal', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let oauth: SingleUseOAuth;
  let lines: LogLine[];
  let one: OneProcess;
  let stale: string;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
  });
  beforeEach(async () => {
    await clear(source);
    oauth = await SingleUseOAuth.start();
    const grant = oauth.grant(memberId);
    stale = grant.accessToken;
    await portalRepository.install(grant, claim);
    const kept = keptLog();
    lines = kept.lines;
    one = newProcess(source, kept.log);
  });
  afterEach(() => oauth.stop());
  afterAll(() => database.close());

  async function stateOf(member: string): Promise<string | undefined> {
    return (await new PortalQuery(source).all()).find((portal) => portal.memberId === member)?.state;
  }

  function newProcess(dataSource: DataSource, log = keptLog().log): OneProcess {
    const circuitBreaker = new PortalCircuitBreaker(dataSource, log);
    const { box } = database;
    const tokens = tokenStore({ memberId, dataSource, box, oauthUrl: oauth.url, circuitBreaker, log });
    return { tokens, circuitBreaker };
  }

  async function row(): Promise<{
    state: string;
    reason: string | null;
    waitMs: number | null;
    times: number;
  }> {
    const [found] = await source.query<[Awaited<ReturnType<typeof row>>]>(
      `SELECT state, suspended_reason AS reason, suspended_times AS times,
         extract(epoch FROM suspended_until - now())::float8 * 1000 AS "waitMs" FROM portals.portals`,
    );
    return found;
  }

  async function makeDue(): Promise<void> {
    await source.query(`UPDATE portals.portals SET suspended_until = now() - interval '1 s'`);
  }

  /** Within a minute of what was meant: the test takes its time. */
  async function waits(expectedMs: number): Promise<void> {
    const { waitMs } = await row();
    expect(waitMs).toBeGreaterThan(expectedMs - minute);
    expect(waitMs).toBeLessThanOrEqual(expectedMs);
  }

  it.each([
    ['OVERLOAD_LIMIT', 10 * minute],
    ['PORTAL_DELETED', 2 * minute],
    ['PAYMENT_REQUIRED', 60 * minute],
    ['ACCESS_DENIED', 60 * minute],
  ])('after %s is not called until its next try, in any process', async (code, pauseMs) => {
    await one.circuitBreaker.note(memberId, rejected(code));
    expect(await row()).toMatchObject({ state: 'suspended', reason: code, times: 1 });
    await waits(pauseMs);
    const retryAfterMs = expect.any(Number);
    for (const { tokens } of [one, newProcess(source)]) {
      await expect(tokens.access()).rejects.toMatchObject({
        code: 'PORTAL_SUSPENDED',
        recovery: 'wait',
        memberId,
        reason: code,
        retryAfterMs,
        message: expect.stringContaining(code),
      });
    }
    expect(lines).toMatchObject([{ level: 'warn', fields: { memberId, reason: code } }]);
  });

  it.each<[string, RequestOutcome]>([
    ['an answer', answered],
    ['a rejected item', rejected('ACCESS_DENIED', { method: 'crm.item.get', httpStatus: 403 })],
    ['a limit', rejected('QUERY_LIMIT_EXCEEDED')],
    ['a failure of the server', rejected('INTERNAL_SERVER_ERROR', { httpStatus: 500 })],
    ['what is not there', rejected('NOT_FOUND', { method: 'crm.item.get', httpStatus: 400 })],
  ])('is not made by %s', async (_, outcome) => {
    await one.circuitBreaker.note(memberId, outcome);
    expect((await row()).state).toBe('installed');
    await expect(one.tokens.access()).resolves.toMatchObject({ kind: 'oauth' });
  });

  it('is told to wait for ten minutes at most, so that an end of it is noticed', async () => {
    await one.circuitBreaker.note(memberId, rejected('PAYMENT_REQUIRED'));
    await expect(one.tokens.access()).rejects.toMatchObject({ retryAfterMs: 10 * minute });
  });

  it('is suspended once by all the requests that hear it at the same time', async () => {
    const processes = [one, newProcess(source), newProcess(source)];
    const notes = processes.flatMap(({ circuitBreaker }) => [
      circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT')),
      circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT')),
    ]);
    await Promise.all(notes);
    expect(await row()).toMatchObject({ times: 1 });
  });

  it('is tried by exactly one process when it is due', async () => {
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await makeDue();
    const processes = await Promise.all(
      Array.from({ length: 6 }, async () => newProcess(await database.connect())),
    );
    const tries = await Promise.allSettled(processes.map(({ tokens }) => tokens.access()));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const trying = processes[tries.findIndex(({ status }) => status === 'fulfilled')];
    await expect(trying?.tokens.access()).resolves.toMatchObject({ kind: 'oauth' });
  });

  it('works again when its try is answered, and every process hears of it', async () => {
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await makeDue();
    const heard: unknown[] = [];
    const postgresListener = new PostgresListener({ databaseUrl: database.url, log: keptLog().log });
    postgresListener.on('portals', (subject) => heard.push(subject));
    await eventually(() => expect(postgresListener.isListening()).toBe(true));

    await one.tokens.access();
    await one.circuitBreaker.note(memberId, answered);
    expect(await row()).toEqual({ state: 'installed', reason: null, waitMs: null, times: 0 });
    await eventually(() => expect(heard).toContain(memberId));
    await postgresListener.stop();
    await expect(newProcess(source).tokens.access()).resolves.toMatchObject({ kind: 'oauth' });
    expect(lines.map(({ message }) => message)).toEqual([
      'the portal is suspended',
      'probing a suspended portal',
      'a suspended portal works again',
    ]);
  });

  it('is left alone for longer with every try that fails, six hours at most', async () => {
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    for (const pauseMinutes of [20, 40, 80, 160, 320, 360, 360]) {
      await makeDue();
      await one.tokens.access();
      await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
      await waits(pauseMinutes * minute);
      await expect(one.tokens.access()).rejects.toMatchObject({ code: 'PORTAL_SUSPENDED' });
    }
  });

  it('stays so for what was sent before it, whatever its answer', async () => {
    const late = newProcess(source);
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    for (const outcome of [answered, rejected('OVERLOAD_LIMIT')]) {
      await late.circuitBreaker.note(memberId, outcome);
      expect(await row()).toMatchObject({ state: 'suspended', times: 1 });
    }
  });

  it('is tried by another process when the one that tried it never said how it went', async () => {
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await makeDue();
    await one.tokens.access();
    const other = newProcess(source);
    await expect(other.tokens.access()).rejects.toMatchObject({ code: 'PORTAL_SUSPENDED' });
    await makeDue();
    await expect(other.tokens.access()).resolves.toMatchObject({ kind: 'oauth' });
    // The first one's word comes late, and is not asked for any more.
    await one.circuitBreaker.note(memberId, answered);
    expect((await row()).state).toBe('suspended');
    await other.circuitBreaker.note(memberId, answered);
    expect((await row()).state).toBe('installed');
  });

  it('is what an unpaid application gets at its token refresh; the pair is kept', async () => {
    oauth.rejection = 'PAYMENT_REQUIRED';
    await expect(one.tokens.refresh(stale)).rejects.toMatchObject({
      code: 'PORTAL_SUSPENDED',
      recovery: 'wait',
    });
    expect(await row()).toMatchObject({ state: 'suspended', reason: 'PAYMENT_REQUIRED' });
    oauth.rejection = undefined;
    await makeDue();
    await one.tokens.access();
    await one.tokens.refresh(stale);
    expect((await row()).state).toBe('suspended');
    await one.circuitBreaker.note(memberId, answered);
    expect((await row()).state).toBe('installed');
  });

  it('is ended at once by an operator, and by an install', async () => {
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await expect(newProcess(source).circuitBreaker.resume(memberId)).resolves.toBe(true);
    await expect(one.tokens.access()).resolves.toMatchObject({ kind: 'oauth' });
    await expect(one.circuitBreaker.resume(memberId)).resolves.toBe(false);

    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await portalRepository.install(oauth.grant(memberId), claim);
    expect(await row()).toEqual({ state: 'installed', reason: null, waitMs: null, times: 0 });
  });

  it('can be uninstalled, and is not tried or resumed any more', async () => {
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await portalRepository.uninstall(memberId);
    expect(await row()).toMatchObject({ state: 'uninstalled', reason: null });
    await expect(one.circuitBreaker.resume(memberId)).resolves.toBe(false);
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    expect((await row()).state).toBe('uninstalled');
  });

  it('binds no handlers, and is listed with its reason and its next try', async () => {
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await expect(installedPortals(source)).resolves.toEqual([]);
    expect([...(await new PortalQuery(source).countByState())]).toEqual([['suspended', 1]]);
    await expect(new PortalQuery(source).all()).resolves.toMatchObject([
      { memberId, state: 'suspended', suspendedReason: 'OVERLOAD_LIMIT', suspendedUntil: expect.any(Date) },
    ]);
  });

  it('is still one whose events the gateway believes', async () => {
    await one.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    const [known] = await loadPortalsFrom(source)([memberId]);
    expect(known).toMatchObject({ state: 'suspended' });
    expect(hasApplicationToken(known ?? { tokenHashes: [] }, claim.applicationToken)).toBe(true);
  });

  it('does not cost a request its outcome when the database is away', async () => {
    const away = await database.connect();
    await away.destroy();
    const kept = keptLog();
    await new PortalCircuitBreaker(away, kept.log).note(memberId, rejected('OVERLOAD_LIMIT'));
    expect(kept.lines).toMatchObject([{ level: 'warn', fields: { memberId } }]);
  });

  describe('whose answer does not know who asked', () => {
    const webhook = {
      memberId: 'by-webhook',
      webhookUrl: 'https://one.bitrix24.com/rest/1/webhook-secret/',
      applicationToken: 'webhook-token',
    };

    it.each(['NO_AUTH_FOUND', 'INVALID_CREDENTIALS'])('asks for another webhook (%s)', async (code) => {
      await portalRepository.registerWebhook(webhook);
      await one.circuitBreaker.note(webhook.memberId, rejected(code, { method: 'profile', httpStatus: 401 }));
      await expect(stateOf(webhook.memberId)).resolves.toBe('needs-webhook');
      await portalRepository.registerWebhook({ ...webhook, applicationToken: 'another' });
      await expect(stateOf(webhook.memberId)).resolves.toBe('installed');
    });

    it('asks for none where the application is installed', async () => {
      await one.circuitBreaker.note(memberId, rejected('NO_AUTH_FOUND', { httpStatus: 401 }));
      await expect(stateOf(memberId)).resolves.toBe('installed');
    });

    it('works again as soon as the portal knows the webhook again', async () => {
      await portalRepository.registerWebhook(webhook);
      await one.circuitBreaker.note(webhook.memberId, rejected('NO_AUTH_FOUND', { httpStatus: 401 }));
      const { circuitBreaker } = newProcess(await database.connect());
      const { box } = database;
      const shared = {
        memberId: webhook.memberId,
        dataSource: source,
        box,
        oauthUrl: oauth.url,
        circuitBreaker,
      };
      await expect(tokenStore(shared).access()).resolves.toMatchObject({ kind: 'webhook' });
      await circuitBreaker.note(webhook.memberId, answered);
      await expect(stateOf(webhook.memberId)).resolves.toBe('installed');
    });
  });
});
