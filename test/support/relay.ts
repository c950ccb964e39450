import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppHost } from './app-host.js';
import { freePort, freshVhost } from './broker.js';
import { CuttableLink } from './cuttable-link.js';
import { migratedDatabase } from './database.js';
import { AppProcess } from './processes.js';
import { type PortalSettings, SimulatedPortal } from './simulated-portal.js';

export type BusKind = 'RabbitMQ' | 'PostgreSQL';

export interface RelayOptions {
  /**
   * Apps that share no process with the others, each group in one: those that the test kills, or whose own metrics,
   * memory or exit code it reads. All others run in one process, which saves a second of CPU each, and which the next
   * system of this worker process of Jest takes over (`AppHost.park`), which saves two. A group of one is started by its `main.ts`, as is every app that is started with variables of Node or OpenTelemetry, or of another build.
   */
  apart?: readonly (readonly string[])[];
}

/** The whole system as built, with a database and a virtual host that nobody shares. */
export interface Relay {
  gatewayUrl: string;
  /** The apps' way to Bitrix24: OAuth, and the portals' REST. */
  outside: CuttableLink;
  /** What every app is started with; a consumer that a test brings along needs the same. */
  env: Record<string, string>;
  /** Starts one more app, or one that was ended; resolves when it is ready to take work. `changes` to its `env`; `build`: another one's folder. */
  start(app: string, changes?: Record<string, string>, build?: string): Promise<void>;
  /** The same as a process of its own, also of an app that runs already. */
  startProcess(app: string, changes?: Record<string, string>, build?: string): Promise<AppProcess>;
  /** A new portal of the simulator, with the app not yet installed. */
  portal(name: string, settings?: PortalSettings): Promise<SimulatedPortal>;
  /** The app's port for operators. */
  opsPort(app: string): string;
  /** One app's metric, summed over its labels; 0 where it was not counted yet. Apps that share a process share their metrics. */
  metric(app: string, name: string): Promise<number>;
  /** Everything that all apps wrote. */
  log(): string;
  /** What must never stand in a log: keys and passwords that the apps were started with. */
  secrets: string[];
  /** Gateway and control plane once more, with these changes to their `env`. */
  restart(changes?: Record<string, string>): Promise<void>;
  /** Ends the app as a deployment does. */
  end(app: string): Promise<void>;
  /** Ends the process of its group with SIGKILL, in the middle of whatever it does. */
  kill(app: string): Promise<void>;
  /** Ends all of them. @returns their exit codes */
  endAll(): Promise<Record<string, number | null>>;
  stop(): Promise<void>;
}

/** An app in a process of its own, or in one that it shares. */
interface RunningApp {
  readonly process: AppProcess;
  /** Resolves when it takes work. */
  readonly ready: () => Promise<void>;
  /** @returns the exit code */
  readonly stop: () => Promise<number | null>;
}

export async function startRelay(
  bus: BusKind,
  apps: readonly string[],
  { apart = [] }: RelayOptions = {},
): Promise<Relay> {
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
  /** By their groups; `undefined` is that of all apps which are in none. */
  const hosts = new Map<readonly string[] | undefined, AppHost>();
  const running = new Map<string, RunningApp>();
  const opsUrls = new Map<string, string>();

  const environmentOf = async (app: string, changes: Record<string, string>) => {
    const opsPort = changes['OPS_PORT'] ?? String(await freePort());
    opsUrls.set(app, `http://127.0.0.1:${opsPort}`);
    return { ...env, OPS_PORT: opsPort, ...changes };
  };
  const readyUrl = (app: string): string =>
    `${app === 'portal-simulator' ? simulatorUrl : opsUrls.get(app)}/health/ready`;
  const launchProcess = async (
    app: string,
    changes: Record<string, string> = {},
    build = '',
  ): Promise<RunningApp> => {
    const environment = await environmentOf(app, changes);
    const process = AppProcess.start(app, join(build, `apps/${app}/src/main.js`), environment);
    processes.push(process);
    const launched = { process, ready: () => process.ready(readyUrl(app)), stop: () => process.stop() };
    running.set(app, launched);
    return launched;
  };
  const hostOf = (group: readonly string[] | undefined): AppHost => {
    const known = hosts.get(group);
    if (known && !known.process.hasEnded()) return known;
    const host = new AppHost();
    hosts.set(group, host);
    processes.push(host.process);
    return host;
  };
  const launch = async (
    app: string,
    changes: Record<string, string> = {},
    build?: string,
  ): Promise<RunningApp> => {
    const group = apart.find((each) => each.includes(app));
    // Node and the SDK that exports traces read theirs once for a process.
    const isOfProcess = Object.keys(changes).some((name) => /^(NODE|OTEL)_/.test(name));
    if (group?.length === 1 || isOfProcess || build !== undefined) return launchProcess(app, changes, build);
    const environment = await environmentOf(app, changes);
    const host = hostOf(group);
    const launched = {
      process: host.process,
      ready: async () => {
        await host.start(app, environment);
        await host.process.ready(readyUrl(app));
      },
      stop: () => host.stop(app),
    };
    running.set(app, launched);
    return launched;
  };
  const start: Relay['start'] = async (app, changes, build) => (await launch(app, changes, build)).ready();
  const startProcess: Relay['startProcess'] = async (app, changes, build) => {
    const { process, ready } = await launchProcess(app, changes, build);
    await ready();
    return process;
  };
  const end = async (app: string): Promise<void> => void (await running.get(app)?.stop());
  const endAll = async (): Promise<Record<string, number | null>> => {
    // Consumers first, as a deployment that drains would: the gateway answers as long as something may be sent.
    const codes: Record<string, number | null> = {};
    for (const [app, { stop: endApp }] of [...running].toReversed()) codes[app] = await endApp();
    return codes;
  };
  const stop = async (): Promise<void> => {
    const shared = hosts.get(undefined);
    await Promise.all(
      processes.map((process) => (process === shared?.process ? shared.park() : process.stop())),
    );
    await outside.cut();
    rmSync(dataDir, { recursive: true, force: true });
    await Promise.all([database.drop(), vhost?.drop()]);
  };

  try {
    const launched: RunningApp[] = [];
    for (const app of ['portal-simulator', 'gateway', 'control-plane', ...apps])
      launched.push(await launch(app));
    await Promise.all(launched.map(({ ready }) => ready()));
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    gatewayUrl,
    outside,
    env,
    start,
    startProcess,
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
      await Promise.all(services.map(end));
      await Promise.all(services.map((app) => start(app, changes)));
    },
    end,
    kill: async (app) => {
      const process = running.get(app)?.process;
      if (process === hosts.get(undefined)?.process) throw new Error(`${app} is in no group of \`apart\``);
      await process?.stop('SIGKILL');
    },
    endAll,
  };
}

function sumOf(name: string, metrics: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
