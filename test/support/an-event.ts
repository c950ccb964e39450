import { randomUUID } from 'node:crypto';
import type { PortalEvent } from '@relay/events';

/** An event as `openEvent` returns it, with defaults for what a test does not set. */
export function anEvent(overrides: Partial<PortalEvent> = {}): PortalEvent {
  const { name = 'ONCRMCONTACTUPDATE', entityId = '82', entityTypeId = 0 } = overrides;
  return {
    id: randomUUID(),
    memberId: 'a223c6b3710f85df22e9377d6c4f7553',
    name,
    entityTypeId,
    entityId,
    entity: entityId === null ? null : `CRMCONTACT:${entityId}`,
    data: entityId === null ? {} : { FIELDS: { ID: entityId } },
    ts: 1_724_697_689,
    receivedAt: 1_724_697_689_500,
    ...overrides,
  };
}
