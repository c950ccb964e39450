import { Controller } from '@nestjs/common';
import { OnPortalEvents, type PortalBatch } from '@relay/consumer';
import { PortalJobs } from '@relay/jobs';
import { CONSUMER } from './smart-process-types/settings.js';

/**
 * Requests a refresh when the list of smart processes changes, or the fields of one. Which one it is does not
 * matter: they are read together (`api-reference/crm/universal/events/type/index.md`,
 * `api-reference/crm/universal/userfieldconfig/events/index.md`).
 */
@Controller()
export class TypesController {
  constructor(private readonly jobs: PortalJobs) {}

  @OnPortalEvents([
    'ONCRMTYPEADD',
    'ONCRMTYPEUPDATE',
    'ONCRMTYPEDELETE',
    'ONCRMTYPEUSERFIELDADD',
    'ONCRMTYPEUSERFIELDUPDATE',
    'ONCRMTYPEUSERFIELDDELETE',
    'ONCRMTYPEUSERFIELDSETENUMVALUES',
  ])
  async requestCompletion({ memberId }: PortalBatch): Promise<void> {
    await this.jobs.request(CONSUMER, memberId, 'complete');
  }
}
