import { Controller } from '@nestjs/common';
import { OnPortalEvents, type PortalBatch } from '@relay/consumer';
import { OFFLINE_SIGNAL } from '@relay/portals';
import { SIGNALLED_MS } from './schedule.js';
import { PollStateStore } from './poll-state-store.js';

/**
 * ONOFFLINEEVENT says that a queue has records. Those between two signals are dropped by the portal
 * (api-reference/events/on-offline-event.md), so a poll is only brought forward by it, and the timer does the rest.
 */
@Controller()
export class SignalController {
  constructor(private readonly store: PollStateStore) {}

  @OnPortalEvents(OFFLINE_SIGNAL, { merge: false })
  async recordSignal({ memberId }: PortalBatch): Promise<void> {
    await this.store.recordSignal(memberId, SIGNALLED_MS);
  }

  @OnPortalEvents('ONAPPUNINSTALL', { merge: false })
  async forget({ memberId }: PortalBatch): Promise<void> {
    await this.store.forget(memberId);
  }
}
