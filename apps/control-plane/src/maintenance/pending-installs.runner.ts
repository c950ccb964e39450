import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { OAuthError } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import { Installer, InstallIncompleteError, InstallRejectedError } from '@relay/installs';
import { LOG, type Log, PeriodicJob } from '@relay/platform';
import { TokenRequestBudget, PendingInstalls, type ClaimOutcome } from '@relay/portals';
import { setTimeout as pause } from 'node:timers/promises';

const EVERY_MS = 2_000;
/** Many claims can be pending when the budget is empty: each worker takes one after the other. */
const WORKERS = 4;
/** Wait for the next token of the budget. */
const PAUSE_MS = 70;

/** Retries the installs that could not be checked when they came. */
@Injectable()
export class PendingInstallsRunner implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly periodic: PeriodicJob;
  private isStopped = false;

  constructor(
    private readonly pending: PendingInstalls,
    private readonly budget: TokenRequestBudget,
    private readonly installer: Installer,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.periodic = new PeriodicJob('pending installs', EVERY_MS, log, async () => {
      await this.budget.prune();
      const takeAll = (): Promise<number> =>
        this.pending.takeDue(
          Infinity,
          (claim) => this.tryAgain(claim),
          () => this.room(),
        );
      await Promise.all(Array.from({ length: WORKERS }, takeAll));
    });
  }

  onApplicationBootstrap(): void {
    this.periodic.start();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    await this.periodic.stop();
  }

  /** Waits for the budget. @returns false during shutdown */
  private async room(): Promise<boolean> {
    while (!this.isStopped) {
      if (await this.budget.admitWaiting()) return true;
      await pause(PAUSE_MS);
    }
    return false;
  }

  private async tryAgain(claim: InstallClaim): Promise<ClaimOutcome> {
    try {
      await this.installer.confirm(claim);
      return 'done';
    } catch (error) {
      if (error instanceof OAuthError) return 'later';
      if (error instanceof InstallRejectedError && error.status === 401) return 'done';
      this.log.warn(
        { event: 'install.pending.unfinished', memberId: claim.memberId, err: error },
        'a pending install could not be finished',
      );
      return error instanceof InstallIncompleteError ? { replacedBy: error.claim } : 'later';
    }
  }
}
