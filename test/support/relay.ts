import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, freshVhost } from './broker.js';
import { CuttableLink } from './cuttable-link.js';
import { migratedDatabase } from './database.js';
import { AppProcess } from './processes.js';
import { type PortalSettings, SimulatedPortal } from './simulated-portal.js';

export type BusKind = 'RabbitMQ' | 'PostgreSQL';

/** The whole system as built, each app a process of its own, with a database and a virtual host that nobody shares. */
export interface Relay {
  gatewayUrl: string;
  /** The apps' way to Bitrix24: OAuth, and the portals' REST. */
  outside: CuttableLink;
  /** What every app is started with; a consumer that a test brings along needs the same. */
  env: Record<string, string>;
  /** Starts one more app, or one that was ended; resolves when it is ready to take work. `changes` to its `env`; `build`: another one's folder. */
  start(app: string, changes?: Record<string, string>, build?: string): Promise<AppProcess>;
  /** A new portal of the simulator, with the app not yet installed. */
  portal(name: string, settings?: PortalSettings): Promise<SimulatedPortal>;
  /** The app's port for operators. */
  opsPort(app: string): string;
  /** One app's metric, summed over its labels; 0 where it was not counted yet. */
  metric(app: string, name: string): Promise<number>;
  /** Everything that all apps wrote. */
  log(): string;
  /** What must never stand in a log: keys and passwords that the apps were started with. */
  secrets: string[];
  /** Gateway and control plane once more, with these changes to their `env`. */
  restart(changes?: Record<string, string>): Promise<void>;
  /** Ends the app's process as a deployment does. */
  end(app: string): Promise<void>;
  /** Ends it with SIGKILL, in the middle of whatever it does. */
  kill(app: string): Promise<void>;
  /** Ends all of them. @returns their exit codes */
  endAll(): Promise<Record<string, number | null>>;
  stop(): Promise<void>;
}

export async function startRelay(bus: BusKind, apps: readonly string[]): Promise<Relay> {
  const [database, vhost, gatewayPort, simulatorPort] = await Promise.all([
    migratedDatabase(),
    bus === 'RabbitMQ' ? freshVhost() : undefined,
    freePort(),
    freePort(),
  ]);
  const outside = await CuttableLink.to(simulatorPort);
  const gatewayUrl = `http://127.0.0.1:${gatewayPort}`;
  const simulatorUrl = `http://127.0.0.1:${simulatorPort}`;
  const dataDir = mkdtempSync(join(tmpdir(), 'relay-data-'));
  const env: Record<string, string> = {
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    ...(vhost && { AMQP_URL: vhost.url }),
    PORT: String(gatewayPort),
    SIMULATOR_PORT: String(simulatorPort),
    PUBLIC_URL: gatewayUrl,
    B24_CLIENT_ID: 'local.test',
    B24_CLIENT_SECRET: randomBytes(16).toString('hex'),
    B24_OAUTH_URL: outside.url,
    B24_ALLOW_HOSTS: `127.0.0.1:${outside.port},127.0.0.1:${simulatorPort}`,
    TOKEN_KEYS: `test:${randomBytes(32).toString('base64')}`,
    OPS_TOKEN: randomBytes(16).toString('hex'),
    LOG_LEVEL: 'debug',
  };
  const processes: AppProcess[] = [];
  const running = new Map<string, AppProcess>();
  const opsUrls = new Map<string, string>();

  const launch = async (
    app: string,
    changes: Record<string, string> = {},
    build = '',
  ): Promise<AppProcess> => {
    const opsPort = await freePort();
    const started = AppProcess.start(app, join(build, `apps/${app}/src/main.js`), {
      ...env,
      OPS_PORT: String(opsPort),
      ...changes,
    });
    processes.push(started);
    running.set(app, started);
    opsUrls.set(app, `http://127.0.0.1:${opsPort}`);
    return started;
  };
  const isReady = (started: AppProcess): Promise<void> => {
    const url = started.name === 'portal-simulator' ? simulatorUrl : opsUrls.get(started.name);
    return started.ready(`${url}/health/ready`);
  };
  const start = async (
    app: string,
    changes?: Record<string, string>,
    build?: string,
  ): Promise<AppProcess> => {
    const started = await launch(app, changes, build);
    await isReady(started);
    return started;
  };
  const endAll = async (): Promise<Record<string, number | null>> => {
    // Consumers first, as a deployment that drains would: the gateway answers as long as something may be sent.
    const codes: Record<string, number | null> = {};
    for (const [app, process] of [...running].toReversed()) codes[app] = await process.stop();
    return codes;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((process) => process.stop()));
    await outside.cut();
    rmSync(dataDir, { recursive: true, force: true });
    await Promise.all([database.drop(), vhost?.drop()]);
  };

  try {
    const launched: AppProcess[] = [];
    for (const app of ['portal-simulator', 'gateway', 'control-plane', ...apps])
      launched.push(await launch(app));
    await Promise.all(launched.map(isReady));
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    gatewayUrl,
    outside,
    env,
    start,
    stop,
    portal: (name, settings) => SimulatedPortal.create(simulatorUrl, name, settings),
    opsPort: (app) => new URL(opsUrls.get(app) ?? '').port,
    metric: async (app, name) => sumOf(name, await (await fetch(`${opsUrls.get(app)}/metrics`)).text()),
    log: () => processes.map((process) => process.log()).join(''),
    secrets: [env['B24_CLIENT_SECRET'], env['OPS_TOKEN'], env['TOKEN_KEYS']?.split(':')[1]].flatMap(
      (secret) => secret ?? [],
    ),
    restart: async (changes) => {
      const services = ['gateway', 'control-plane'];
      await Promise.all(services.map(async (app) => running.get(app)?.stop()));
      await Promise.all(services.map((app) => start(app, changes)));
    },
    end: async (app) => void (await running.get(app)?.stop()),
    kill: async (app) => void (await running.get(app)?.stop('SIGKILL')),
    endAll,
  };
}

function sumOf(name: string, metrics: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
