import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runInNewContext } from 'node:vm';
import { transformSync } from '@swc/core';
import { z } from 'zod';
import { command } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const orders = 147;

/** Real: command line, control plane, gateway. Simulated: Bitrix24. */
describe('relay types generate', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    const types = [{ entityTypeId: orders, title: 'Orders', fields: 'every' as const }];
    portal = await relay.portal('acme', { types });
    await portal.install(`${relay.gatewayUrl}/b24/install`);
  }, 240_000);
  afterAll(() => relay?.stop(), 60_000);

  it('writes schemas that read the items of the portal', async () => {
    await portal.crm.changeUserField(orders, (await portal.crm.userFields(orders))[0]?.id ?? '', {
      label: '*/ throw new Error() /*',
    });
    const { code, screen } = await command(relay, ['types', 'generate', 'acme', '--entity', String(orders)]);
    expect([code, screen]).toEqual([0, expect.stringContaining('export const smartProcess147UserFields')]);
    const exported = z.object({ smartProcess147UserFields: z.instanceof(z.ZodObject) }).parse(run(screen));
    const { smartProcess147UserFields: schema } = exported;

    await portal.crm.makeItems(orders, 20);
    const described = Object.keys(schema.shape);
    expect(described.length).toBeGreaterThan(15);
    for await (const item of portal.crm.allItems(orders)) {
      const given = described.filter((name) => name in item && !isFile(item[name]));
      const read = z.record(z.string(), z.unknown()).parse(schema.parse(item));
      for (const name of given) expect([name, read[name]]).toEqual([name, item[name]]);
    }
  }, 60_000);

  it('says what is wrong with an entity that there is not', async () => {
    expect(await command(relay, ['types', 'generate', 'acme', '--entity', '999'])).toMatchObject({
      code: 1,
      screen: expect.stringContaining('The portal answered NOT_FOUND'),
    });
  }, 30_000);
});

/** The simulator lists a file by its id alone. */
function isFile(value: unknown): boolean {
  return [value].flat().some((one) => typeof one === 'object' && one !== null);
}

function run(typescript: string): unknown {
  const { code } = transformSync(typescript, {
    swcrc: false,
    configFile: false,
    module: { type: 'commonjs' },
    jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
  });
  const exports = {};
  runInNewContext(code, { exports, require: () => ({ z }) });
  return exports;
}
