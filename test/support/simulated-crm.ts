import { z } from 'zod';
import { control, controlLines } from './simulator-control.js';

const userField = z.looseObject({
  /** What `changeUserField` and userfieldconfig.get ask for. */
  id: z.string(),
  /** `UF_CRM_5_1720000000001` */
  fieldName: z.string(),
  userTypeId: z.string(),
  enum: z.array(z.looseObject({ id: z.coerce.number(), value: z.string() })).optional(),
});
const userFields = z.array(userField);
const made = z.object({ added: z.number(), lastId: z.number() });
const changed = z.object({
  added: z.number(),
  updated: z.number(),
  deleted: z.number(),
  /** Changes without events. */
  dropped: z.number(),
});
const item = z.looseObject({ id: z.coerce.number() });

export type UserField = z.output<typeof userField>;
export type Changed = z.output<typeof changed>;
export type PortalItem = z.output<typeof item>;

/** A user field to be added; without `fieldName` the portal names it. */
export interface UserFieldOrder {
  /** `string`, `money`, `iblock_element`, … */
  type: string;
  fieldName?: string;
  label?: string;
  isMultiple?: boolean;
  isMandatory?: boolean;
  /** Of an enumeration. */
  items?: { value: string }[];
}

export interface TypeOrder {
  entityTypeId: number;
  title: string;
  code?: string;
  /** `every`: a field of each kind, for one value and for many. */
  fields?: 'every' | UserFieldOrder[];
}

export interface RandomChanges {
  count: number;
  seed?: number;
  /** Chances from 0 to 1: that a change adds an item, deletes one, or is one of which nobody hears. */
  adds?: number;
  deletes?: number;
  dropEvents?: number;
}

/** The smart processes of one portal, their fields and items, in the hands of its administrator. */
export class SimulatedCrm {
  constructor(private readonly controlUrl: string) {}

  async addType(type: TypeOrder): Promise<void> {
    await this.order('POST', '/types', type);
  }

  async changeType(entityTypeId: number, change: { title?: string; code?: string }): Promise<void> {
    await this.order('PATCH', `/types/${entityTypeId}`, change);
  }

  /** With its items, of which nobody hears. */
  async removeType(entityTypeId: number): Promise<void> {
    await this.order('DELETE', `/types/${entityTypeId}`);
  }

  async userFields(entityTypeId: number): Promise<UserField[]> {
    return userFields.parse(await this.order('GET', `/types/${entityTypeId}/fields`));
  }

  async addUserFields(entityTypeId: number, fields: 'every' | UserFieldOrder[]): Promise<UserField[]> {
    return userFields.parse(await this.order('POST', `/types/${entityTypeId}/fields`, fields));
  }

  /** `field`: its id, or either of its names. Of `items` those that are not named are gone. */
  async changeUserField(
    entityTypeId: number,
    field: string,
    change: { label?: string; items?: { id?: number; value: string }[] },
  ): Promise<void> {
    await this.order('PATCH', `/types/${entityTypeId}/fields/${field}`, change);
  }

  async removeUserField(entityTypeId: number, field: string): Promise<void> {
    await this.order('DELETE', `/types/${entityTypeId}/fields/${field}`);
  }

  /** Items with values for every field, the same for the same seed; nobody hears of them unless you `tell`. */
  async makeItems(
    entityTypeId: number,
    count: number,
    { seed = 1, tell = false }: { seed?: number; tell?: boolean } = {},
  ): Promise<{ added: number; lastId: number }> {
    return made.parse(await this.order('POST', `/items/${entityTypeId}/make`, { count, seed, tell }));
  }

  async changeAtRandom(entityTypeId: number, changes: RandomChanges): Promise<Changed> {
    return changed.parse(await this.order('POST', '/random-changes', { entityTypeId, ...changes }));
  }

  /** All items of a type in the order of their ids, as crm.item.get shows them, but a file by its id alone. */
  async *allItems(entityTypeId: number, fields?: readonly string[]): AsyncGenerator<PortalItem> {
    const select = fields ? `?fields=${fields.join(',')}` : '';
    const lines = controlLines(`${this.controlUrl}/items/${entityTypeId}/all${select}`);
    for await (const line of lines) yield item.parse(line);
  }

  /** Values as they are, whether they are known to the portal and fit their fields or not. */
  async putRaw(entityTypeId: number, id: number, fields: Record<string, unknown>): Promise<PortalItem> {
    return item.parse(await this.order('POST', `/items/${entityTypeId}`, { id, fields, raw: true }));
  }

  /** Remembers types, fields and items as they are now. */
  async backup(as: string): Promise<void> {
    await this.order('POST', '/backup', { as });
  }

  /** Times go back, and ids given since are given again; nobody is told. */
  async restore(to: string): Promise<void> {
    await this.order('POST', '/restore', { to });
  }

  /** What the application and the webhook, which act for the owner, may not see; `[]`: nothing. */
  async hide(entityTypeId: number, hidden: 'all' | readonly number[]): Promise<void> {
    await this.order('POST', '/rights', { entityTypeId, hidden });
  }

  private order(method: string, action: string, body?: unknown): Promise<unknown> {
    return control(method, this.controlUrl + action, body);
  }
}
