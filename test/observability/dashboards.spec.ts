import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { findPrometheus, startPrometheus, type PrometheusServer } from '../support/prometheus.mjs';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId } from '../support/simulated-portal.js';

const folder = join(import.meta.dirname, '../../deploy/grafana');
const panels = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })) })),
});
const queries = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .flatMap((name) => panels.parse(JSON.parse(readFileSync(join(folder, name), 'utf8'))).panels)
  .flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));

const apps = ['gateway', 'control-plane', 'name-formatter', 'smart-process-sync', 'offline-puller'] as const;
const answer = z.object({
  data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }),
});

/**
 * Real: the apps as processes, RabbitMQ, PostgreSQL, and a Prometheus that scrapes them. Simulated: Bitrix24. Nothing fails here: what
 * counts failures is 0 then, and not missing, or the first failure is no increase.
 */
(hasBroker && findPrometheus() !== undefined ? describe : describe.skip)(
  'the dashboards after six events',
  () => {
    const config = mkdtempSync(join(tmpdir(), 'relay-dashboards-'));
    let relay: Relay;
    let prometheus: PrometheusServer;

    beforeAll(async () => {
      relay = await startRelay('RabbitMQ', ['name-formatter', 'smart-process-sync', 'offline-puller'], {
        apart: apps.map((app) => [app]),
      });
      const targets = apps.map((app) => `127.0.0.1:${relay.opsPort(app)}`);
      const file = join(config, 'prometheus.yml');
      writeFileSync(
        file,
        `global: { scrape_interval: 1s }
scrape_configs:
  - job_name: b24-relay
    static_configs: [{ targets: ${JSON.stringify(targets)} }]
`,
      );
      prometheus = await startPrometheus(file);
      const portal = await relay.portal('acme');
      await portal.install(`${relay.gatewayUrl}/b24/install`);
      await eventually(async () => {
        expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
      });
      for (let made = 0; made < 6; made += 1)
        await portal.add(contactTypeId, { name: 'John', secondName: '', lastName: 'Smith' });
    }, 180_000);

    afterAll(async () => {
      await prometheus?.stop();
      await relay?.stop();
      rmSync(config, { recursive: true, force: true });
    }, 120_000);

    async function seriesOf(expr: string): Promise<string[]> {
      const query = expr.replaceAll('$__rate_interval', '20s').replaceAll('$__range', '5m');
      const response = await fetch(`${prometheus.url}/api/v1/query?${new URLSearchParams({ query })}`);
      return answer.parse(await response.json()).data.result.map(({ value: [, value] }) => value);
    }

    it('have data in every query, also in those about what goes wrong', async () => {
      expect(queries.length).toBeGreaterThan(40);
      await eventually(
        async () => {
          const empty = [];
          for (const { title, expr } of queries)
            if ((await seriesOf(expr)).length === 0) empty.push(`${title}: ${expr}`);
          expect(empty).toEqual([]);
        },
        { timeoutMs: 60_000, everyMs: 1_000 },
      );
    }, 90_000);
  },
);
