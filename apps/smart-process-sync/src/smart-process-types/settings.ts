import type { PortalSettings } from '@relay/portals';
import { z } from 'zod';

/** The name of this consumer for its queues, settings and jobs. */
export const CONSUMER = 'smart-process-sync';

/** The basic item events, for all smart processes. */
export const ITEM_EVENTS = ['ONCRMDYNAMICITEMADD', 'ONCRMDYNAMICITEMUPDATE', 'ONCRMDYNAMICITEMDELETE'];

/** New invoices (`api-reference/crm/data-types.md#object_type`). */
export const INVOICE = 31;
/** Smart processes have this entityTypeId or a larger one. */
const FIRST_SMART_PROCESS = 128;

const typeId = z.int32().positive();

/** Settings of a portal: `relay portals set <member_id> smart-process-sync <json>`. */
export const mirrorSettings = z.strictObject({
  types: z
    .strictObject({
      /** Only these types. */
      include: z.array(typeId).optional(),
      exclude: z.array(typeId).default([]),
    })
    .default({ exclude: [] }),
  /** Also new invoices. */
  invoices: z.boolean().default(false),
});
export type MirrorSettings = z.output<typeof mirrorSettings>;

/** @throws PortalError DIRECTORY_UNAVAILABLE */
export async function settingsOf(settings: PortalSettings, memberId: string): Promise<MirrorSettings> {
  return (await settings.of(memberId, CONSUMER, mirrorSettings)).own;
}

/** Whether items of this type are mirrored. */
export function isWanted({ types, invoices }: MirrorSettings, entityTypeId: number): boolean {
  if (types.exclude.includes(entityTypeId)) return false;
  if (entityTypeId === INVOICE) return invoices;
  if (entityTypeId < FIRST_SMART_PROCESS) return false;
  return types.include?.includes(entityTypeId) ?? true;
}
