import { trace } from '@opentelemetry/api';
import { Inject, Injectable } from '@nestjs/common';
import type { EventBus } from '@relay/bus';
import { decodeForm, parseEvent } from '@relay/events';
import { counter } from '@relay/platform';
import { EVENT_BUS } from '../tokens.js';
import { Lifecycle } from './lifecycle.js';

const accepted = counter({ name: 'relay_gateway_accepted_total', help: 'Events answered with 200.' });

/** Form body in, stored event out. When `accept` resolves, the event is on the bus and may be answered with 200. */
@Injectable()
export class EventIntake {
  constructor(
    @Inject(EVENT_BUS) private readonly bus: EventBus,
    private readonly lifecycle: Lifecycle,
  ) {}

  /** @throws FormError, EventError, Refusal 401, DirectoryUnavailableError, BusUnavailableError */
  async accept(body: Uint8Array): Promise<void> {
    const form = decodeForm(body);
    const { event, credentials } = parseEvent(form, Date.now());
    await this.lifecycle.accept(event, credentials, form);
    trace.getActiveSpan()?.setAttributes({ 'relay.event': event.name, 'relay.member_id': event.memberId });
    await this.bus.publish(event);
    accepted.inc();
  }
}
