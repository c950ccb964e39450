import { Injectable } from '@nestjs/common';
import { type EventEnvelope, type FormTree, parseInstall } from '@relay/events';
import { RequestRejectedError } from '../http/request-rejected-error.js';
import { sourceOfPortal } from '../installs/claim-source.js';
import { Installer } from '../installs/installer.js';
import { Reauthorization } from '../installs/reauthorization.js';
import { EventVerifier } from './event-verifier.js';

/** Events that can bring an application token which is not known yet. */
const BRING_TOKENS = ['ONAPPINSTALL', 'ONAPPUPDATE'];

/** How an event is proved: by its application token, or, where it brings a new one, as an install is. */
@Injectable()
export class EventProof {
  constructor(
    private readonly verifier: EventVerifier,
    private readonly installer: Installer,
    private readonly reauthorization: Reauthorization,
  ) {}

  /** @throws Refusal, PortalStoreUnavailableError */
  async require(envelope: EventEnvelope, form: FormTree): Promise<void> {
    const { memberId, name, credentials } = envelope;
    const { refreshToken, oauthHost } = credentials;
    try {
      const portal = await this.verifier.verify(envelope);
      if (portal?.state === 'needs-reauth' && refreshToken !== undefined) {
        this.reauthorization.enqueue({ memberId, refreshToken, oauthHost });
      }
    } catch (error) {
      const canInstall = BRING_TOKENS.includes(name) && refreshToken !== undefined;
      if (!(error instanceof RequestRejectedError) || !canInstall) throw error;
      await this.installer.install(parseInstall(form), sourceOfPortal(memberId));
    }
  }
}
