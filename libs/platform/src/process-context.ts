import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Environment } from './environment.js';
import { createLogger } from './logger.js';
import { OpsServer, type ReadinessCheck } from './ops-server.js';

/** What an app stands on: a process of its own, or one that it shares with other apps (apps/standalone). */
export interface ProcessContext {
  log: Logger;
  /** From now on operators see that the app is live, and by these checks whether it can take work. */
  startOpsServer(checks: Readonly<Record<string, ReadinessCheck>>): Promise<void>;
  /** For an app that has more to say to operators: `api` answers what comes under `/ops`. After `openOps`. */
  mountOpsApi(api: FastifyInstance): void;
  stopOpsServer(): Promise<void>;
}

/** The log on standard output, and an ops server on OPS_PORT. */
export function ownProcessContext(
  app: string,
  { OPS_PORT: port, LOG_LEVEL: level }: Pick<Environment, 'OPS_PORT' | 'LOG_LEVEL'>,
): ProcessContext {
  let ops: OpsServer | undefined;
  return {
    log: createLogger(app, level),
    startOpsServer: async (checks) => {
      ops = new OpsServer(checks);
      await ops.start(port);
    },
    mountOpsApi: (api) => ops?.mount(api),
    stopOpsServer: async () => ops?.stop(),
  };
}
