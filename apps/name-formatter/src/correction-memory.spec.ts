import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { databaseOptions, loadMigrations } from '@relay/platform';
import { register } from 'prom-client';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { RecordedLog } from '../../../test/support/recorded-log.js';
import { type AdmittedCorrection, type Correction, CorrectionMemory } from './correction-memory.js';

const found = (id: string, name: string): Correction => ({
  id,
  fields: { name: 'Right' },
  replaced: { name },
});

describe('what name-formatter remembers of its corrections', () => {
  let database: TestDatabase;
  let source: DataSource;
  let log: RecordedLog;
  let memory: CorrectionMemory;
  let memberId: string;
  const key = randomBytes(32);

  beforeAll(async () => {
    database = await freshDatabase(await loadMigrations('apps/name-formatter'));
    source = await new DataSource(databaseOptions(database.url, 'spec')).initialize();
  });
  beforeEach(() => {
    memberId = randomUUID();
    log = new RecordedLog();
    memory = new CorrectionMemory(source, log, key);
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  /** As the controller does it, with every write confirmed. @returns whether it wrote */
  async function correct(name: string, id = '82', by = memory): Promise<boolean> {
    const admitted = await by.admit(memberId, [found(id, name)]);
    await by.remember(memberId, admitted);
    return admitted.length > 0;
  }

  const age = (interval: string): Promise<unknown> =>
    source.query(`UPDATE names.corrections SET written_at = written_at - interval '${interval}'`);

  it('leaves a field alone at once that comes back as it was, in every process', async () => {
    expect(await correct('CLUB')).toBe(true);
    expect(await correct('CLUB')).toBe(false);
    expect(await correct('CLUB', '82', new CorrectionMemory(source, log, key))).toBe(false);
    expect(log.lines).toEqual([]);
  });

  it('corrects what comes back as something else once more, then no more, and says so once', async () => {
    const writes: boolean[] = [];
    for (const name of ['A', 'B', 'C', 'D', 'A', 'B']) writes.push(await correct(name));
    expect(writes).toEqual([true, true, false, false, false, false]);
    expect(log.lines).toMatchObject([
      {
        level: 'warn',
        fields: { event: 'names.correction.contested', memberId, contacts: 1, contactIds: ['82'] },
      },
    ]);
    expect(await register.metrics()).toMatch(/relay_names_left_alone_total\{reason="contested"\} [1-9]/);
  });

  it('corrects again after a day', async () => {
    for (const name of ['A', 'B', 'C']) await correct(name);
    await age('1 day');
    expect([await correct('C'), await correct('C')]).toEqual([true, false]);
  });

  it('remembers nothing of a correction that was not written', async () => {
    await memory.admit(memberId, [found('82', 'CLUB')]);
    expect(await correct('CLUB')).toBe(true);
  });

  it('remembers a contact that a batch has twice', async () => {
    // As `ONCRMCONTACTUPDATE_5` makes it, which Bitrix24 does not send.
    const admitted = await memory.admit(memberId, [found('82', 'CLUB'), found('82', 'CLUB')]);
    await memory.remember(memberId, admitted);
    expect(await correct('CLUB')).toBe(false);
  });

  it('keeps contacts, fields and portals apart', async () => {
    await correct('CLUB');
    expect(await correct('CLUB', '83')).toBe(true);
    const other: Correction = {
      id: '82',
      fields: { name: 'Club', lastName: 'Club' },
      replaced: { name: 'CLUB', lastName: 'CLUB' },
    };
    const admitted = await memory.admit(memberId, [other]);
    expect(admitted.map(({ fields }) => fields)).toEqual([{ lastName: 'Club' }]);
    await memory.remember(memberId, admitted);
    expect(await memory.admit(memberId, [other])).toEqual([]);
    expect(await memory.admit(randomUUID(), [other])).toHaveLength(1);
  });

  it('takes two statements for 2,500 contacts, and none where nothing is to be written', async () => {
    const statements: string[] = [];
    const counting = {
      query: <T>(sql: string, parameters?: unknown[]): Promise<T> => {
        statements.push(sql);
        return source.query<T>(sql, parameters);
      },
    };
    const counted = new CorrectionMemory(counting, log, key);
    await counted.remember(memberId, await counted.admit(memberId, []));
    expect(statements).toEqual([]);
    const many = Array.from({ length: 2_500 }, (_, i) => found(String(i), 'CLUB'));
    const admitted: AdmittedCorrection<Correction>[] = await counted.admit(memberId, many);
    await counted.remember(memberId, admitted);
    expect([admitted.length, statements.length]).toEqual([2_500, 2]);
    expect(await memory.admit(memberId, many)).toEqual([]);
  });

  it('has one row a contact, without its name, and no hash that anybody could compute', async () => {
    for (const name of ['Geheim', 'geheim']) await correct(name);
    const rows = await source.query<object[]>('SELECT * FROM names.corrections WHERE member_id = $1', [
      memberId,
    ]);
    expect(rows).toHaveLength(1);
    const stored = JSON.stringify(rows);
    expect(stored).not.toMatch(/geheim/iu);
    const content = JSON.stringify([memberId, '82', 'name', 'geheim']);
    const plain = createHash('sha256').update(content).digest().subarray(0, 16).toString('base64');
    expect(stored).not.toContain(plain);
  });

  it('deletes what is older than a day, however much it is, and nothing else', async () => {
    await source.query('DELETE FROM names.corrections');
    const many = Array.from({ length: 12_000 }, (_, i) => ({ id: String(i), memory: {} }));
    await memory.remember(memberId, many);
    await age('1 day');
    await correct('CLUB', 'new');
    await memory.forget();
    expect(await source.query('SELECT contact_id FROM names.corrections')).toEqual([{ contact_id: 'new' }]);
  });

  it('keeps the latest of each portal, up to a limit', async () => {
    await source.query('DELETE FROM names.corrections');
    const remember = (portal: string, ids: string[]): Promise<void> =>
      memory.remember(
        portal,
        ids.map((id) => ({ id, memory: {} })),
      );
    await remember('crowded', ['1', '2', '3']);
    await source.query(`UPDATE names.corrections SET written_at = now() - interval '1 hour'`);
    await remember('crowded', ['4', '5']);
    await remember('another', ['1', '2', '3']);
    await memory.forget(3);
    const rows = await source.query<{ of: string; count: number }[]>(
      `SELECT member_id AS of, count(*)::int AS count, min(contact_id) AS first FROM names.corrections
       WHERE member_id = 'another' OR contact_id IN ('4', '5') GROUP BY 1 ORDER BY 1`,
    );
    expect(rows).toEqual([
      { of: 'another', count: 3, first: '1' },
      { of: 'crowded', count: 2, first: '4' },
    ]);
    expect(await source.query(`SELECT FROM names.corrections WHERE member_id = 'crowded'`)).toHaveLength(3);
  });
});
