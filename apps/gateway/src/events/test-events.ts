import { Injectable } from '@nestjs/common';
import { PortalClients } from '@relay/portals';

const TIMEOUT_MS = 15_000;
/** The operator has to change something meanwhile. */
const PATIENCE_BY_HAND_MS = 60_000;

interface Waiting {
  /** Undefined: any event. */
  name: string | undefined;
  arrived: () => void;
}

/**
 * Tests the delivery of events: with `event.test` the portal sends ONAPPTEST to our handler, like any other event
 * (api-reference/events/test-handler.md). Without an application, any event counts. Only this process sees the event;
 * behind a load balancer another gateway may get it.
 */
@Injectable()
export class TestEvents {
  private readonly waiting = new Map<string, Waiting>();

  constructor(private readonly clients: PortalClients) {}

  onTestEvent(memberId: string, name: string): void {
    const waiting = this.waiting.get(memberId);
    if (waiting && (waiting.name === undefined || waiting.name === name)) waiting.arrived();
  }

  /** @returns milliseconds until the event came; undefined after the timeout. @throws Bitrix24Error */
  async probe(memberId: string): Promise<number | undefined> {
    return this.waitFor(memberId, 'ONAPPTEST', TIMEOUT_MS, async () => {
      await this.clients.for(memberId).call('event.test', { sent_by: 'b24-relay' });
    });
  }

  /** Like `probe`, for any event. */
  async waitForAny(memberId: string): Promise<number | undefined> {
    return this.waitFor(memberId, undefined, PATIENCE_BY_HAND_MS, () => Promise.resolve());
  }

  private async waitFor(
    memberId: string,
    name: string | undefined,
    forMs: number,
    begin: () => Promise<void>,
  ): Promise<number | undefined> {
    const startedAt = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const arrived = new Promise<boolean>((resolve) => {
      this.waiting.set(memberId, { name, arrived: () => resolve(true) });
      timer = setTimeout(() => resolve(false), forMs);
    });
    try {
      await begin();
      return (await arrived) ? Math.round(performance.now() - startedAt) : undefined;
    } finally {
      clearTimeout(timer);
      this.waiting.delete(memberId);
    }
  }
}
