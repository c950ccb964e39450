/**
 * One process that calls a portal, as a consumer does: the token store and the client as they are built, without Nest
 * and without the portal's rate limit. Reads one order a line from standard input, answers each with one line.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** @param {string} path below dist/ */
const built = (path) => import(join(import.meta.dirname, '../../dist', path));
const { OAuthServers, PortalClient } = await built('libs/bitrix24/src/index.js');
const { databaseOptions, createLogger } = await built('libs/platform/src/index.js');
const { PortalRepository, PortalCircuitBreaker, PortalClients, PORTAL_ENTITIES } =
  await built('libs/portals/src/index.js');
const { SecretBox } = await built('libs/portals/src/encryption/secret-box.js');
const { DataSource } = await import('typeorm');

const { name, databaseUrl, oauth, allowHosts, key, memberId, timings } = JSON.parse(
  process.env['REFRESH_WORKER'] ?? '{}',
);
const log = createLogger(name, 'info');
const box = new SecretBox([{ id: 'k1', key: Buffer.from(key, 'base64') }]);
const dataSource = await new DataSource(databaseOptions(databaseUrl, name, PORTAL_ENTITIES)).initialize();
const circuitBreaker = new PortalCircuitBreaker(dataSource, log);
const clients = new PortalClients({ dataSource, box, circuitBreaker, oauth, allowHosts, log, timings });
const client = new PortalClient({ memberId, tokens: clients.tokens(memberId), allowHosts });
const portalRepository = new PortalRepository(dataSource, box, allowHosts, log);
const oauthServer = new OAuthServers({ ...oauth, allowHosts });

const orders = {
  call: () => client.call('profile'),
  /** @param {{ refreshToken: string }} order */
  install: async ({ refreshToken }) =>
    portalRepository.install(await oauthServer.refresh(refreshToken), { applicationToken: 'token' }),
  /** @param {{ refreshToken: string }} order */
  reauthorize: async ({ refreshToken }) =>
    portalRepository.reauthorize(await oauthServer.refresh(refreshToken)),
};

/** @param {object} message */
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** @param {{ id: number, what: keyof typeof orders, refreshToken: string }} order */
async function obey(order) {
  try {
    await orders[order.what](order);
    say({ id: order.id, ok: true });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    say({ id: order.id, ok: false, code: String(code), message: String(error) });
  }
}

createInterface(process.stdin).on('line', (line) => void obey(JSON.parse(line)));
async function end() {
  await clients.close();
  await dataSource.destroy();
  process.exit(0);
}
process.on('SIGTERM', () => void end());
say({ id: 0, ok: true });
