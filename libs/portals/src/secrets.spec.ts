import { silentLog } from '@relay/platform';
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { Bitrix24Error, OAuthServers } from '@relay/bitrix24';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { z } from 'zod';
import { clear, keptLog, PortalsDatabase } from '../test/portals-database.js';
import { SingleUseOAuth } from '../test/single-use-oauth.js';
import { quickTimings, tokenStore } from '../test/token-stores.js';
import { lockCredentials } from './repository/credentials.js';
import type { DatabaseTokenStore, TokenStoreParts } from './token-refresh/database-token-store.js';
import { PortalStoreUnavailableError, type PortalErrorCode } from './database/errors.js';
import { PendingInstalls } from './installs/pending-installs.js';
import { PortalCache } from './cache/portal-cache.js';
import { loadPortalsFrom } from './cache/portal-loader.js';
import { PortalRepository } from './repository/portal-repository.js';
import { PortalSettings } from './repository/portal-settings.js';
import { SecretBox } from './encryption/secret-box.js';
import { PortalCircuitBreaker } from './suspension/portal-circuit-breaker.js';

const memberId = 'm1';

describe('secrets', () => {
  const secrets = {
    clientSecret: `client-${randomBytes(8).toString('hex')}`,
    applicationToken: `application-${randomBytes(8).toString('hex')}`,
    webhook: `webhook-${randomBytes(8).toString('hex')}`,
    key: randomBytes(32),
  };
  const claim = { domain: 'one.bitrix24.com', applicationToken: secrets.applicationToken };
  const box = new SecretBox([{ id: 'k1', key: secrets.key }]);
  const otherBox = new SecretBox([{ id: 'k2', key: randomBytes(32) }]);
  const { log, lines } = keptLog();
  const used = new Set<string>([secrets.clientSecret, secrets.applicationToken, secrets.webhook]);
  used
    .add(secrets.key.toString('hex'))
    .add(secrets.key.toString('base64'))
    .add(secrets.key.toString('base64url'));

  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let oauth: SingleUseOAuth;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, box, []);
    oauth = await SingleUseOAuth.start();
  });
  beforeEach(async () => {
    await clear(source);
    oauth.answer = {};
    oauth.beforeAnswer = () => undefined;
  });
  afterAll(async () => {
    await oauth.stop();
    await database.close();
  });

  async function install(): Promise<string> {
    const grant = oauth.grant(memberId);
    used.add(grant.accessToken).add(grant.refreshToken);
    await portalRepository.install(grant, claim);
    return grant.accessToken;
  }

  function store(changes: Partial<TokenStoreParts> = {}): DatabaseTokenStore {
    const { clientSecret } = secrets;
    const server = new OAuthServers({ urls: [oauth.url], clientId: 'id', clientSecret });
    const parts = { memberId, dataSource: source, box, oauthUrl: oauth.url, oauth: server, log };
    return tokenStore({ ...parts, ...changes });
  }

  /** One way to come by each error of this lib, and by those that it lets through. */
  const failures: Record<
    PortalErrorCode | 'NOT_INSTALLED' | 'PORTAL_SUSPENDED' | 'REDIRECT' | 'BAD_ADDRESS' | '23514',
    () => Promise<unknown>
  > = {
    DIRECTORY_UNAVAILABLE: async () => {
      const cause = await errorOf(() => source.query('SELECT $1::int', ['text']));
      const readPortals = (): Promise<never> => Promise.reject(cause);
      const postgresListener = { on: () => () => undefined, isListening: () => false };
      const error = await errorOf(() => new PortalCache({ readPortals, postgresListener }).find(memberId));
      expect(error).toBeInstanceOf(PortalStoreUnavailableError);
      return error;
    },
    NOT_INSTALLED: () => errorOf(() => store().access()),
    PORTAL_SUSPENDED: async () => {
      await install();
      const error = new Bitrix24Error('OVERLOAD_LIMIT', { httpStatus: 503 });
      await new PortalCircuitBreaker(source, log).note(memberId, { ok: false, method: 'profile', error });
      return errorOf(() => store().access());
    },
    REDIRECT: async () => {
      await portalRepository.registerWebhook({
        ...claim,
        memberId,
        webhookUrl: `https://one.bitrix24.com/rest/1/${secrets.webhook}/`,
      });
      return errorOf(() => store().relocate(`https://one.bitrix24.com/rest/1/${secrets.webhook}/`));
    },
    NEEDS_REAUTH: async () => {
      const stale = await install();
      const grant = { ...oauth.grant(memberId), refreshToken: 'refresh-dead', accessToken: stale };
      used.add(grant.refreshToken);
      await portalRepository.install(grant, claim);
      return errorOf(() => store().refresh(stale));
    },
    WRONG_MEMBER: async () => {
      oauth.answer = {
        member_id: 'another',
        access_token: 'access-of-another',
        refresh_token: 'refresh-of-another',
      };
      used.add('access-of-another').add('refresh-of-another');
      const stale = await install();
      return errorOf(() => store().refresh(stale));
    },
    NO_OAUTH: async () => {
      const stale = await install();
      return errorOf(() => store({ oauth: undefined }).refresh(stale));
    },
    UNKNOWN_KEY: async () => {
      await install();
      return errorOf(() => store({ box: otherBox }).access());
    },
    BAD_SETTINGS: async () => {
      await install();
      const readPortals = loadPortalsFrom(source);
      const postgresListener = { on: () => () => undefined, isListening: () => false };
      const settings = new PortalSettings(
        source,
        new PortalCache({ readPortals, postgresListener }),
        silentLog,
      );
      await settings.declare('consumer', z.strictObject({ wrong: z.number() }));
      return errorOf(() => settings.set(memberId, 'consumer', { wrong: 'what-was-set' }));
    },
    BROKEN_SEAL: async () => {
      await install();
      await source.query('UPDATE portals.credentials SET access_token = refresh_token');
      return errorOf(() => store().access());
    },
    CREDENTIALS_BUSY: async () => {
      const stale = await install();
      return source.transaction(async (manager) => {
        await lockCredentials(manager, memberId);
        return errorOf(() => store({ timings: { ...quickTimings, lockTimeoutMs: 10 } }).refresh(stale));
      });
    },
    PENDING_FULL: async () => {
      const pending = new PendingInstalls(source, box, log);
      const full = { memberId, ...claim, accessToken: 'access-pending' };
      const keepAll = async (): Promise<void> => {
        for (let number = 0; number < 21; number += 1) {
          used.add(`refresh-pending-${number}`);
          await pending.keep({ ...full, refreshToken: `refresh-pending-${number}` });
        }
      };
      used.add(full.accessToken);
      return errorOf(keepAll);
    },
    ENDPOINT_NOT_ALLOWED: () => {
      const grant = { ...oauth.grant(memberId), clientEndpoint: undefined };
      used.add(grant.accessToken).add(grant.refreshToken);
      return errorOf(() => portalRepository.install(grant, claim));
    },
    BAD_ADDRESS: () =>
      errorOf(() =>
        portalRepository.registerWebhook({
          ...claim,
          memberId,
          webhookUrl: `http://localhost/rest/1/${secrets.webhook}/`,
        }),
      ),
    OTHER_HOST: async () => {
      await portalRepository.install(oauth.grant(memberId), claim);
      return errorOf(() =>
        portalRepository.registerWebhook({
          ...claim,
          memberId,
          webhookUrl: `https://other.example/rest/1/${secrets.webhook}/`,
        }),
      );
    },
    // PostgreSQL quotes the row that it rejects, and TypeORM the query with its parameters.
    '23514': async () => {
      await source.query('ALTER TABLE portals.credentials ADD CONSTRAINT closed CHECK (false) NOT VALID');
      const error = await errorOf(install);
      await source.query('ALTER TABLE portals.credentials DROP CONSTRAINT closed');
      return error;
    },
  };

  for (const [code, fail] of Object.entries(failures)) {
    it(`are in no part of the error ${code}, nor in the log`, async () => {
      const error = await fail();
      expect(error).toMatchObject({ code });
      const seen = [shown(error), ...lines.map(shown)].join('\n');
      for (const secret of [...used].flatMap(spellings)) expect(seen).not.toContain(secret);
    });
  }
});

/** As it might stand in a query, in JSON or in a header. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    encodeURIComponent(secret),
    bytes.toString('hex'),
    bytes.toString('base64').replace(/.{0,3}=*$/, ''),
  ];
}

/** Everything that a logger or a person could get out of it. */
function shown(value: unknown): string {
  const texts = [inspect(value, { depth: Infinity, showHidden: true }), JSON.stringify(value)];
  for (let at = value; at instanceof Error; at = at.cause)
    texts.push(at.message, at.stack ?? '', inspect(at));
  return texts.join('\n');
}

async function errorOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
