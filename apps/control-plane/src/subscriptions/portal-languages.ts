import { Inject, Injectable } from '@nestjs/common';
import type { Log } from '@relay/platform';
import { PortalClients, PortalRepository } from '@relay/portals';
import { z } from 'zod';
import { LOG } from '../tokens.js';

/** api-reference/common/system/app-info.md */
const applicationInfo = z.object({ LANGUAGE_ID: z.string().regex(/^[A-Za-z_-]{2,16}$/) });

/** The portal's language, if the install does not contain it: names are written by its rules. */
@Injectable()
export class PortalLanguages {
  constructor(
    private readonly clients: PortalClients,
    private readonly portalRepository: PortalRepository,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Asks the portal and stores the language; without a response the stored one stays. */
  async learn(memberId: string): Promise<void> {
    try {
      const { result } = await this.clients.for(memberId).call('app.info');
      const info = applicationInfo.safeParse(result);
      if (info.success) await this.portalRepository.setLanguage(memberId, info.data.LANGUAGE_ID);
    } catch (error) {
      this.log.warn(
        { event: 'portal.language.unknown', memberId, err: error },
        "the portal's language could not be asked",
      );
    }
  }
}
