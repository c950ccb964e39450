import { journalStatus, repair, type ReportedJournal } from '@relay/admin-contract';
import { listServiceProcesses, type ReportDatabase } from '@relay/platform';
import { z } from 'zod';

const MAX_REPAIRS = 200;

const gatewayState = z.object({ journal: journalStatus, repairs: z.array(repair) });

/** What every gateway reports of itself: its journal, and what it found missing on the bus and declared again. */
export class GatewayReports {
  constructor(private readonly database: ReportDatabase) {}

  async journals(): Promise<ReportedJournal[]> {
    return (await this.read()).map(({ host, pid, reportedAt, state }) => ({
      ...state.journal,
      host,
      pid,
      reportedAt: reportedAt.toISOString(),
    }));
  }

  /** Newest first. */
  async repairs(): Promise<z.output<typeof repair>[]> {
    const reported = (await this.read()).flatMap(({ state }) => state.repairs);
    return reported.toSorted((one, two) => Date.parse(two.at) - Date.parse(one.at)).slice(0, MAX_REPAIRS);
  }

  /** A report of another version that this one cannot read is left out. */
  private async read() {
    const processes = await listServiceProcesses(this.database, 'gateway');
    return processes.flatMap(({ host, pid, reportedAt, state }) => {
      const parsed = gatewayState.safeParse(state);
      return parsed.success ? [{ host, pid, reportedAt, state: parsed.data }] : [];
    });
  }
}
