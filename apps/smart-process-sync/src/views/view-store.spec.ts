import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { silentLog } from '@relay/platform';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { toItemRow } from '../items/item-row.js';
import { MirrorStore } from '../items/mirror-store.js';
import { readFields } from '../smart-process-types/field.js';
import { TypeStore } from '../smart-process-types/type-store.js';
import { CastFailures } from './cast-failures.js';
import { type ViewedType, ViewStore } from './view-store.js';

/** Responses of portals, shortened. */
function described(fields: Record<string, object>): ReturnType<typeof readFields> {
  return readFields({ fields });
}

const colours = [
  { ID: '44', VALUE: 'Red' },
  { ID: '45', VALUE: `O'Neil's \\ "blue"` },
];
const everyKind = described({
  id: { type: 'integer', title: 'ID', upperName: 'ID' },
  title: { type: 'string', title: 'Name', upperName: 'TITLE' },
  createdTime: { type: 'datetime', title: 'Created at', upperName: 'CREATED_TIME' },
  parentId128: { type: 'crm_entity', title: 'Order', upperName: 'PARENT_ID_128' },
  ufCrm5_1: { type: 'string', title: 'Note', upperName: 'UF_CRM_5_1' },
  ufCrm5_2: { type: 'integer', title: 'Pieces', upperName: 'UF_CRM_5_2' },
  ufCrm5_3: { type: 'double', title: 'Weight', upperName: 'UF_CRM_5_3' },
  ufCrm5_4: { type: 'boolean', title: 'Urgent', upperName: 'UF_CRM_5_4' },
  ufCrm5_5: { type: 'date', title: 'Day', upperName: 'UF_CRM_5_5' },
  ufCrm5_6: { type: 'datetime', title: 'Moment', upperName: 'UF_CRM_5_6' },
  ufCrm5_7: { type: 'money', title: 'Price', upperName: 'UF_CRM_5_7' },
  ufCrm5_8: { type: 'enumeration', title: 'Colour', upperName: 'UF_CRM_5_8', items: colours },
  ufCrm5_9: { type: 'file', title: 'Paper', upperName: 'UF_CRM_5_9' },
  ufCrm5_10: { type: 'crm', title: 'Link', upperName: 'UF_CRM_5_10' },
  ufCrm5_11: { type: 'double', isMultiple: true, title: 'Sizes', upperName: 'UF_CRM_5_11' },
  ufCrm5_12: {
    type: 'enumeration',
    isMultiple: true,
    title: 'Colours',
    upperName: 'UF_CRM_5_12',
    items: colours,
  },
  ufCrm5_13: { type: 'money', isMultiple: true, title: 'Fees', upperName: 'UF_CRM_5_13' },
});

