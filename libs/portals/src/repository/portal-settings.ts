import type { Log } from '@relay/platform';
import leven from 'leven';
import { LRUCache } from 'lru-cache';
import type { DataSource, EntityManager } from 'typeorm';
import { z, type ZodType } from 'zod';
import { notInstalled, PortalError } from '../database/errors.js';
import { countChanged, inTransaction, queryRows } from '../database/sql.js';
import { notify } from '../database/postgres-listener.js';
import type { PortalCache } from '../cache/portal-cache.js';

/** Settings of a portal for one consumer. */
interface SettingsOf<T> {
  /** `LANGUAGE_ID` of the last install, such as `tr`; none for a webhook pair. */
  language?: string;
  /**
   * The operator's settings; if there are none, or invalid ones, the defaults: what the schema makes of `{}`.
   */
  own: T;
}

/** The JSON Schema that a consumer declared. */
interface DeclaredSchema {
  consumer: string;
  schema: Record<string, unknown>;
}

/** From the settings that are stored to those that replace them. */
export type SettingsChange = (stored: Record<string, unknown>) => Record<string, unknown>;

const storedSettings = z.record(z.string(), z.unknown());

/** Enough for a thousand types by their ids. */
const MAX_SETTINGS_LENGTH = 16_384;
/** Levenshtein distance of a typing error. */
const MAX_DISTANCE = 3;
const MAX_WARNED = 1_000;

/** Settings of operators by portal and consumer; kept after an uninstall, unless `CLEAN` is set. */
export class PortalSettings {
  /** Invalid settings that were logged, so that not every batch logs them. */
  private readonly warned = new LRUCache<string, string>({ max: MAX_WARNED });

  constructor(
    private readonly dataSource: DataSource,
    private readonly portalCache: Pick<PortalCache, 'find'>,
    private readonly log: Log,
  ) {}

  /**
   * Read from the portal cache, so it may be called for every batch. Settings that were stored before the consumer
   * declared its schema, or by an older version, may be invalid: then the defaults apply, with one warning in the log.
   * @param schema the consumer's; it must accept `{}`
   * @throws PortalError DIRECTORY_UNAVAILABLE
   */
  async of<T>(memberId: string, consumer: string, schema: ZodType<T>): Promise<SettingsOf<T>> {
    const portal = await this.portalCache.find(memberId);
    const stored = portal?.settings[consumer] ?? {};
    const language = portal?.language ?? undefined;
    const own = schema.safeParse(stored);
    if (own.success) return { language, own: own.data };
    this.warnOnce(`${consumer} ${memberId}`, JSON.stringify(stored), {
      memberId,
      consumer,
      reasons: own.error.issues.map(({ path, message }) =>
        [path.join('.'), message].filter(Boolean).join(': '),
      ),
    });
    return { language, own: schema.parse({}) };
  }

  /** Stores the schema of a consumer's settings, at its start. */
  async declare(consumer: string, schema: ZodType): Promise<void> {
    await this.dataSource.query(
      `INSERT INTO portals.setting_schemas AS old (consumer, schema) VALUES ($1, $2::jsonb)
       ON CONFLICT (consumer) DO UPDATE SET schema = excluded.schema, declared_at = now()
       WHERE old.schema <> excluded.schema`,
      [consumer, JSON.stringify(z.toJSONSchema(schema, { io: 'input' }))],
    );
  }

  /** As the consumers declared them, by name of the consumer. */
  async schemas(): Promise<DeclaredSchema[]> {
    return queryRows(
      this.dataSource,
      'SELECT consumer, schema FROM portals.setting_schemas ORDER BY consumer',
    );
  }

  /**
   * Replaces the settings for these consumers by what the changes make of those that are stored, so that keys which the caller
   * does not know stay: all of them, or none.
   * @param alongside in the same transaction
   * @throws PortalError BAD_SETTINGS, Bitrix24Error NOT_INSTALLED as `set`; whatever a change and `alongside` throw
   */
  async change(
    memberId: string,
    changes: ReadonlyMap<string, SettingsChange>,
    alongside: (manager: EntityManager) => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const schemas = await this.schemas();
    await inTransaction(this.dataSource, async (manager) => {
      const [row] = await queryRows<{ settings: unknown }>(
        manager,
        'SELECT settings FROM portals.portals WHERE member_id = $1 FOR UPDATE',
        [memberId],
      );
      if (!row) throw notInstalled(memberId);
      const all = new Map(Object.entries(storedSettings.parse(row.settings)));
      for (const [consumer, change] of changes) {
        const stored = storedSettings.safeParse(all.get(consumer));
        await this.store(manager, memberId, consumer, change(stored.success ? stored.data : {}), schemas);
      }
      await alongside(manager);
    });
  }

