import { z } from 'zod';
import { eventually } from '../../../test/support/eventually.js';
import { SimulatedPortal } from '../../../test/support/simulated-portal.js';
import { control } from '../../../test/support/simulator-control.js';

/** By name, or a smart process by its entityTypeId (api-reference/crm/data-types.md#object_type). */
const OBJECT_TYPES = { lead: 1, deal: 2, contact: 3, company: 4, quote: 7, invoice: 31 } as const;
export type ObjectType = keyof typeof OBJECT_TYPES | number;

/** Values by the names of `crm.item.*`. With `id` the item has that one. */
export type Fields = Record<string, unknown>;

const item = z.looseObject({ id: z.number() });
export type TestItem = z.output<typeof item>;

const installed = z.object({
  member_id: z.string(),
  domain: z.string(),
  client_endpoint: z.string(),
  access_token: z.string(),
  refresh_token: z.string(),
  application_token: z.string(),
});
/** What the application was granted when it was installed. */
export type Installation = z.output<typeof installed>;

const writes = z.array(
  z.object({ method: z.string(), entityTypeId: z.number().nullable(), itemId: z.number().nullable() }),
);
export type Write = z.output<typeof writes>[number];

const notifications = z.array(
  z.object({ userId: z.number(), type: z.string(), message: z.string(), tag: z.string() }),
);
export type Notification = z.output<typeof notifications>[number];

export interface PortalContents {
  leads?: readonly Fields[];
  deals?: readonly Fields[];
  contacts?: readonly Fields[];
  companies?: readonly Fields[];
  quotes?: readonly Fields[];
  invoices?: readonly Fields[];
  /** Smart processes by entityTypeId, with their items. */
  items?: Readonly<Record<number, readonly Fields[]>>;
  /** `en`, `tr`, … */
  language?: string;
  /** Of the application; by default all that the simulator knows. */
  scope?: string[];
}

interface FaultOptions {
  /** Only calls for this item. */
  id?: number | string;
  /** Only calls with these parameters. */
  where?: Fields;
  /** By default once. */
  times?: number;
}

const rejection = z.object({ error: z.string().optional() });

let lastNumber = 0;

/**
 * A portal of the simulator, with the application installed. It holds what Bitrix24 holds, answers as Bitrix24 documents it,
 * and sends its events; a spec sees and changes it as a user of the portal does, without a call of REST.
 */
export class TestPortal {
  private constructor(
    private readonly url: string,
    private readonly simulated: SimulatedPortal,
    readonly installation: Installation,
    readonly language: string,
    readonly scope: readonly string[],
  ) {}

  static async create(
    simulatorUrl: string,
    { language = 'en', scope = ['crm', 'user', 'im', 'task'], ...contents }: PortalContents = {},
  ): Promise<TestPortal> {
    lastNumber += 1;
    const name = `portal-${lastNumber}`;
    const types = Object.keys(contents.items ?? {}).map((id) => ({
      entityTypeId: Number(id),
      title: `Items ${id}`,
    }));
    // What a portal takes before it answers 503 is not what specs of a consumer are about.
    const limits = { rate: 1_000, burst: 100_000 };
    const simulated = await SimulatedPortal.create(simulatorUrl, name, { language, scope, types, ...limits });
    const url = `${simulatorUrl}/_sim/portals/${name}`;
    const installation = installed.parse(await control('POST', `${url}/install`, {}));
    const portal = new TestPortal(url, simulated, installation, language, scope);
    for (const [type, items] of itemsIn(contents))
      for (const [id, fields] of withIds(type, items)) await portal.put(type, id, fields);
    return portal;
  }

  get memberId(): string {
    return this.installation.member_id;
  }

  /** Adds an item as a user does: the portal sends its event. */
  async add(type: ObjectType, fields: Fields): Promise<TestItem> {
    return item.parse(await this.simulated.add(entityTypeIdOf(type), fields));
  }

  /** Changes an item as a user does: the portal sends its event. */
  async change(type: ObjectType, id: number | string, fields: Fields): Promise<TestItem> {
    return item.parse(await this.simulated.change(entityTypeIdOf(type), requireId(id), fields));
  }

  /** Deletes an item as a user does: the portal sends its event. */
  async remove(type: ObjectType, id: number | string): Promise<void> {
    await this.simulated.remove(entityTypeIdOf(type), requireId(id));
  }

  /** Values of an item, which is added if there is none; nobody hears of it. */
  async put(type: ObjectType, id: number | string, fields: Fields): Promise<void> {
    await control('PUT', `${this.url}/items/${entityTypeIdOf(type)}/${requireId(id)}`, { fields });
  }

  /** Adds as many items alike; nobody hears of it. */
  async fill(type: ObjectType, count: number, fields: Fields): Promise<void> {
    const body = { count, fields, silent: true };
    await control('POST', `${this.url}/items/${entityTypeIdOf(type)}`, body);
  }

  /** As it is now; undefined if there is none. */
  async item(type: ObjectType, id: number | string): Promise<TestItem | undefined> {
    const wanted = toId(id);
    if (wanted === undefined) return undefined;
    const list = z.object({ items: z.array(item) });
    const after = `${this.url}/items/${entityTypeIdOf(type)}?limit=1&after=${wanted - 1}`;
    const [found] = list.parse(await control('GET', after)).items;
    return found?.id === wanted ? found : undefined;
  }

  /** Waits for an item to be so. @throws the last state of it after half a minute */
  async until(type: ObjectType, id: number | string, isSo: (item: TestItem) => boolean): Promise<TestItem> {
    return eventually(async () => {
      const found = await this.item(type, id);
      if (!found || !isSo(found)) throw new Error(`It is ${JSON.stringify(found)}`);
      return found;
    });
  }

