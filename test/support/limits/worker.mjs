/**
 * One process that calls a portal as consumers do: interactive calls and background batches, each of its callers one after the
 * other, as fast as the portal's shared limits let them. Told by its parent when to begin and when to stop.
 */
import { join } from 'node:path';
import { DataSource } from 'typeorm';

/** @param {string} path below dist/ */
const built = (path) => import(join(import.meta.dirname, '../../../dist', path));
const { PortalClient, webhookTokens } = await built('libs/bitrix24/src/index.js');
const { databaseOptions, silentLog } = await built('libs/platform/src/index.js');
const { PortalLimits, PortalRateLimiter, PORTAL_ENTITIES } = await built('libs/portals/src/index.js');

const { databaseUrl, memberId, webhookUrl, limit, interactive, background } = JSON.parse(
  process.env['LIMITS_WORKER'] ?? '{}',
);
const dataSource = await new DataSource(databaseOptions(databaseUrl, 'limits', PORTAL_ENTITIES)).initialize();
await new PortalLimits(dataSource).setLimit(memberId, limit);
const rateLimiter = new PortalRateLimiter(dataSource, silentLog).of(memberId);
const { host } = new URL(webhookUrl);
const shared = { memberId, tokens: webhookTokens(webhookUrl), rateLimiter, allowHosts: [host] };
const clients = {
  interactive: new PortalClient({ ...shared, priority: 'interactive' }),
  background: new PortalClient({ ...shared, priority: 'background' }),
};

const end = new AbortController();
const done = { interactive: 0, background: 0 };
/** @type {string[]} */
const lost = [];
const read = { method: 'crm.item.list', params: { entityTypeId: 3, select: ['id'], start: -1 } };

/** @param {'interactive' | 'background'} priority */
async function callOnAndOn(priority) {
  const { signal } = end;
  while (!signal.aborted) {
    try {
      if (priority === 'interactive') await clients.interactive.call(read.method, read.params, { signal });
      else await clients.background.batch({ one: read, two: read }, { signal });
      done[priority] += 1;
    } catch (error) {
      if (!signal.aborted) lost.push(String(error));
    }
  }
}

/** @type {Promise<void>[]} */
let callers = [];
function begin() {
  callers = [
    ...Array.from({ length: interactive }, () => callOnAndOn('interactive')),
    ...Array.from({ length: background }, () => callOnAndOn('background')),
  ];
}
async function stop() {
  end.abort();
  await Promise.all(callers);
  await dataSource.destroy();
  process.send?.({ done, lost }, () => process.disconnect());
}
process.on('message', (order) => (order === 'begin' ? begin() : void stop()));
process.on('disconnect', () => process.exit());
process.send?.('ready');
