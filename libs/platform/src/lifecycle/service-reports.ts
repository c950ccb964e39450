import { randomUUID } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { z } from 'zod';
import type { Log } from '../telemetry/logger.js';
import { PeriodicJob } from './periodic-job.js';

const REPORT_EVERY_MS = 5_000;
/** By the database's clock: a process without a report for this long is not listed. */
const STALE_AFTER_SECONDS = 30;

/** Database access for reports; TypeORM's DataSource implements it. */
export interface ReportDatabase {
  query(sql: string, parameters: unknown[]): Promise<unknown>;
}

const serviceProcess = z.object({
  replica: z.string(),
  /** For display; in a container, the container id. */
  host: z.string(),
  pid: z.number(),
  /** Address of its ops port for other machines of the installation. */
  address: z.string(),
  /** The service's own state, as JSON. */
  state: z.unknown(),
  startedAt: z.date(),
  reportedAt: z.date(),
});
/** One process of a service, from its own report. */
export type ServiceProcess = z.output<typeof serviceProcess>;

interface ServiceReporterOptions {
  service: string;
  opsPort: number;
  database: ReportDatabase;
  /** Must be JSON without secrets. */
  state: () => object | Promise<object>;
  log: Log;
}

/** Reports this process to the database every few seconds. Its failures affect nothing else. */
export class ServiceReporter {
  private readonly replica = randomUUID();
  private readonly periodic: PeriodicJob;

  constructor(private readonly options: ServiceReporterOptions) {
    this.periodic = new PeriodicJob(`report of the ${options.service}`, REPORT_EVERY_MS, options.log, () =>
      this.report(),
    );
  }

  start(): void {
    this.periodic.start();
  }

  /** Removes the process from the list; never rejects. */
  async stop(): Promise<void> {
    await this.periodic.stop();
    const { service, database } = this.options;
    await database
      .query('DELETE FROM platform.service_processes WHERE service = $1 AND replica = $2', [
        service,
        this.replica,
      ])
      .catch(() => undefined);
  }

  private async report(): Promise<void> {
    const { service, opsPort, database, state } = this.options;
    await database.query(
      `WITH forgotten AS (
         DELETE FROM platform.service_processes WHERE service = $1 AND reported_at < now() - interval '1 hour'
       )
       INSERT INTO platform.service_processes AS p (service, replica, host, pid, address, state, started_at, reported_at)
       VALUES ($1, $2, $3, $4, $5, $6::jsonb, now(), now())
       ON CONFLICT (service, replica) DO UPDATE
         SET state = excluded.state, address = excluded.address, reported_at = excluded.reported_at`,
      [
        service,
        this.replica,
        hostname(),
        process.pid,
        `http://${ownAddress()}:${opsPort}`,
        JSON.stringify(await state()),
      ],
    );
  }
}

/** The processes of a service with a recent report, oldest first. @throws the error of the database */
export async function listServiceProcesses(
  database: ReportDatabase,
  service: string,
): Promise<ServiceProcess[]> {
  const rows = await database.query(
    `SELECT replica, host, pid, address, state, started_at AS "startedAt", reported_at AS "reportedAt"
     FROM platform.service_processes
     WHERE service = $1 AND reported_at > now() - make_interval(secs => $2) ORDER BY started_at, replica`,
    [service, STALE_AFTER_SECONDS],
  );
  return z.array(serviceProcess).parse(rows);
}

function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.1';
}
