import { Injectable } from '@nestjs/common';
import { PortalClients } from '@relay/portals';

const patienceMs = 15_000;

/**
 * Whether events find their way: `event.test` has the portal send ONAPPTEST to our handler, as it would any other event
 * (api-reference/events/test-handler.md). Heard by this process alone; behind a load balancer another may get it.
 */
@Injectable()
export class TestEvents {
  private readonly waiting = new Map<string, () => void>();

  constructor(private readonly clients: PortalClients) {}

  heard(memberId: string): void {
    this.waiting.get(memberId)?.();
  }

  /** @returns milliseconds until it came; undefined when it did not. @throws Bitrix24Error */
  async tryOut(memberId: string): Promise<number | undefined> {
    const startedAt = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const arrived = new Promise<boolean>((resolve) => {
      this.waiting.set(memberId, () => resolve(true));
      timer = setTimeout(() => resolve(false), patienceMs);
    });
    try {
      await this.clients.for(memberId).call('event.test', { sent_by: 'b24-relay' });
      return (await arrived) ? Math.round(performance.now() - startedAt) : undefined;
    } finally {
      clearTimeout(timer);
      this.waiting.delete(memberId);
    }
  }
}
