import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { freshDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Mirror } from '../support/mirror.js';
import { AppProcess } from '../support/processes.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { TamperingFront } from '../support/tampering-front.js';

/** Digits and spaces of other scripts, and what stands in numbers, dates and amounts. */
const pieces = [
  '0 5 19 2024 02 30 9999 . - + e E | : T Z +02:00 -14:59 UAH EUR true Y NaN Infinity 0x1F _'.split(' '),
  ['1'.repeat(18), '1'.repeat(400), ' ', '\t', '\n', '\u00a0', '\u2003', '\u3000', '\u0085', '\u2028'],
  ['\ufeff', '\u0660', '\u0967', '\uff15', '\u{1d7d9}', '\u2212'],
].flat();
const nearlyOne = fc.array(fc.constantFrom(...pieces), { maxLength: 9 }).map((parts) => parts.join(''));
const anyText = fc.string({ unit: 'binary', maxLength: 20 });
const value = fc.oneof(
  { weight: 6, arbitrary: nearlyOne },
  { weight: 2, arbitrary: anyText },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  { weight: 1, arbitrary: fc.record({ id: nearlyOne, url: anyText }) },
);
/** The longest that stops at a limit of PostgreSQL's. */
const long = ['1.', '1e', '-', ' ', '\u2003', '5|', '2024-01-01T', 'Y'].flatMap((start) =>
  ['0', '9', ' '].map((rest) => start + rest.repeat(200_000)),
);

describe.each([
  ['of the server', ''],
  // Where \d and \s of a pattern know other scripts.
  ['of ICU', `TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und'`],
])('with the locale %s, a cast of the mirror', (_, options) => {
  let database: TestDatabase;
  let client: pg.Client;
  let casts: string[];

  beforeAll(async () => {
    database = await freshDatabase([], options);
    const migration = AppProcess.start('migrate', 'libs/platform/src/migrate.js', {
      DATABASE_URL: database.url,
    });
    expect(await migration.end()).toBe(0);
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const { rows } = await client.query<{ name: string }>(
      `SELECT oid::regproc::text AS name FROM pg_proc
        WHERE pronamespace = 'mirror'::regnamespace AND proargtypes::text = 'jsonb'::regtype::oid::text`,
    );
    casts = rows.map(({ name }) => name);
  }, 120_000);
  afterAll(async () => {
    await client?.end();
    await database?.drop();
  });

  async function castAll(values: readonly unknown[]): Promise<Record<string, unknown>[]> {
    const list = casts.map((name) => `to_jsonb(${name}(v)) AS "${name}"`);
    const { rows } = await client.query(`SELECT ${list.join(', ')} FROM jsonb_array_elements($1) AS v`, [
      // As the mirror keeps it: PostgreSQL knows no NUL and no half of a pair.
      JSON.stringify(values).replaceAll(/\\u0000|\\ud[89a-f][\da-f]{2}/g, '?'),
    ]);
    return rows;
  }

  it('throws for no text', async () => {
    expect(casts.length).toBeGreaterThan(10);
    await castAll(long);
    await fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 100, maxLength: 200, size: 'max' }), async (values) => {
        expect(await castAll(values)).toHaveLength(values.length);
      }),
      { numRuns: 60 },
    );
  });

  it('takes digits and spaces of ASCII, and null for all others', async () => {
    const numbers = ['5', ' 5 ', '5\u2003', '\u30005', '\u0665', '\uff15', '5\n', '5\u00a0'];
    const rows = await castAll([
      ...numbers,
      '\u3000100|UAH',
      '100|UAH',
      '\u0662024-01-01',
      '2024-01-0\uff11',
    ]);
    expect(rows.map((row) => row['mirror.to_integer'])).toEqual([5, 5, ...Array<null>(10).fill(null)]);
    expect(rows.map((row) => row['mirror.to_number'])).toEqual([5, 5, ...Array<null>(10).fill(null)]);
    expect(rows.slice(8, 10).map((row) => row['mirror.to_amount'])).toEqual([null, 100]);
    expect(rows.slice(10).map((row) => row['mirror.to_date'])).toEqual([null, null]);
  });
});

