import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const typeId = 147;
/** Of this run alone: roles belong to the whole server. */
const role = `relay_test_${process.pid}_${randomBytes(4).toString('hex')}`;
const password = randomBytes(8).toString('hex');

const viewRow = z.tuple([z.object({ name: z.string() })]);

/** Real: the apps as built, PostgreSQL, and a person who may read the view of one portal. */
describe('a view', () => {
  let relay: Relay;
  let owner: pg.Client;
  let acme: SimulatedPortal;
  let view: string;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['smart-process-sync']);
    owner = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await owner.connect();
    for (const name of ['acme', 'globex']) {
      const fields = [{ type: 'string', fieldName: 'UF_CRM_NOTE' }];
      const portal = await relay.portal(name, { types: [{ entityTypeId: typeId, title: 'Orders', fields }] });
      await portal.add(typeId, { title: `an order of ${name}`, ufCrm_NOTE: `a note of ${name}` });
      await portal.install(`${relay.gatewayUrl}/b24/install`);
      if (name === 'acme') acme = portal;
    }
    view = await eventually(async () => {
      const { rows: items } = await owner.query('SELECT title FROM mirror.items ORDER BY 1');
      expect(items).toEqual([{ title: 'an order of acme' }, { title: 'an order of globex' }]);
      const { rows } = await owner.query('SELECT view_name AS name FROM mirror.types WHERE member_id = $1', [
        acme.memberId,
      ]);
      return viewRow.parse(rows)[0].name;
    });
    await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    await owner.query(`GRANT USAGE ON SCHEMA mirror TO ${role}`);
    await owner.query(`GRANT SELECT ON mirror."${view}" TO ${role}`);
  }, 120_000);
  afterAll(async () => {
    await owner?.query(`DROP OWNED BY ${role}`);
    await owner?.query(`DROP ROLE ${role}`);
    await owner?.end();
    await relay?.stop();
  }, 60_000);

  /** What a function of the reader's own is called with, which PostgreSQL believes to cost nothing, while no index helps. */
  async function overheard(relation: string, columns: readonly string[]): Promise<string[]> {
    const url = new URL(relay.env['DATABASE_URL'] ?? '');
    [url.username, url.password] = [role, password];
    const reader = new pg.Client({ connectionString: url.href });
    const heard: string[] = [];
    reader.on('notice', ({ message }) => heard.push(message ?? ''));
    await reader.connect();
    try {
      await reader.query(`CREATE FUNCTION pg_temp.listen(said text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
        BEGIN RAISE NOTICE '%', said; RETURN true; END $$`);
      for (const scan of ['indexscan', 'indexonlyscan', 'bitmapscan']) {
        await reader.query(`SET enable_${scan} = off`);
      }
      for (const column of columns) {
        await reader.query(`SELECT FROM ${relation} WHERE pg_temp.listen(${column}::text)`);
      }
    } finally {
      await reader.end();
    }
    return heard;
  }

  const columns = ['title', 'id', 'created_time', 'fields', 'uf_crm_note'];

  /** Of which portals, and in how many calls. */
  async function heardOf(
    relation: string,
    names: readonly string[],
  ): Promise<[portals: string[], calls: number]> {
    const heard = await overheard(relation, names);
    return [['acme', 'globex'].filter((name) => heard.some((said) => said.includes(name))), heard.length];
  }

  it('of any maker, without a barrier, lets a function hear what the view leaves out', async () => {
    await owner.query(
      `CREATE VIEW public.plain AS SELECT title FROM mirror.items WHERE member_id = '${acme.memberId}'`,
    );
    await owner.query(`GRANT SELECT ON public.plain TO ${role}`);
    expect(await heardOf('public.plain', ['title'])).toEqual([['acme', 'globex'], 2]);
  });

  it('of the mirror lets it hear its own portal alone', async () => {
    expect(await heardOf(`mirror."${view}"`, columns)).toEqual([['acme'], columns.length]);
  });

  it('keeps that when it is replaced, because a field came', async () => {
    await acme.crm.addUserFields(typeId, [{ type: 'string', fieldName: 'UF_CRM_MORE' }]);
    await eventually(() => owner.query(`SELECT uf_crm_more FROM mirror."${view}"`));
    const more = [...columns, 'coalesce(uf_crm_more, title)'];
    expect(await heardOf(`mirror."${view}"`, more)).toEqual([['acme'], more.length]);
  });

  it('gets it when an older version has made it', async () => {
    await owner.query(`ALTER VIEW mirror."${view}" RESET (security_barrier)`);
    expect(await heardOf(`mirror."${view}"`, ['title'])).toEqual([['acme', 'globex'], 2]);
    await relay.end('smart-process-sync');
    await relay.start('smart-process-sync');
    await eventually(async () => {
      expect(await heardOf(`mirror."${view}"`, columns)).toEqual([['acme'], columns.length]);
    });
  });
});
