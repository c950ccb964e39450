import { Bitrix24Error, type RequestOutcome } from '@relay/bitrix24';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, keptLog, type LogLine, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { quickTimings, tokenStore } from '../../test/token-stores.js';
import { PortalRepository } from '../repository/portal-repository.js';
import type { DatabaseTokenStore } from './database-token-store.js';

const memberId = 'm1';
const claim = { domain: 'one.bitrix24.com', applicationToken: 'app-token' };
const taken: RequestOutcome = { ok: true, method: 'profile' };

function rejected(code: string, httpStatus = 401): RequestOutcome {
  const method = 'batch';
  return { ok: false, method, error: new Bitrix24Error(code, { method, httpStatus, delivered: 'yes' }) };
}

describe('a portal that rejects its stored token', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let oauth: SingleUseOAuth;
  let lines: LogLine[];
  let tokens: DatabaseTokenStore;
  let installed: string;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
  });
  beforeEach(async () => {
    await clear(source);
    oauth = await SingleUseOAuth.start();
    const grant = oauth.grant(memberId);
    installed = grant.accessToken;
    await portalRepository.install(grant, claim);
    tokens = newProcess();
  });
  afterEach(() => oauth.stop());
  afterAll(() => database.close());

  function newProcess(): DatabaseTokenStore {
    const kept = keptLog();
    lines = kept.lines;
    const { box } = database;
    return tokenStore({ memberId, dataSource: source, box, oauthUrl: oauth.url, log: kept.log });
  }

  async function state(): Promise<string | undefined> {
    const [row] = await source.query<{ state: string }[]>('SELECT state FROM portals.portals');
    return row?.state;
  }

  async function pass(column: string, ms: number): Promise<void> {
    await source.query(`UPDATE portals.credentials SET ${column} = ${column} - make_interval(secs => $1)`, [
      ms / 1_000,
    ]);
  }

  /** As if it had done so for long. */
  async function rejectForLong(): Promise<void> {
    await tokens.note(rejected('authorization_error'));
    await pass('refused_since', quickTimings.rejectionGraceMs);
    await tokens.note(rejected('authorization_error'));
  }

  it.each(['authorization_error', 'ERROR_OAUTH', 'NO_AUTH_FOUND', 'SOMETHING_NEW'])(
    'with %s waits at first, and after half an hour of it has to authorize again',
    async (code) => {
      await tokens.note(rejected(code));
      await pass('refused_since', quickTimings.rejectionGraceMs - 60_000);
      await tokens.note(rejected(code));
      expect(await state()).toBe('installed');
      await pass('refused_since', 60_000);
      await tokens.note(rejected(code));
      expect(await state()).toBe('needs-reauth');
      await expect(tokens.access()).rejects.toMatchObject({ code: 'NEEDS_REAUTH', recovery: 'reauthorize' });
      expect(lines).toMatchObject([{ level: 'warn', fields: { memberId, code: 'TOKEN_REFUSED' } }]);
    },
  );

  it.each<[string, RequestOutcome]>([
    ['an item that is not for it', rejected('ACCESS_DENIED', 403)],
    ['a missing permission', rejected('insufficient_scope', 401)],
    ['a page of its front end', rejected('BAD_ANSWER', 401)],
    ['a blocked portal', rejected('OVERLOAD_LIMIT', 401)],
    ['an OAuth server that it cannot reach', rejected('CONNECTION_ERROR', 401)],
  ])('is not one with %s', async (_, outcome) => {
    await tokens.note(outcome);
    await pass('refused_since', quickTimings.rejectionGraceMs);
    await tokens.note(outcome);
    expect(await state()).toBe('installed');
  });

  it('and takes it again in between has not rejected it for long', async () => {
    await tokens.note(rejected('NO_AUTH_FOUND'));
    await pass('refused_since', quickTimings.rejectionGraceMs);
    const other = newProcess();
    await other.access();
    await other.note(taken);
    await tokens.note(rejected('NO_AUTH_FOUND'));
    expect(await state()).toBe('installed');
  });

  it('is tried once an hour, by one process, and works again when it takes it', async () => {
    await rejectForLong();
    await pass('next_probe_at', quickTimings.probeEveryMs);
    const processes = [newProcess(), newProcess(), newProcess()];
    const tried = await Promise.allSettled(processes.map((one) => one.access()));
    expect(tried.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const prober = processes[tried.findIndex(({ status }) => status === 'fulfilled')];
    await prober?.note(rejected('NO_AUTH_FOUND'));
    expect(await state()).toBe('needs-reauth');
    await expect(prober?.access()).rejects.toMatchObject({ code: 'NEEDS_REAUTH' });

    await pass('next_probe_at', quickTimings.probeEveryMs);
    await tokens.access();
    await tokens.note(taken);
    expect(await state()).toBe('installed');
    await expect(newProcess().access()).resolves.toMatchObject({ kind: 'oauth' });
  });

  it('is not tried when its pair is dead', async () => {
    await rejectForLong();
    await pass('next_probe_at', quickTimings.probeEveryMs);
    await tokens.access();
    oauth.rejection = 'invalid_grant';
    await expect(tokens.refresh(installed)).rejects.toMatchObject({ code: 'NEEDS_REAUTH' });
    await pass('next_probe_at', quickTimings.probeEveryMs);
    await expect(tokens.access()).rejects.toMatchObject({ code: 'NEEDS_REAUTH' });
  });

  it('works again with the next pair', async () => {
    await rejectForLong();
    await portalRepository.reauthorize(oauth.grant(memberId));
    expect(await state()).toBe('installed');
    await tokens.note(rejected('NO_AUTH_FOUND'));
    expect(await state()).toBe('installed');
  });
});