/** Real: the apps as built, PostgreSQL. Simulated: a portal with one thing wrong in each of some types. */
describe('a portal of which some types and fields are wrong', () => {
  const wrong: Record<number, (method: string, result: unknown) => unknown> = {
    131: (method, result) => (method === 'crm.item.fields' ? 'no fields' : result),
    132: (method, result) => (method === 'crm.item.list' ? { items: [{ id: '2e0' }] } : result),
    133: (method, result) =>
      method === 'crm.item.fields'
        ? {
            fields: JSON.parse(
              `{"id": {"type": "integer", "upperName": "ID"}, "title": {"type": "string", "upperName": "TITLE"},
                "constructor": {"type": "constructor"}, "toString": {"type": "toString"}, "__proto__": {"type": "double"},
                "a b": {"type": "string"}, "ufCrm_L": {"type": "enumeration", "title": "\\ud800", "items":
                  [{"ID": "1\\u0000", "VALUE": "bad"}, {"ID": "2", "VALUE": "good\\u0000\\ud800"}]}}`,
            ),
          }
        : result,
  };
  const listed = JSON.parse(`[
    {"entityTypeId": null, "title": "none", "code": ""}, {"entityTypeId": 2147483648, "title": "too large", "code": ""},
    {"entityTypeId": "2e2", "title": "spelled", "code": ""}, null,
    {"entityTypeId": 134, "title": "half \\ud800 and \\u0000", "code": "H\\udfff"}]`);
  let relay: Relay;
  let front: TamperingFront;
  let portal: SimulatedPortal;
  let mirror: Mirror;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['smart-process-sync']);
    front = await TamperingFront.of(relay, (method, parameters, result) => {
      if (method !== 'crm.type.list') {
        return wrong[Number(parameters.get('entityTypeId'))]?.(method, result) ?? result;
      }
      const { types } = Object(result);
      return { types: [...listed, ...types.filter((type: object) => Object(type).entityTypeId !== 134)] };
    });
    portal = await relay.portal('acme', {
      types: [130, 131, 132, 133, 134].map((entityTypeId) => ({
        entityTypeId,
        title: `Type ${entityTypeId}`,
      })),
    });
    for (const entityTypeId of [130, 131, 132, 133, 134]) await portal.crm.makeItems(entityTypeId, 3);
    mirror = await Mirror.of(portal, relay.env['DATABASE_URL'] ?? '');
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await mirror.rows(`SELECT state FROM portals.tasks WHERE kind = 'count'`)).toEqual([
        { state: 'done' },
      ]);
    });
  }, 120_000);
  afterAll(async () => {
    await mirror?.close();
    await front?.close();
    await relay?.stop();
  }, 60_000);

  it('is mirrored all the same, but for them', async () => {
    expect(
      await mirror.rows(
        `SELECT entity_type_id AS type, backfill_items::int AS items, view_name IS NOT NULL AS "hasView"
           FROM mirror.types WHERE member_id = $1 ORDER BY 1`,
        [portal.memberId],
      ),
    ).toEqual([
      { type: 130, items: 3, hasView: true },
      { type: 131, items: 0, hasView: false },
      { type: 132, items: 0, hasView: false },
      { type: 133, items: 3, hasView: true },
      { type: 134, items: 3, hasView: true },
    ]);
  });

  it('has the good fields of a type in its view, whatever they are called, and the good options', async () => {
    const [type] = await mirror.rows('SELECT view_name FROM mirror.types WHERE entity_type_id = 133');
    const columns = await mirror.rows(
      `SELECT column_name AS name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position`,
      [type?.['view_name']],
    );
    expect(columns.map(({ name }) => name)).toEqual(
      'id title constructor to_string __proto__ uf_crm_l uf_crm_l_id fields read_at'.split(' '),
    );
    expect(
      await mirror.rows(`SELECT field -> 'texts' AS texts FROM mirror.types, jsonb_array_elements(fields) AS field
        WHERE entity_type_id = 133 AND field ->> 'name' = 'ufCrm_L'`),
    ).toEqual([{ texts: { 2: 'good\ufffd' } }]);
  });

  it('has what was left out counted and said', async () => {
    // Of types the four that are none, and the two that could not be read; a field; an option.
    const counts = { types: 6, fields: 1, options: 1 };
    expect(relay.log()).toContain(`"leftOut":${JSON.stringify(counts)}`);
    expect(
      await mirror.rows(`SELECT progress -> 'leftOut' AS counts FROM portals.tasks WHERE kind = 'complete'`),
    ).toEqual([{ counts }]);
    expect(await relay.metric('smart-process-sync', 'relay_sync_left_out_total')).toBe(8);
  });
});
