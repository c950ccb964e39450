import { Injectable } from '@nestjs/common';
import { parseInstall, type EventCredentials, type FormTree, type PortalEvent } from '@relay/events';
import { PortalRegistry } from '@relay/portals';
import { HandlerBinder } from '../bindings/handler-binder.js';
import { Refusal } from '../http/refusal.js';
import { Installer } from '../installs/installer.js';
import { EventVerifier } from './event-verifier.js';
import { TestEvents } from './test-events.js';

/** What the gateway itself does about an event, before it goes to whoever subscribed. */
@Injectable()
export class Lifecycle {
  constructor(
    private readonly verifier: EventVerifier,
    private readonly registry: PortalRegistry,
    private readonly installer: Installer,
    private readonly binder: HandlerBinder,
    private readonly tests: TestEvents,
  ) {}

  /** Resolves when the event is proved and the gateway's own part done. @throws Refusal, DirectoryUnavailableError */
  async accept(event: PortalEvent, credentials: EventCredentials, form: FormTree): Promise<void> {
    if (event.name === 'ONAPPUPDATE') return this.acceptUpdate(event, credentials, form);
    await this.verifier.verify(event, credentials);
    if (event.name === 'ONAPPUNINSTALL') await this.registry.uninstall(event.memberId);
    if (event.name === 'ONAPPTEST') this.tests.heard(event.memberId);
  }

  /**
   * An update can bring a new application token, and Bitrix24 has dropped our handlers
   * (settings/app-installation/): what the old token does not prove is proved as an install is.
   */
  private async acceptUpdate(
    event: PortalEvent,
    credentials: EventCredentials,
    form: FormTree,
  ): Promise<void> {
    try {
      await this.verifier.verify(event, credentials);
    } catch (error) {
      if (!(error instanceof Refusal) || credentials.refreshToken === undefined) throw error;
      return this.installer.install(parseInstall(form));
    }
    await this.binder.bindAnew(event.memberId);
  }
}
