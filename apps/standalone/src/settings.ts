import { resolve } from 'node:path';
import { CONSUMER_VARIABLES } from '@relay/consumer';
import { readEnvironment } from '@relay/platform';
import { CONTROL_PLANE_VARIABLES } from '../../control-plane/src/control-plane.module.js';
import { GATEWAY_VARIABLES } from '../../gateway/src/gateway.module.js';
import type { GeneratedSecrets } from './data-dir/generated-secrets.js';

/** As the simulator knows the application; nothing is protected by it. */
const DEMO_APPLICATION = { B24_CLIENT_ID: 'demo.app', B24_CLIENT_SECRET: 'demo.secret' };

/** What is known before anything is opened. */
export interface Plan {
  dataDir: string;
  /** Without an application's keys there is no portal to talk to, and a simulated one stands in. */
  isSimulated: boolean;
  ports: { PORT: number; OPS_PORT: number; SIMULATOR_PORT?: number };
}

/** Everything that an app reads, once for all. */
const VARIABLES = [...GATEWAY_VARIABLES, ...CONTROL_PLANE_VARIABLES, ...CONSUMER_VARIABLES];
/** Not asked for: where they are not given, they are made. */
const MADE = ['DATABASE_URL', 'TOKEN_KEYS', 'OPS_TOKEN'];

/** @throws EnvironmentError naming what is wrong with the variables, before anything is opened */
export function planOf(env: NodeJS.ProcessEnv): Plan {
  const given = VARIABLES.filter((name) => env[name] || !MADE.includes(name));
  const { PORT, OPS_PORT, SIMULATOR_PORT, B24_CLIENT_ID } = readEnvironment(
    [...given, 'PORT', 'OPS_PORT', 'SIMULATOR_PORT', 'B24_CLIENT_ID'],
    env,
  );
  const isSimulated = B24_CLIENT_ID === undefined;
  return {
    dataDir: resolve(env['DATA_DIR'] || '.data'),
    isSimulated,
    ports: { PORT, OPS_PORT, ...(isSimulated && { SIMULATOR_PORT }) },
  };
}

/** The environment of every app, as text: what is given, what was kept, and what this process opened itself. */
export function appsVariables(
  env: NodeJS.ProcessEnv,
  plan: Plan,
  secrets: GeneratedSecrets,
  databaseUrl: string,
): NodeJS.ProcessEnv {
  const { TOKEN_KEYS, OPS_TOKEN } = secrets;
  return {
    ...env,
    DATA_DIR: plan.dataDir,
    DATABASE_URL: databaseUrl,
    TOKEN_KEYS: env['TOKEN_KEYS'] || TOKEN_KEYS,
    OPS_TOKEN: env['OPS_TOKEN'] || OPS_TOKEN,
    ...(plan.isSimulated && simulated(plan)),
  };
}

export function appsEnvironment(source: NodeJS.ProcessEnv) {
  return readEnvironment(VARIABLES, source);
}

/** Those of one consumer beside this process (`npm run dev`); ports of its own it chooses itself. */
export function consumerVariables(source: NodeJS.ProcessEnv): Record<string, string> {
  const names = CONSUMER_VARIABLES.filter((name) => name !== 'OPS_PORT' && source[name]);
  return Object.fromEntries(names.map((name) => [name, source[name] ?? '']));
}

/** Of the portals that stand in for Bitrix24; undefined beside a real one. @param variables of a consumer */
export function simulatorUrlOf(variables: Record<string, string>): string | undefined {
  return variables['B24_CLIENT_ID'] === DEMO_APPLICATION.B24_CLIENT_ID
    ? variables['B24_OAUTH_URL']
    : undefined;
}

/** By number: the apps reach each other on this machine, whatever `localhost` means to it. */
function simulated({ ports }: Plan): NodeJS.ProcessEnv {
  const simulator = `127.0.0.1:${ports.SIMULATOR_PORT}`;
  return {
    ...DEMO_APPLICATION,
    PUBLIC_URL: `http://127.0.0.1:${ports.PORT}`,
    B24_OAUTH_URL: `http://${simulator}`,
    B24_ALLOW_HOSTS: simulator,
  };
}
