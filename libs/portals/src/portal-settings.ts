import type { DataSource } from 'typeorm';
import type { ZodType } from 'zod';
import { notInstalled, PortalError } from './errors.js';
import { inTransaction } from './in-transaction.js';
import { announce } from './notifier.js';
import type { PortalDirectory } from './portal-directory.js';

/** What makes a portal different from others, for one consumer. */
export interface SettingsOf<T> {
  /** As the portal named it when it installed the application, such as `tr`; a webhook pair brings none. */
  language?: string;
  /** What an operator set for the consumer; where nothing was, what the schema makes of `{}`. */
  own: T;
}

/** What an operator sets for a consumer at one portal; it outlives an uninstall, unless that cleans. */
export class PortalSettings {
  constructor(
    private readonly dataSource: DataSource,
    private readonly directory: Pick<PortalDirectory, 'find'>,
  ) {}

  /**
   * From the directory's memory, so it may be asked for every batch; as new as that.
   * @param schema the consumer's own: nobody else knows what its settings may be
   * @throws PortalError BAD_SETTINGS, DIRECTORY_UNAVAILABLE
   */
  async of<T>(memberId: string, consumer: string, schema: ZodType<T>): Promise<SettingsOf<T>> {
    const portal = await this.directory.find(memberId);
    const own = schema.safeParse(portal?.settings[consumer] ?? {});
    if (own.success) return { language: portal?.language ?? undefined, own: own.data };
    const message = `The settings of ${consumer} at this portal are not what it takes: set them again`;
    throw new PortalError('BAD_SETTINGS', message, { memberId, cause: own.error });
  }

  /**
   * Replaces what was set for the consumer. Whether it takes the value shows when it next reads it.
   * @throws Bitrix24Error NOT_INSTALLED for a portal that is unknown
   */
  async set(memberId: string, consumer: string, value: Record<string, unknown>): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      const [, changed] = await manager.query<[unknown[], number]>(
        `UPDATE portals.portals SET updated_at = now(), settings = settings || jsonb_build_object($2::text, $3::jsonb)
         WHERE member_id = $1`,
        [memberId, consumer, JSON.stringify(value)],
      );
      if (changed === 0) throw notInstalled(memberId);
      await announce(manager, 'portals', memberId);
    });
  }
}
