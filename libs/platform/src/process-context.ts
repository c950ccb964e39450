import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Environment } from './environment.js';
import { createLogger } from './logger.js';
import { OpsServer, type ReadinessCheck } from './ops-server.js';

/** The process of an app: its own, or one that it shares with other apps (apps/standalone). */
export interface ProcessContext {
  log: Logger;
  /** Starts the health endpoints: the app is live, and ready by these checks. */
  startOpsServer(checks: Readonly<Record<string, ReadinessCheck>>): Promise<void>;
  /** Mounts `api` under `/ops`. Call after `startOpsServer`. */
  mountOpsApi(api: FastifyInstance): void;
  stopOpsServer(): Promise<void>;
}

/** Logs to standard output, and opens an ops server on OPS_PORT. */
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
