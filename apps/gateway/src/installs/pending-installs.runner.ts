import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { OAuthError } from '@relay/bitrix24';
import type { InstallClaim } from '@relay/events';
import type { Log } from '@relay/platform';
import { PendingInstalls, type ClaimOutcome } from '@relay/portals';
import { Refusal } from '../http/refusal.js';
import { Loop } from '../loop.js';
import { LOG } from '../tokens.js';
import { Installer } from './installer.js';
import { UnsettledInstall } from './unsettled-install.js';

const everyMs = 5_000;
const claimsAtOnce = 10;

/** Tries again the installs that came while the OAuth server could not be reached. */
@Injectable()
export class PendingInstallsRunner implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly loop: Loop;

  constructor(
    private readonly pending: PendingInstalls,
    private readonly installer: Installer,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.loop = new Loop('pending installs', everyMs, log, async () => {
      await this.pending.takeDue(claimsAtOnce, (claim) => this.tryAgain(claim));
    });
  }

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.loop.stop();
  }

  private async tryAgain(claim: InstallClaim): Promise<ClaimOutcome> {
    try {
      await this.installer.confirm(claim);
      return 'done';
    } catch (error) {
      if (error instanceof OAuthError) return 'later';
      if (error instanceof Refusal && error.status === 401) return 'done';
      this.log.warn({ memberId: claim.memberId, err: error }, 'a kept install could not be finished');
      return error instanceof UnsettledInstall ? { replacedBy: error.claim } : 'later';
    }
  }
}