  /**
   * Replaces the settings for the consumer.
   * @throws PortalError BAD_SETTINGS for settings that do not match the schema, and for an unknown consumer
   * @throws Bitrix24Error NOT_INSTALLED for an unknown portal
   */
  async set(memberId: string, consumer: string, value: Record<string, unknown>): Promise<void> {
    const schemas = await this.schemas();
    await inTransaction(this.dataSource, (manager) =>
      this.store(manager, memberId, consumer, value, schemas),
    );
  }

  private async store(
    manager: EntityManager,
    memberId: string,
    consumer: string,
    value: Record<string, unknown>,
    schemas: readonly DeclaredSchema[],
  ): Promise<void> {
    const json = JSON.stringify(value);
    if (json.length > MAX_SETTINGS_LENGTH) {
      throw badSettings(`settings have ${MAX_SETTINGS_LENGTH} characters at most`);
    }
    requireGood(consumer, value, schemas);
    const changed = await countChanged(
      manager,
      `UPDATE portals.portals SET updated_at = now(), settings = settings || jsonb_build_object($2::text, $3::jsonb)
       WHERE member_id = $1`,
      [memberId, consumer, json],
    );
    if (changed === 0) throw notInstalled(memberId);
    await notify(manager, 'portals', memberId);
  }

  private warnOnce(key: string, stored: string, fields: object): void {
    if (this.warned.get(key) === stored) return;
    this.warned.set(key, stored);
    this.log.warn(
      { event: 'portal.settings.invalid', ...fields },
      'the settings of a portal do not match the schema of the consumer; its defaults apply',
    );
  }
}

/** Stored settings that do not match what the consumer declared; its defaults apply instead. */
export interface InvalidSettings {
  memberId: string;
  domain: string;
  consumer: string;
  /** Names keys, never values. */
  reason: string;
}

/** Of all portals that are installed, for operators. */
export async function invalidSettings(dataSource: DataSource): Promise<InvalidSettings[]> {
  const rows = await queryRows<Omit<InvalidSettings, 'reason'> & { given: unknown; schema: JsonSchema }>(
    dataSource,
    `SELECT member_id AS "memberId", domain, consumer, settings -> consumer AS given, schema
     FROM portals.portals JOIN portals.setting_schemas ON settings ? consumer
     WHERE state <> 'uninstalled' ORDER BY domain, member_id, consumer`,
  );
  return rows.flatMap(({ given, schema, ...where }) => {
    const parsed = z.fromJSONSchema(schema).safeParse(given);
    if (parsed.success) return [];
    return { ...where, reason: parsed.error.issues.map((issue) => sentenceOf(issue, schema)).join('; ') };
  });
}

type JsonSchema = Parameters<typeof z.fromJSONSchema>[0];

/** @throws PortalError BAD_SETTINGS */
function requireGood(
  consumer: string,
  value: Record<string, unknown>,
  declared: readonly DeclaredSchema[],
): void {
  const schema = declared.find((one) => one.consumer === consumer)?.schema;
  if (schema === undefined) {
    const known = declared.map((one) => one.consumer);
    throw badSettings(
      `no consumer ${consumer} has said what may be set for it${guess(consumer, known)}; there are: ${known.join(', ') || 'none'}`,
    );
  }
  const parsed = z.fromJSONSchema(schema).safeParse(value);
  if (parsed.success) return;
  throw badSettings(parsed.error.issues.map((issue) => sentenceOf(issue, schema)).join('; '));
}

function badSettings(message: string): PortalError {
  return new PortalError('BAD_SETTINGS', message);
}

/** Names the error and the nearest valid key, never a value. */
function sentenceOf(issue: z.core.$ZodIssue, schema: JsonSchema): string {
  const at = issue.path.map(String).join('.');
  if (issue.code !== 'unrecognized_keys') return [at, issue.message].filter(Boolean).join(': ');
  const known = keysAt(schema, issue.path);
  const keys = issue.keys.map((key) => `${JSON.stringify(key)}${guess(key, known)}`).join(', ');
  const taken = known.length > 0 ? `it takes ${known.join(', ')}` : 'it takes none';
  return `${at === '' ? 'the settings' : at} have no key ${keys}; ${taken}`;
}

function guess(given: string, known: readonly string[]): string {
  // Distances grow with both lengths.
  const [nearest] = known
    .map((name) => ({ name, distance: leven(given.slice(0, 64), name) }))
    .toSorted((one, other) => one.distance - other.distance);
  return nearest && nearest.distance <= MAX_DISTANCE ? ` (did you mean ${nearest.name}?)` : '';
}

const nested = z.looseObject({ properties: z.record(z.string(), z.unknown()).default({}) });

function keysAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  const parsed = nested.safeParse(schema);
  const { properties } = parsed.success ? parsed.data : { properties: {} };
  const [first, ...rest] = path;
  if (first === undefined) return Object.keys(properties).toSorted();
  return keysAt(new Map(Object.entries(properties)).get(String(first)), rest);
}
