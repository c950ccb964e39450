import 'reflect-metadata';
import { explainConnectionError } from '@relay/bus';
import { databaseOptions, printable, redactText } from '@relay/platform';
import { PORTAL_ENTITIES } from '@relay/portals';
import { DataSource } from 'typeorm';
import { checkAddress, checkOAuth } from './address.js';
import { answers, BusChecks, checkBroker } from './bus.js';
import { checkDatabase, type DatabaseOptions } from './database.js';
import { bounded, skipped, type Finding } from './finding.js';
import { checkKeys, checkPortals, checkPortalSettings } from './portals.js';
import { checkDisk, checkServices } from './services.js';
import { readSettings, type Settings } from './environment.js';

export interface DoctorOptions extends DatabaseOptions {
  /** For each check. */
  timeoutMs?: number;
  minFreeBytes?: number;
  /** Whether OPS_TOKEN may be sent to OPS_PORT of this machine; default: yes. */
  isAdminApiAsked?: boolean;
}

const DEFAULT_TIMEOUT_MS = 15_000;
const CLOSE_TIMEOUT_MS = 2_000;

type Run = (
  check: string,
  work: () => Promise<Finding[]>,
  address?: 'AMQP_URL' | 'DATABASE_URL',
) => Promise<Finding[]>;

/**
 * Checks the installation from this process, with its variables: needs no control plane. The checks run side by side,
 * those that read the database as soon as it answers; each has its time limit. Nothing is changed.
 */
export async function examine(env: NodeJS.ProcessEnv, options: DoctorOptions = {}): Promise<Finding[]> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, minFreeBytes } = options;
  const { settings, findings } = readSettings(env);
  const { AMQP_URL: amqpUrl } = settings;
  const run: Run = (check, work, address = 'DATABASE_URL') =>
    bounded(check, timeoutMs, work, (error) => explainConnectionError(error, address).reason);
  const broker = amqpUrl === undefined ? Promise.resolve([]) : run('broker', () => checkBroker(amqpUrl));
  const groups = await Promise.all([
    run('address', () => checkAddress(settings)),
    run('OAuth server', () => checkOAuth(settings)),
    run('disk', () => checkDisk(settings, Boolean(env['DATA_DIR']), minFreeBytes)),
    broker,
    examineDatabase(settings, options, { run, broker }),
  ]);
  return [findings, ...groups].flat().map((each) => ({ ...each, text: printable(redactText(each.text)) }));
}

async function examineDatabase(
  settings: Settings,
  options: DoctorOptions,
  { run, broker }: { run: Run; broker: Promise<Finding[]> },
): Promise<Finding[]> {
  const { DATABASE_URL: databaseUrl } = settings;
  const { isAdminApiAsked } = options;
  if (databaseUrl === undefined) {
    return [skipped('everything else', 'not checked without a valid DATABASE_URL')];
  }
  let isUsable = false;
  const findings = await run('database', async () => {
    const result = await checkDatabase(databaseUrl, options);
    ({ isUsable } = result);
    return result.findings;
  });
  if (!isUsable)
    return [...findings, skipped('everything else', 'not checked until the database is in order')];
  const opening = openDatabase(databaseUrl);
  let dataSource: DataSource | undefined;
  const opened = await run('database', async () => {
    dataSource = await opening;
    return [];
  });
  if (dataSource === undefined) {
    // It may answer yet, and an open connection would keep the process.
    opening.then((late) => late.destroy()).catch(() => undefined);
    return [...findings, ...opened, skipped('everything else', 'not checked until the database is in order')];
  }
  return [
    ...findings,
    ...(await examineContents(dataSource, databaseUrl, settings, { run, broker, isAdminApiAsked })),
  ];
}

async function examineContents(
  dataSource: DataSource,
  databaseUrl: string,
  settings: Settings,
  {
    run,
    broker,
    isAdminApiAsked,
  }: { run: Run; broker: Promise<Finding[]>; isAdminApiAsked: boolean | undefined },
): Promise<Finding[]> {
  const { AMQP_URL: amqpUrl, TOKEN_KEYS: keys } = settings;
  const bus = new BusChecks({ dataSource, databaseUrl, amqpUrl });
  try {
    const groups = await Promise.all([
      run('control plane', () => checkServices(dataSource, settings, isAdminApiAsked)),
      keys === undefined ? [] : run('keys', () => checkKeys(dataSource, keys)),
      run('portals', () => checkPortals(dataSource, settings)),
      run('portal settings', () => checkPortalSettings(dataSource)),
      examineBus(bus, amqpUrl, { run, broker }),
    ]);
    return groups.flat();
  } finally {
    await bounded(
      'close',
      CLOSE_TIMEOUT_MS,
      async () => {
        await Promise.all([dataSource.destroy(), bus.close()]);
        return [];
      },
      String,
    );
  }
}

async function examineBus(
  bus: BusChecks,
  amqpUrl: string | undefined,
  { run, broker }: { run: Run; broker: Promise<Finding[]> },
): Promise<Finding[]> {
  const address = amqpUrl === undefined ? 'DATABASE_URL' : 'AMQP_URL';
  if (!answers(await broker)) {
    return [skipped('topology, consumers', 'not checked until the broker answers')];
  }
  const groups = await Promise.all([
    run('topology', () => bus.topology(), address),
    run('consumers', () => bus.work(), address),
    run('unrouted', () => bus.unrouted(), address),
  ]);
  return groups.flat();
}

async function openDatabase(url: string): Promise<DataSource> {
  return new DataSource(databaseOptions(url, 'doctor', PORTAL_ENTITIES)).initialize();
}
