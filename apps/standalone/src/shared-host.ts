import { type AppHost, createLogger, OpsServer, type ReadinessCheck } from '@relay/platform';
import type { DestinationStream } from 'pino';

/** One process for all apps: one ops server that is ready when all of them are, and one log. */
export class SharedHost {
  private hasAll = false;
  private readonly checks: Record<string, ReadinessCheck> = { 'everything started': () => this.hasAll };
  private readonly ops = new OpsServer(this.checks);

  constructor(
    private readonly level: string,
    private readonly destination: DestinationStream,
  ) {}

  async listen(port: number): Promise<void> {
    await this.ops.start(port);
  }

  for(app: string): AppHost {
    return {
      log: createLogger(app, this.level, this.destination),
      openOps: async (checks) => {
        for (const [name, check] of Object.entries(checks)) this.checks[`${app} ${name}`] = check;
      },
      mountOps: (api) => this.ops.mount(api),
      closeOps: async () => undefined,
    };
  }

  allStarted(): void {
    this.hasAll = true;
  }

  async close(): Promise<void> {
    await this.ops.stop();
  }
}
