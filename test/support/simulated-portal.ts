import { z } from 'zod';
import { SimulatedCrm, type TypeOrder } from './simulated-crm.js';
import { control } from './simulator-control.js';

const created = z.object({ member_id: z.string(), domain: z.string(), webhooks: z.array(z.string()) });
const outgoing = z.object({ application_token: z.string() });
const installed = z.object({
  status: z.union([z.number(), z.string()]).nullable(),
  application_token: z.string(),
  access_token: z.string(),
  refresh_token: z.string(),
});
const shown = z.object({ handlers: z.array(z.object({ event: z.string(), url: z.string() })) });
const shownOffline = z.object({ handlers: z.array(z.object({ event: z.string() })) });
const counts = z.record(z.string(), z.number());
const statistics = z.object({
  requests: z.number(),
  refusals: z.number(),
  renewals: z.number(),
  calls: counts,
  events: z.object({ sent: z.number(), pending: z.number(), answers: counts, names: counts }),
});
const item = z.looseObject({ id: z.coerce.number() });

export type Installed = z.output<typeof installed>;
export type Statistics = z.output<typeof statistics>;
export type PortalItem = z.output<typeof item>;

export const contactTypeId = 3;
export const dealTypeId = 2;

/** What makes a portal other than the usual one: two requests a second, English, no smart processes. */
export interface PortalSettings {
  types?: TypeOrder[];
  /** Whether it offers ONCRMDYNAMICITEMADD_147 and the like. */
  suffixedEvents?: boolean;
  /** What a reference in a batch is worth that leads nowhere. */
  missingReference?: 'stop' | 'empty';
  language?: string;
  rate?: number;
  burst?: number;
  /** How long its REST takes for each answer. */
  latencyMs?: number;
  /** The permissions that the application was given there; the usual ones include `crm`. */
  scope?: string[];
  /** Events that are sent at once; with 1, each after the answer to the one before. */
  eventConcurrency?: number;
  /** Whether the application's own changes are recorded in its offline queue. */
  offlineOwnWrites?: boolean;
}

/** One portal of the simulator, as its user and its owner see it. None of this costs the portal's rate limit. */
export class SimulatedPortal {
  /** Its smart processes: their fields, and many items at once. */
  readonly crm: SimulatedCrm;

  private constructor(
    private readonly controlUrl: string,
    readonly name: string,
    readonly memberId: string,
    readonly domain: string,
    /** Of its incoming webhook: a secret. */
    readonly webhookUrl: string,
  ) {
    this.crm = new SimulatedCrm(controlUrl);
  }

  static async create(
    simulatorUrl: string,
    name: string,
    settings: PortalSettings = {},
  ): Promise<SimulatedPortal> {
    const answer = created.parse(
      await control('POST', `${simulatorUrl}/_sim/portals`, { name, ...settings }),
    );
    return new SimulatedPortal(
      `${simulatorUrl}/_sim/portals/${name}`,
      name,
      answer.member_id,
      answer.domain,
      answer.webhooks[0] ?? '',
    );
  }

  /** Installs the application; without `url` nobody is told, as for an install that a test wants to claim itself. */
  async install(url?: string, kind: 'event' | 'callback' = 'event'): Promise<Installed> {
    return installed.parse(await control('POST', `${this.controlUrl}/install`, { url, kind }));
  }

  /** @returns the application token that its events bring */
  async addOutgoingWebhook(event: string, url: string): Promise<string> {
    return outgoing.parse(await control('POST', `${this.controlUrl}/outgoing-webhooks`, { event, url }))
      .application_token;
  }

  async uninstall(): Promise<void> {
    await control('POST', `${this.controlUrl}/uninstall`, {});
  }

  async updateApplication(): Promise<void> {
    await control('POST', `${this.controlUrl}/app-update`, {});
  }

  /** From now on it answers under another name, and with a redirect under this one. */
  async rename(to: string): Promise<void> {
    await control('POST', `${this.controlUrl}/rename`, { to });
  }

  /** It rejects every call in this way, such as `denied`, until it is told null. */
  async suspend(reason: string | null): Promise<void> {
    await control('POST', `${this.controlUrl}/suspend`, { reason });
  }

  /** The next call of the method fails in this way, such as `denied`; or the next `times` ones, each after `ms`. */
  async orderFault(
    method: string,
    kind: string,
    more: { times?: number; ms?: number; where?: Record<string, string> } = {},
  ): Promise<void> {
    await control('POST', `${this.controlUrl}/faults`, { match: method, kind, ...more });
  }

  /** Those that were ordered and did not happen yet do not happen any more. */
  async clearFaults(): Promise<void> {
    await control('DELETE', `${this.controlUrl}/faults`);
  }

  async expireTokens(): Promise<void> {
    await control('POST', `${this.controlUrl}/expire-tokens`, {});
  }

  /** The events that are bound to `url`, sorted. */
  async eventsBoundTo(url: string): Promise<string[]> {
    const { handlers } = shown.parse(await control('GET', this.controlUrl));
    return handlers
      .filter((handler) => handler.url === url)
      .map(({ event }) => event)
      .toSorted();
  }

  /** Events that are bound offline, sorted. */
  async eventsBoundOffline(): Promise<string[]> {
    const { handlers } = shownOffline.parse(await control('GET', `${this.controlUrl}/offline`));
    return handlers.map(({ event }) => event).toSorted();
  }

  /** Another program with the application's tokens binds a handler; without `url` an offline one. */
  async bindHandler(event: string, url?: string): Promise<void> {
    await control('POST', `${this.controlUrl}/handlers`, { event, url });
  }

  /** All handlers of the application are gone, as by a backup that was restored. Nobody is told. */
  async dropHandlers(): Promise<void> {
    await control('DELETE', `${this.controlUrl}/handlers`);
  }

  /** Other settings than those it was made with. */
  async set(settings: Omit<PortalSettings, 'types'>): Promise<void> {
    await control('PATCH', this.controlUrl, settings);
  }

  async add(entityTypeId: number, fields: Record<string, unknown>): Promise<PortalItem> {
    return item.parse(await control('POST', `${this.controlUrl}/items/${entityTypeId}`, { fields }));
  }

  async change(entityTypeId: number, id: number, fields: Record<string, unknown>): Promise<PortalItem> {
    return item.parse(await control('POST', `${this.controlUrl}/items/${entityTypeId}`, { id, fields }));
  }

  async remove(entityTypeId: number, id: number): Promise<void> {
    await control('DELETE', `${this.controlUrl}/items/${entityTypeId}/${id}`);
  }

  async item(entityTypeId: number, id: number): Promise<PortalItem> {
    return item.parse(await control('GET', `${this.controlUrl}/items/${entityTypeId}/${id}`));
  }

  async statistics(): Promise<Statistics> {
    return statistics.parse(await control('GET', `${this.controlUrl}/stats`));
  }

  async clearStatistics(): Promise<void> {
    await control('DELETE', `${this.controlUrl}/stats`);
  }
}
