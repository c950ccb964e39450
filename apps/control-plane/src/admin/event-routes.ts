import { ConflictException, NotFoundException } from '@nestjs/common';
import {
  eventPath,
  eventsQuery,
  type eventsResponse,
  type resendResponse,
  type Sent,
} from '@relay/admin-contract';
import type { EventBus } from '@relay/bus';
import type { EventLogPosition, EventLogReader, EventLogWriter, LoggedEvent } from '@relay/event-log';
import { formatEventName, keyOnlyData, parseEventName, type PortalEvent } from '@relay/events';
import type { PortalQuery } from '@relay/portals';
import type { FastifyInstance } from 'fastify';
import { randomUUID } from 'node:crypto';

export interface EventRouteParts {
  bus: Pick<EventBus, 'publish'>;
  eventLog: {
    reader: EventLogReader;
    /** Undefined: the log is off. */
    writer: Pick<EventLogWriter, 'received'> | undefined;
  };
  portals: PortalQuery;
}

/** Operator routes for the event log. */
export function addEventRoutes(api: FastifyInstance, { bus, eventLog, portals }: EventRouteParts): void {
  const { reader, writer } = eventLog;

  api.get('/ops/api/events', async (request): Promise<Sent<typeof eventsResponse>> => {
    const { id, portal, entity, name, outcome, limit, before } = eventsQuery.parse(request.query);
    const filter = { id, memberId: portal, entity, outcome, ...(name !== undefined && parseEventName(name)) };
    // One more says whether there is a next page.
    const found = await reader.list(
      filter,
      limit + 1,
      before === undefined ? undefined : parsePosition(before),
    );
    const events = found.slice(0, limit);
    const last = found.length > limit ? events.at(-1) : undefined;
    const domains = await portals.domainsOf([...new Set(events.map(({ memberId }) => memberId))]);
    return {
      enabled: writer !== undefined,
      events: events.map((logged) => {
        const { name: base, entityTypeId, keyOnly: _, ...event } = logged;
        const data = dataOf(logged);
        return {
          ...event,
          event: formatEventName(base, entityTypeId),
          domain: domains.get(event.memberId) ?? null,
          resendable: typeof data !== 'string',
          notResendable: typeof data === 'string' ? data : null,
        };
      }),
      next: last === undefined ? null : `${last.receivedAt.getTime()}-${last.id}`,
    };
  });

  api.post('/ops/api/events/:id/resend', async (request): Promise<Sent<typeof resendResponse>> => {
    const { id } = eventPath.parse(request.params);
    const logged = await reader.find(id.toLowerCase());
    if (!logged) {
      throw new NotFoundException(
        `The event log has no event ${id}: it is older than the log, or was not logged`,
      );
    }
    const event = rebuild(logged);
    const portal = (await portals.all()).find(({ memberId }) => memberId === event.memberId);
    if (!portal || portal.state === 'uninstalled') {
      throw new ConflictException('Its portal is not installed any more, so it cannot be sent again');
    }
    await bus.publish(event);
    writer?.received(event, 'resend');
    return { id: event.id };
  });
}

function parsePosition(text: string): EventLogPosition {
  const at = text.indexOf('-');
  return { receivedAt: Number(text.slice(0, at)), id: text.slice(at + 1) };
}

/** What it carried, if that was the id of its thing and nothing else; or why it cannot be sent again. */
function dataOf({ name, entityTypeId, entity, keyOnly }: LoggedEvent): PortalEvent['data'] | string {
  const where = 'If it is a dead letter, a replay of that sends it with its data';
  if (entity === null)
    return `${name} names no thing by an id, and the log keeps no data, so it cannot be sent again. ${where}`;
  const data = keyOnly ? keyOnlyData(name, entityTypeId, entity) : undefined;
  return (
    data ??
    `It carried more than the id of its thing, and the log keeps no data, so it cannot be sent again. ${where}`
  );
}

/**
 * The event as if the portal had sent it once more now. @throws ConflictException which says why it cannot be made
 */
function rebuild(logged: LoggedEvent): PortalEvent {
  const { memberId, name, entityTypeId, entity } = logged;
  const data = dataOf(logged);
  if (typeof data === 'string') throw new ConflictException(data);
  const now = Date.now();
  return {
    id: randomUUID(),
    memberId,
    name,
    entityTypeId,
    entityId: entity?.slice(entity.indexOf(':') + 1) ?? null,
    entity,
    data,
    ts: Math.floor(now / 1_000),
    receivedAt: now,
  };
}
