import { trace } from '@opentelemetry/api';
import { Inject, Injectable } from '@nestjs/common';
import type { EventBus } from '@relay/bus';
import { type FormTree, openEvent, parseEnvelope } from '@relay/events';
import { counter } from '@relay/platform';
import { EVENT_BUS } from '../tokens.js';
import { EventProof } from './event-proof.js';
import { Lifecycle } from './lifecycle.js';

const accepted = counter({ name: 'relay_gateway_accepted_total', help: 'Events answered with 200.' });

/** Form in, stored event out. When `accept` resolves, the event is on the bus and may be answered with 200. */
@Injectable()
export class EventIntake {
  constructor(
    @Inject(EVENT_BUS) private readonly bus: EventBus,
    private readonly proof: EventProof,
    private readonly lifecycle: Lifecycle,
  ) {}

  /** @throws EventError, Refusal 401, PortalStoreUnavailableError, BusUnavailableError */
  async accept(form: FormTree): Promise<void> {
    const receivedAt = Date.now();
    const envelope = parseEnvelope(form);
    await this.proof.require(envelope, form);
    const event = openEvent(form, envelope, receivedAt);
    await this.lifecycle.heed(event);
    trace.getActiveSpan()?.setAttributes({ 'relay.event': event.name, 'relay.member_id': event.memberId });
    await this.bus.publish(event);
    accepted.inc();
  }
}
