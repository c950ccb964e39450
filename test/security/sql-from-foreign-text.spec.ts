import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { Mirror } from '../support/mirror.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { TamperingFront } from '../support/tampering-front.js';

const typeId = 147;
const evil = 'CREATE TABLE public.broken_in ()';
/** Ends whatever it may stand in: a constant, a name, a comment, JSON, a call; then a statement of its own. */
const ends = [')', `'`, `"`, `')`, `'))`, `'}'::jsonb))`, `\\'`, `$$`, `*/`, '\n'];
const names = ends.map((end) => `${end} AS x FROM mirror.items i; ${evil}; --`);
const options = ['10 %', 'a%', '%', '%s %1$s %I', `100 %'; ${evil}; --`, '$1', '\\', `O'Neil "x"`, '{{'];

const described = z.looseObject({ fields: z.record(z.string(), z.looseObject({ type: z.string() })) });

/** Real: the apps as built, PostgreSQL. Simulated: a portal whose users have chosen every text against us. */
describe('texts of a portal', () => {
  let relay: Relay;
  let front: TamperingFront;
  let portal: SimulatedPortal;
  let mirror: Mirror;
  let view: string;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['smart-process-sync']);
    // Names that Bitrix24 itself would not give, each of a list with options that once were a template.
    front = await TamperingFront.of(relay, (method, _, result) => {
      if (method !== 'crm.item.fields') return result;
      const { fields } = described.parse(result);
      const list = Object.values(fields).find(({ type }) => type === 'enumeration');
      const bad = names.map((name) => [name, { ...list, title: name, upperName: name }]);
      return { fields: { ...Object.fromEntries(bad), ...fields } };
    });
    portal = await relay.portal('acme', {
      types: [
        {
          entityTypeId: typeId,
          title: `'; ${evil}; --`,
          code: `"; ${evil}; --`,
          fields: [
            {
              type: 'enumeration',
              fieldName: 'UF_CRM_CHOICE',
              label: `'; ${evil}; --`,
              items: options.map((value) => ({ value })),
            },
          ],
        },
      ],
    });
    const [field] = await portal.crm.userFields(typeId);
    const ids = field?.enum?.map(({ id }) => id) ?? [];
    for (const id of ids) await portal.add(typeId, { title: `'; ${evil}; --`, ufCrm_CHOICE: id });
    mirror = await Mirror.of(portal, relay.env['DATABASE_URL'] ?? '');
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    view = await eventually(async () => {
      expect(await mirror.backfilled()).toMatchObject({ items: options.length, done: 1 });
      const [type] = await mirror.rows(
        'SELECT view_name, view_error FROM mirror.types WHERE member_id = $1',
        [portal.memberId],
      );
      expect(type).toEqual({ view_name: expect.any(String), view_error: null });
      return z.string().parse(type?.['view_name']);
    });
  }, 120_000);
  afterAll(async () => {
    await mirror?.close();
    await front?.close();
    await relay?.stop();
  }, 60_000);

  it('are run by nobody', async () => {
    expect(await mirror.rows(`SELECT to_regclass('public.broken_in') AS table`)).toEqual([{ table: null }]);
    expect(await mirror.rows(`SELECT count(*)::int AS items FROM mirror.items`)).toEqual([
      { items: options.length },
    ]);
  });

  it('stand in the view as they are, whatever characters they have', async () => {
    expect(await mirror.rows(`SELECT uf_crm_choice AS text FROM mirror."${view}" ORDER BY id`)).toEqual(
      options.map((text) => ({ text })),
    );
  });

  it('are no names of columns: a field that is not named by letters and digits is left out, counted and said', async () => {
    const columns = await mirror.rows(
      `SELECT column_name AS name FROM information_schema.columns
        WHERE table_schema = 'mirror' AND table_name = $1 AND column_name ~ 'broken|items'`,
      [view],
    );
    expect(columns).toEqual([]);
    expect(await relay.metric('smart-process-sync', 'relay_sync_left_out_total')).toBe(names.length);
    expect(relay.log()).toContain(`"leftOut":{"types":0,"fields":${names.length},"options":0}`);
  });
});
