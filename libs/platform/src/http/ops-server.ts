import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Environment } from '../environment/environment.js';
import {
  guardConnections,
  serverOptions,
  defaultConnectionLimits,
  type ConnectionLimits,
} from './guard-connections.js';
import { closeDatabaseChecks, type HealthResult, type Readiness } from './health.js';
import { createLogger } from '../telemetry/logger.js';
import { renderMetrics } from '../telemetry/metrics.js';
import { redactText } from '../redaction/redact-text.js';

/** The limit of the mounted API (Fastify's default). */
const MAX_BODY_BYTES = 1024 * 1024;

/** A requirement of an app before it can accept work, such as a bound queue; an exception counts as not ready. */
export type ReadinessCheck = () => Readiness | HealthResult | Promise<Readiness | HealthResult>;

/**
 * Server for operators on its own port: `/health/live`, `/health/ready`, `/metrics`, and the API that an app mounts
 * under `/ops`.
 */
export class OpsServer {
  private mounted: FastifyInstance | undefined;
  private server: FastifyInstance | undefined;

  /** @param checks by their names in `/health/ready` */
  constructor(
    private readonly checks: Readonly<Record<string, ReadinessCheck>>,
    private readonly limits: ConnectionLimits = defaultConnectionLimits('operators'),
  ) {}

  /** Routes everything under `/ops` to `api`, which must be ready and does not listen itself. */
  mount(api: FastifyInstance): void {
    this.mounted = api;
  }

  /** @returns the actual port, which differs from `port` if that is 0 */
  async start(port: number): Promise<number> {
    this.server = await this.createServer();
    return Number(new URL(await this.server.listen({ port, host: '0.0.0.0' })).port);
  }

  async stop(): Promise<void> {
    await this.server?.close();
    await closeDatabaseChecks();
  }

  private async createServer(): Promise<FastifyInstance> {
    // Not loaded with this file: whoever imports a logger or a schema, such as the command line, starts faster.
    const { fastify } = await import('fastify');
    const server = fastify({ forceCloseConnections: true, ...serverOptions(this.limits) });
    guardConnections(server.server, this.limits, MAX_BODY_BYTES);
    // Also for the mounted API: the headers are set on the raw response by then.
    server.addHook('onRequest', async (_request, reply) => {
      reply.raw.setHeader('cache-control', 'no-store');
    });
    server.get('/health/live', async () => ({ status: 'live' }));
    server.get('/health/ready', async (_request, reply) => {
      const checked = await this.runChecks();
      const results = Object.fromEntries(checked.map(([name, { healthy }]) => [name, healthy]));
      const reasons = checked.flatMap(([name, { healthy, reason }]) =>
        healthy === true || reason === undefined ? [] : [[name, redactText(reason)]],
      );
      const status = summarize(Object.values(results));
      return reply.code(status === 'not ready' ? 503 : 200).send({
        status,
        checks: results,
        ...(reasons.length > 0 && { reasons: Object.fromEntries(reasons) }),
      });
    });
    server.get('/metrics', async (_request, reply) => {
      const { contentType, body } = await renderMetrics();
      return reply.type(contentType).send(body);
    });
    void server.register(async (scope) => {
      // The mounted API reads the body.
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
      for (const path of ['/ops', '/ops/*']) {
        scope.all(path, async (request, reply) => {
          if (!this.mounted) return reply.code(404).send({ error: 'not-found' });
          reply.hijack();
          this.mounted.routing(request.raw, reply.raw);
          return reply;
        });
      }
    });
    return server;
  }

  private async runChecks(): Promise<[name: string, HealthResult][]> {
    const checked = Object.entries(this.checks).map(
      async ([name, check]): Promise<[string, HealthResult]> => {
        try {
          const result = await check();
          return [name, typeof result === 'object' ? result : { healthy: result }];
        } catch {
          return [name, { healthy: false }];
        }
      },
    );
    return Promise.all(checked);
  }
}

function summarize(results: readonly Readiness[]): 'ready' | 'degraded' | 'not ready' {
  if (!results.every(Boolean)) return 'not ready';
  return results.includes('degraded') ? 'degraded' : 'ready';
}

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
