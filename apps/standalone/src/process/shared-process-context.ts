import { type ProcessContext, createLogger, OpsServer, type ReadinessCheck } from '@relay/platform';
import type { DestinationStream } from 'pino';

/** One process for all apps: one ops server that is ready when all of them are, and one log. */
export class SharedProcessContext {
  private hasStarted = false;
  private readonly checks: Record<string, ReadinessCheck> = { 'everything started': () => this.hasStarted };
  private readonly ops = new OpsServer(this.checks);

  constructor(
    private readonly level: string,
    private readonly destination: DestinationStream,
  ) {}

  async listen(port: number): Promise<void> {
    await this.ops.start(port);
  }

  for(app: string): ProcessContext {
    return {
      log: createLogger(app, this.level, this.destination),
      startOpsServer: async (checks) => {
        for (const [name, check] of Object.entries(checks)) this.checks[`${app} ${name}`] = check;
      },
      mountOpsApi: (api) => this.ops.mount(api),
      stopOpsServer: async () => undefined,
    };
  }

  /** The app runs elsewhere: whether it can take work is not known here. */
  forget(app: string): void {
    for (const name of Object.keys(this.checks)) if (name.startsWith(`${app} `)) delete this.checks[name];
  }

  markStarted(): void {
    this.hasStarted = true;
  }

  async close(): Promise<void> {
    await this.ops.stop();
  }
}
