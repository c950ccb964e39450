import { trace } from '@opentelemetry/api';
import { Inject, Injectable } from '@nestjs/common';
import type { EventBus } from '@relay/bus';
import { type FormTree, openEvent, parseEnvelope, type PortalEvent } from '@relay/events';
import { EventBindingRequests, InstallStore } from '@relay/installs';
import { counter } from '@relay/platform';
import { ArrivalRecorder } from './arrival-recorder.js';
import { TEST_SENDER } from '@relay/portals';
import { EventAuthenticator } from './event-authenticator.js';

/** Injection token of the bus. */
export const EVENT_BUS = Symbol('EventBus');
export type EventPublisher = Pick<EventBus, 'publish'>;

const accepted = counter({ name: 'relay_gateway_accepted_total', help: 'Events answered with 200.' });

const CHANGES_INSTALL = new Set(['ONAPPUPDATE', 'ONAPPUNINSTALL']);

/** Decodes a form and stores its event. When `accept` resolves, the event is on the bus and may be answered with 200. */
@Injectable()
export class EventIngress {
  constructor(
    @Inject(EVENT_BUS) private readonly bus: EventPublisher,
    private readonly authenticator: EventAuthenticator,
    private readonly installs: InstallStore,
    private readonly bindings: EventBindingRequests,
    private readonly arrivals: ArrivalRecorder,
  ) {}

  /** @throws EventError, RequestRejectedError 401 or 503, PortalStoreUnavailableError, BusUnavailableError */
  async accept(form: FormTree): Promise<void> {
    const receivedAt = Date.now();
    const envelope = parseEnvelope(form);
    const pending = this.authenticator.authenticate(envelope, form);
    if (pending !== undefined) await pending;
    const event = openEvent(form, envelope, receivedAt);
    if (CHANGES_INSTALL.has(event.name)) await this.changeInstall(event);
    this.arrivals.onEvent(event.memberId, event.name);
    trace.getActiveSpan()?.setAttributes({ 'relay.event': event.name, 'relay.member_id': event.memberId });
    if (!isOwnTest(event)) await this.bus.publish(event);
    accepted.inc();
  }

  /** What the gateway itself does about an event before it is published. */
  private async changeInstall({ name, memberId, data }: PortalEvent): Promise<void> {
    // The handlers stay (settings/app-installation/); older versions removed them, and announced it only here.
    if (name === 'ONAPPUPDATE') await this.bindings.rebind(memberId);
    // `CLEAN` says whether the user wants the data deleted, too (api-reference/common/events/on-app-uninstall.md).
    if (name === 'ONAPPUNINSTALL') await this.installs.uninstall(memberId, { clean: data.CLEAN === '1' });
  }
}

/** Test events that the control plane asked for: they would crowd out what operators look for in the unrouted events. */
function isOwnTest({ name, data }: PortalEvent): boolean {
  const asked = name === 'ONAPPTEST' ? data['QUERY'] : undefined;
  return typeof asked === 'object' && !Array.isArray(asked) && asked['sent_by'] === TEST_SENDER;
}
