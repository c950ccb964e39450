import { Controller, Inject } from '@nestjs/common';
import { type ItemOutcome, readItems } from '@relay/bitrix24';
import { type FailedEntry, OnPortalEvents, type PortalBatch, type PortalEntry } from '@relay/consumer';
import { PortalClients, PortalSettings } from '@relay/portals';
import pLimit from 'p-limit';
import { EVENTS, NAME, settingsSchema, type Variables, VARIABLES } from './settings.js';
import { type Message, sendWebhook, WebhookError } from './webhook.js';

/** `api-reference/crm/data-types.md#object_type` */
const DEAL = 2;
/** A batch takes 50 s at most with the time-out of each message, which is less than a shutdown waits. */
const [MAX_ENTRIES, CONCURRENCY] = [50, 10];

/** Forwards events of deals, with the deal as it is now, to the address that the settings of the portal name. */
@Controller()
export class DealToWebhookController {
  constructor(
    private readonly portals: PortalClients,
    private readonly settings: PortalSettings,
    @Inject(VARIABLES) private readonly variables: Variables,
  ) {}

  /** A message that the receiver does not take fails alone, and comes back. */
  @OnPortalEvents([...EVENTS], { maxEntries: MAX_ENTRIES })
  async forward({ memberId, entries }: PortalBatch): Promise<FailedEntry[]> {
    const { url, secret, events } = (await this.settings.of(memberId, NAME, settingsSchema)).own;
    const wanted = new Set<string>(events);
    const chosen = entries
      .map((entry) => ({ ...entry, names: entry.names.filter((name) => wanted.has(name)) }))
      .filter(({ names }) => names.length > 0);
    if (url === undefined || chosen.length === 0) return [];
    const key = this.variables.secrets.get(secret);
    if (!key) throw new WebhookError('UNKNOWN_SECRET', 'retry');

    const receiver = { url, key, allowHosts: this.variables.allowHosts };
    const ids = chosen.flatMap(({ entityId }) => entityId ?? []);
    const read = await readItems(this.portals.for(memberId), [{ entityTypeId: DEAL, ids }]);
    const deals = new Map(read.flatMap(([, items]) => [...items]));
    const limit = pLimit(CONCURRENCY);
    const send = async (entry: PortalEntry): Promise<void> =>
      sendWebhook(messageOf(memberId, entry, deals.get(entry.entityId ?? '')), receiver);
    const sent = await Promise.allSettled(chosen.map((entry) => limit(send, entry)));
    return sent.flatMap((outcome, at) =>
      outcome.status === 'rejected' ? [{ entity: chosen[at]?.entity ?? '', error: outcome.reason }] : [],
    );
  }
}

/** Several events of a deal are one message. `item` is null for one that is gone, or not shown. @throws the error of the read */
function messageOf(memberId: string, entry: PortalEntry, deal: ItemOutcome | undefined): Message {
  if (deal?.state === 'failed') throw deal.error;
  const { names, entityId, firstSeenAt } = entry;
  return {
    type: names.at(-1) ?? '',
    timestamp: new Date(firstSeenAt).toISOString(),
    data: { memberId, events: names, id: entityId, item: deal?.state === 'found' ? deal.item : null },
  };
}