describe('typed views', () => {
  let database: TestDatabase;
  let source: DataSource;
  let views: ViewStore;
  let castFailures: CastFailures;
  let types: TypeStore;
  let store: MirrorStore;
  let member = 0;

  beforeAll(async () => {
    database = await freshDatabase('apps/smart-process-sync');
    source = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    [views, types, store] = [new ViewStore(source), new TypeStore(source), new MirrorStore(source)];
    castFailures = new CastFailures(source, types, silentLog);
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  async function typeOf(changes: Partial<ViewedType> = {}): Promise<ViewedType> {
    const memberId = changes.memberId ?? `member${++member}`;
    const type = {
      memberId,
      domain: `portal${member}.bitrix24.test`,
      entityTypeId: 147,
      code: 'ORDERS',
      title: 'Orders',
      fields: everyKind,
      ...changes,
    };
    await types.save(memberId, [{ ...type, isMirrored: true }]);
    return type;
  }

  async function put(
    { memberId, entityTypeId }: ViewedType,
    ...items: Record<string, unknown>[]
  ): Promise<void> {
    const rows = items.map((item, i) => toItemRow(String(i + 1), { ...item, id: i + 1 }));
    await store.saveItems(await store.beginRead(memberId, entityTypeId), rows);
  }

  async function nameOf(type: ViewedType): Promise<string> {
    const outcome = await views.refresh(type);
    if (outcome.result === 'failed') throw outcome.error;
    return outcome.name;
  }

  async function rowsOf(name: string, columns = '*'): Promise<Record<string, unknown>[]> {
    return await source.query(`SELECT ${columns} FROM mirror."${name}" ORDER BY id`);
  }

  it('have every field under its own name, with its type', async () => {
    const type = await typeOf({ domain: 'acme.bitrix24.com' });
    await put(type, {
      title: 'Lamps',
      createdTime: '2024-07-22T18:00:08+02:00',
      parentId128: 7,
      ufCrm5_1: 'by hand',
      ufCrm5_2: 40,
      ufCrm5_3: '1.25',
      ufCrm5_4: 'Y',
      ufCrm5_5: '2024-02-29T03:00:00+03:00',
      ufCrm5_6: '2024-07-22T18:00:08+02:00',
      ufCrm5_7: '1250.50|EUR',
      ufCrm5_8: 45,
      ufCrm5_9: { id: 12, url: 'https://acme.bitrix24.com/file', urlMachine: 'https://secret' },
      ufCrm5_10: 'D_5',
      ufCrm5_11: [1, '2.5'],
      ufCrm5_12: [44, '45'],
      ufCrm5_13: ['1|EUR', '2.5|USD'],
    });
    expect(await nameOf(type)).toBe('acme_orders');
    const columns = (
      await source.query<{ column: string }[]>(
        `SELECT column_name || ' ' || udt_name AS column FROM information_schema.columns
       WHERE table_schema = 'mirror' AND table_name = 'acme_orders' ORDER BY ordinal_position`,
      )
    ).map(({ column }) => column);
    expect(columns).toMatchSnapshot();
    const [row] = await source.query<{ row: Record<string, unknown> }[]>(
      `SELECT to_jsonb(v) - 'fields' - 'read_at' AS row FROM mirror.acme_orders v`,
    );
    expect(row?.row).toMatchObject({
      id: 1,
      title: 'Lamps',
      parent_id_128: 7,
      uf_crm_5_1: 'by hand',
      uf_crm_5_2: 40,
      uf_crm_5_3: 1.25,
      uf_crm_5_4: true,
      uf_crm_5_5: '2024-02-29',
      uf_crm_5_7: 1250.5,
      uf_crm_5_7_currency: 'EUR',
      uf_crm_5_8: `O'Neil's \\ "blue"`,
      uf_crm_5_8_id: 45,
      uf_crm_5_9: 'https://acme.bitrix24.com/file',
      uf_crm_5_9_id: 12,
      uf_crm_5_10: 'D_5',
      uf_crm_5_11: [1, 2.5],
      uf_crm_5_12: ['Red', `O'Neil's \\ "blue"`],
      uf_crm_5_12_id: [44, 45],
      uf_crm_5_13: [1, 2.5],
      uf_crm_5_13_currency: ['EUR', 'USD'],
    });
    expect(await rowsOf('acme_orders', "id, uf_crm_5_6, fields->>'ufCrm5_1' AS note")).toEqual([
      { id: '1', uf_crm_5_6: new Date('2024-07-22T16:00:08Z'), note: 'by hand' },
    ]);
  });

  it('are null where a value does not fit, keep it in JSON, and count it', async () => {
    const type = await typeOf();
    await put(
      type,
      { ufCrm5_2: 'many', ufCrm5_3: {}, ufCrm5_4: 'maybe', ufCrm5_5: '2023-02-29', ufCrm5_8: 99 },
      { ufCrm5_2: '99999999999999999999', ufCrm5_6: '2024-07-22T25:00:00+02:00', ufCrm5_11: [1, 'two'] },
      { ufCrm5_2: '', ufCrm5_3: null, ufCrm5_11: [], ufCrm5_12: false },
    );
    const name = await nameOf(type);
    const rows = await rowsOf(
      name,
      `uf_crm_5_2 AS pieces, fields->>'ufCrm5_2' AS json, uf_crm_5_11 AS sizes`,
    );
    expect(rows).toEqual([
      { pieces: null, json: 'many', sizes: [] },
      { pieces: null, json: '99999999999999999999', sizes: [1, null] },
      { pieces: null, json: '', sizes: [] },
    ]);
    const counts = {
      uf_crm_5_2: 2,
      uf_crm_5_4: 1,
      uf_crm_5_5: 1,
      uf_crm_5_6: 1,
      uf_crm_5_8: 1,
      uf_crm_5_11: 1,
    };
    expect(await castFailures.countOf(type)).toEqual(counts);
    expect(await castFailures.countOf(type, { batchSize: 1 })).toEqual(counts);
    expect((await types.all(type.memberId))[0]?.castFailures).toEqual(counts);
  });

  it('can be read whatever is in the items', async () => {
    const type = await typeOf();
    const name = await nameOf(type);
    const anything = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom(
        '9999-12-31T23:59:59-14:00',
        '2024-02-30',
        '0000-00-00',
        '2024-01-01T00:00:60Z',
        '1e999',
        '1e-999',
        '1'.repeat(500),
        '|',
        '5|',
        '|EUR',
        '+',
        '.',
        'e5',
        '\u0660',
        '२०२४-०१-०१',
      ),
    );
    const names = everyKind.map((field) => field.name).filter((field) => field !== 'id');
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.constantFrom(...names), anything), async (fields) => {
        await put(type, fields);
        expect(await rowsOf(name)).toHaveLength(1);
        await castFailures.countOf(type);
      }),
      { numRuns: 100 },
    );
  });

  it('follow the fields: a new one, another type, a renamed one, one that went away', async () => {
    const type = await typeOf();
    await put(type, { ufCrm5_1: '12', ufCrm5_20: 3 });
    const name = await nameOf(type);
    expect(await views.refresh(type)).toEqual({ result: 'unchanged', name });
    const more = {
      ...type,
      fields: [
        ...described({ ufCrm5_20: { type: 'integer', title: 'New', upperName: 'UF_CRM_5_20' } }),
        ...everyKind,
      ],
    };
    expect(await views.refresh(more)).toEqual({ result: 'replaced', name });
    expect(await rowsOf(name, 'uf_crm_5_20, uf_crm_5_1')).toEqual([{ uf_crm_5_20: '3', uf_crm_5_1: '12' }]);

    const other = described({
      id: { type: 'integer', upperName: 'ID' },
      ufCrm5_1: { type: 'integer', title: 'Note, now a number', upperName: 'UF_CRM_5_1' },
    });
    expect(await views.refresh({ ...type, fields: other })).toEqual({ result: 'replaced', name });
    expect(await rowsOf(name)).toEqual([
      { id: '1', uf_crm_5_1: '12', fields: expect.anything(), read_at: expect.any(Date) },
    ]);
  });

  it('stay as they were while somebody reads them for long, and say so', async () => {
    const type = await typeOf();
    const name = await nameOf(type);
    const reader = await new DataSource({ type: 'postgres', url: database.url, poolSize: 1 }).initialize();
    const changed = { ...type, fields: everyKind.slice(0, 3) };
    try {
      await reader.query('BEGIN');
      await reader.query(`SELECT * FROM mirror."${name}"`);
      expect(await views.refresh(changed)).toMatchObject({ result: 'failed', error: { code: '55P03' } });
      expect(await rowsOf(name, 'uf_crm_5_1')).toEqual([]);
      await reader.query('COMMIT');
    } finally {
      await reader.destroy();
    }
    expect(await views.refresh(changed)).toEqual({ result: 'replaced', name });
  });

  it('are not taken away from under a view that somebody made of them', async () => {
    const type = await typeOf();
    const name = await nameOf(type);
    await source.query(`CREATE VIEW public.report_${member} AS SELECT uf_crm_5_1 FROM mirror."${name}"`);
    expect(await views.refresh({ ...type, fields: everyKind.slice(0, 3) })).toMatchObject({
      result: 'failed',
      error: { code: '2BP01' },
    });
    expect(await rowsOf(name, 'uf_crm_5_1')).toEqual([]);
  });

  it('have names of their own, also where portals or types are called the same', async () => {
    const domain = 'twin.bitrix24.com';
    const [one, two] = [await typeOf({ domain }), await typeOf({ domain: 'twin.bitrix24.de' })];
    expect(await nameOf(one)).toBe('twin_orders');
    expect(await nameOf(two)).toMatch(/^_twin_orders_[0-9a-f]{16}$/);
    const same = await typeOf({ memberId: one.memberId, domain, entityTypeId: 148 });
    expect(await nameOf(same)).toBe('twin_orders_148');
    expect(await nameOf(await typeOf({ memberId: one.memberId, domain, entityTypeId: 149, code: '' }))).toBe(
      'twin_type_149',
    );
    const long = await typeOf({ domain: `${'x'.repeat(40)}.test`, code: 'y'.repeat(40) });
    expect((await nameOf(long)).length).toBeLessThanOrEqual(63);
  });

  it('keep odd texts of a portal out of the SQL', async () => {
    const odd = `'; DROP TABLE mirror.items; --\\'"`;
    const items = [odd, '10 %', "%'", '%(i.fields)'].map((text, at) => ({ ID: String(at + 1), VALUE: text }));
    const type = await typeOf({
      code: odd,
      title: odd,
      fields: described({
        id: { type: 'integer', upperName: 'ID' },
        ufCrm5_1: { type: 'enumeration', title: odd, upperName: 'UF_CRM_5_1', items },
        ufCrm5_2: { type: 'enumeration', isMultiple: true, title: odd, upperName: 'UF_CRM_5_2', items },
        fields: { type: 'string', title: 'as a column of ours', upperName: 'FIELDS' },
      }),
    });
    await put(
      type,
      ...items.map(({ ID }) => ({ ufCrm5_1: ID, ufCrm5_2: items.map((item) => item.ID), fields: 'own' })),
    );
    const name = await nameOf(type);
    const texts = items.map(({ VALUE }) => VALUE);
    expect(await rowsOf(name, 'uf_crm_5_1 AS one, uf_crm_5_2 AS all, fields_2 AS own')).toEqual(
      texts.map((one) => ({ one, all: texts, own: 'own' })),
    );
    expect(await castFailures.countOf(type)).toEqual({});
  });

  it('are made of fields that are named as objects of JavaScript are', async () => {
    const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf'];
    const type = await typeOf({
      fields: [
        ...described({ id: { type: 'integer', upperName: 'ID' } }),
        ...names.flatMap((name) =>
          described(JSON.parse(`{"${name}": {"type": "integer", "title": "", "upperName": "${name}"}}`)),
        ),
        ...described({ ufCrm5_1: { type: 'constructor', upperName: 'UF_CRM_5_1' } }),
      ],
    });
    await put(
      type,
      JSON.parse(`{"__proto__": "five", "constructor": 5, "valueOf": "x", "ufCrm5_1": "text"}`),
    );
    const name = await nameOf(type);
    expect(await rowsOf(name, 'constructor, __proto__, valueof, uf_crm_5_1')).toEqual([
      { constructor: '5', ['__proto__']: null, valueof: null, uf_crm_5_1: 'text' },
    ]);
    expect(await castFailures.countOf(type)).toEqual(JSON.parse('{"__proto__": 1, "valueof": 1}'));
  });

  it('show only what is alive, to a role that can read and nothing else', async () => {
    const type = await typeOf();
    await put(type, { title: 'Stays' }, { title: 'Goes' }, { title: 'Is hidden' });
    await store.markDeleted(await store.beginRead(type.memberId, type.entityTypeId), ['2']);
    await store.markHidden(await store.beginRead(type.memberId, type.entityTypeId), ['3']);
    const name = await nameOf(type);
    const reader = await new DataSource({ type: 'postgres', url: database.url, poolSize: 1 }).initialize();
    try {
      await reader.query('SET ROLE mirror_reader');
      expect(await reader.query(`SELECT title FROM mirror."${name}"`)).toEqual([{ title: 'Stays' }]);
      await expect(reader.query(`DELETE FROM mirror.items`)).rejects.toMatchObject({ code: '42501' });
    } finally {
      await reader.destroy();
    }
  });

  it('are gone when the type is not mirrored any more', async () => {
    const type = await typeOf();
    const name = await nameOf(type);
    await views.remove(type.memberId, type.entityTypeId);
    await views.remove(type.memberId, type.entityTypeId);
    await expect(rowsOf(name)).rejects.toMatchObject({ code: '42P01' });
  });
});