  /** The next call of the method, alone or in a batch, is rejected with this code, such as `ACCESS_DENIED`. */
  async failNext(method: string, code: string, options: FaultOptions = {}): Promise<void> {
    await this.order(method, { kind: 'error', code }, options);
  }

  /**
   * The whole request with the next call of the method fails. With `lost` (the connection breaks) and `slow` (the answer comes
   * after a second) the method has run; with `html`, `empty`, `cut`, `garbled`, `odd`, `hang`, `drop` and `redirect` it has not.
   */
  async breakNext(method: string, kind: string, options: FaultOptions = {}): Promise<void> {
    await this.order(method, { kind }, options);
  }

  /** Nothing fails any more. */
  async recover(): Promise<void> {
    await this.simulated.clearFaults();
  }

  /** Calls of `crm.*` that changed something, in their order. */
  async writes(): Promise<Write[]> {
    return writes.parse(await control('GET', `${this.url}/writes`));
  }

  /** The ids of updated items of a type, in the order of the updates. */
  async updates(type: ObjectType): Promise<number[]> {
    const entityTypeId = entityTypeIdOf(type);
    return (await this.writes())
      .filter((write) => write.method === 'crm.item.update' && write.entityTypeId === entityTypeId)
      .flatMap(({ itemId }) => itemId ?? []);
  }

  /** How many requests were made, a batch counted as one, and how often each method was called. */
  async calls(): Promise<{ requests: number; calls: Record<string, number> }> {
    const { requests, calls } = await this.simulated.statistics();
    return { requests, calls };
  }

  /** What `im.notify` was called with. */
  async notifications(): Promise<Notification[]> {
    return notifications.parse(await control('GET', `${this.url}/notifications`));
  }

  /** The fields that `tasks.task.add` was called with, and the `id` of each task: all text, lists as arrays, in a batch or not. */
  async tasks(): Promise<Fields[]> {
    const tasks = z.array(z.record(z.string(), z.json())).parse(await control('GET', `${this.url}/tasks`));
    return tasks.map((fields) =>
      Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, textsOf(value)])),
    );
  }

  /** Sends the events of these names to this address from now on; what the simulator does not offer, it does not send. */
  async bind(names: readonly string[], handler: string): Promise<void> {
    const { client_endpoint: endpoint, access_token: auth } = this.installation;
    for (const event of names) {
      const answer = await fetch(`${endpoint}event.bind`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ event, handler, auth }),
      });
      const { error } = rejection.parse(await answer.json());
      if (error !== undefined && error !== 'ERROR_EVENT_NOT_FOUND')
        throw new Error(`${event} is not bound: ${error}`);
    }
    await this.simulated.clearStatistics();
  }

  /** Events that it has not sent yet. */
  async pendingEvents(): Promise<number> {
    return (await this.simulated.statistics()).events.pending;
  }

  private async order(
    match: string,
    fault: Fields,
    { id, where = {}, times = 1 }: FaultOptions,
  ): Promise<void> {
    const params = { ...where, ...(id !== undefined && { id }) };
    await control('POST', `${this.url}/faults`, { match, ...fault, times, where: params });
  }
}

/** As a batch carries it, which knows text only, and no list but one with its numbers. */
function textsOf(value: z.output<ReturnType<typeof z.json>>): unknown {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value !== 'object') return String(value);
  const entries = Object.entries(value).map(([key, inner]) => [key, textsOf(inner)] as const);
  const isList = entries.every(([key], index) => key === String(index));
  return isList ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

/** Undefined for what no item of Bitrix24 has as its id. */
function toId(id: number | string): number | undefined {
  return /^[1-9]\d{0,14}$/.test(String(id)) ? Number(id) : undefined;
}

/** @throws TypeError */
function requireId(id: number | string): number {
  const wanted = toId(id);
  if (wanted === undefined) throw new TypeError(`${JSON.stringify(id)} is no id of an item`);
  return wanted;
}

/**
 * Those without an id have the next free one, from 1 on.
 * @throws TypeError for an id that is none, or that two of them have
 */
function withIds(type: ObjectType, items: readonly Fields[]): [id: number, fields: Fields][] {
  const taken = new Set<number>();
  for (const { id } of items) {
    if (id === undefined) continue;
    const given = requireId(z.union([z.number(), z.string()]).parse(id));
    if (taken.has(given)) throw new TypeError(`two items of the type ${type} have the id ${given}`);
    taken.add(given);
  }
  let last = 0;
  return items.map(({ id, ...fields }) => {
    if (id !== undefined) last = Number(id);
    else {
      do last += 1;
      while (taken.has(last));
      taken.add(last);
    }
    return [last, fields];
  });
}

function entityTypeIdOf(type: ObjectType): number {
  return typeof type === 'number' ? type : OBJECT_TYPES[type];
}

function itemsIn(contents: PortalContents): [ObjectType, readonly Fields[]][] {
  const { leads, deals, contacts, companies, quotes, invoices, items = {} } = contents;
  const standard: [ObjectType, readonly Fields[] | undefined][] = [
    ['lead', leads],
    ['deal', deals],
    ['contact', contacts],
    ['company', companies],
    ['quote', quotes],
    ['invoice', invoices],
  ];
  return [
    ...standard.map(([type, given]): [ObjectType, readonly Fields[]] => [type, given ?? []]),
    ...Object.entries(items).map(([id, given]): [ObjectType, readonly Fields[]] => [Number(id), given]),
  ];
}
