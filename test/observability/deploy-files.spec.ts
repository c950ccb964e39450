import { describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { findPrometheus } from '../support/prometheus.mjs';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const manual = read('docs/operating.md');
const rules = read('deploy/prometheus/alerts.yml');
const tests = read('deploy/prometheus/alerts.test.yml');

const ruleFile = z.object({
  groups: z.tuple([
    z.object({
      name: z.literal('b24-relay'),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Relay\w+$/),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
          annotations: z.strictObject({ summary: z.string().min(1), runbook: z.string() }),
        }),
      ),
    }),
  ]),
});
const alerts = ruleFile
  .parse(parse(rules))
  .groups[0].rules.map(({ alert: name, expr, labels: { severity }, annotations: { runbook } }) => ({
    name,
    expr,
    severity,
    runbook,
  }));

/** What the code exports: the literals of its definitions, with the series of histograms. */
function exportedMetrics(): Set<string> {
  const names = new Set<string>();
  const files = ['apps', 'libs'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\/src\/.*\.ts$/.test(file) && !file.endsWith('.spec.ts'))
      .map((file) => read(join(folder, file))),
  );
  for (const text of files) {
    const defined = /(?:(?:counter|gauge|histogram)\(\{\s*name:|create\w*Gauge\(\s*)\s*'(\w+)'/g;
    for (const [, name = ''] of text.matchAll(defined)) names.add(name);
  }
  return names;
}

/** Of Node's default collectors and of Prometheus itself. */
const foreign = new Set([
  'ALERTS',
  'up',
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
  'nodejs_eventloop_lag_p99_seconds',
]);

function metricsIn(expr: string): string[] {
  // Without label matchers, ranges and grouping, what is left of words are functions and metrics.
  const bare = expr
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(by|without|on)\s*\([^)]*\)/g, ' ');
  const words = bare.matchAll(/\b([a-zA-Z_]\w*)\b(?!\s*\()/g);
  return [...words].flatMap(([, word = '']) =>
    ['or', 'and', 'unless', 'sum', 'count', 'max', 'by'].includes(word) ? [] : word,
  );
}

const exported = exportedMetrics();
const unknownMetrics = (exprs: readonly string[]): string[] =>
  exprs.flatMap(metricsIn).filter((name) => {
    return (
      !exported.has(name.replace(/_(bucket|sum|count)$/, '')) && !exported.has(name) && !foreign.has(name)
    );
  });

const anchors = new Set(
  [...manual.matchAll(/^#{2,} (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  ),
);

describe('the metrics of the code', () => {
  it('are in the manual', () => {
    expect(exported.size).toBeGreaterThan(50);
    expect([...exported].filter((name) => !manual.includes(`\`${name}\``))).toEqual([]);
  });

  it('are those of the manual', () => {
    const documented = [
      ...manual.matchAll(
        /`((?:relay|messaging|http)_\w+(?:_total|_seconds|_events|_bytes|_portals|_info))`/g,
      ),
    ];
    expect(documented.length).toBeGreaterThan(40);
    expect(documented.flatMap(([, name = '']) => (exported.has(name) ? [] : name))).toEqual([]);
  });
});

function promtool(...args: string[]): string {
  const folder = findPrometheus() ?? '';
  const cwd = join(root, 'deploy/prometheus');
  return execFileSync(join(folder, 'promtool'), args, { cwd, encoding: 'utf8', timeout: 50_000 });
}

describe('the alerts', () => {
  it('are those of the table in the manual, with their severities', () => {
    const section = /\n### Alerts\n([\s\S]*?)\n##/.exec(manual)?.[1] ?? '';
    const rows = [...section.matchAll(/^\| `(Relay\w+)` *\| (\w+) *\|/gm)];
    expect(rows.map(([, name, severity]) => ({ name, severity }))).toEqual(
      alerts.map(({ name, severity }) => ({ name, severity })),
    );
    expect(alerts.length).toBeGreaterThan(15);
  });

  it('each point to a section of the manual that exists', () => {
    for (const { name, runbook } of alerts) {
      const [page, anchor = ''] = runbook.split('#');
      expect({ name, page, exists: anchors.has(anchor) }).toEqual({
        name,
        page: 'docs/operating.md',
        exists: true,
      });
    }
  });

  it('use metrics that the code exports', () => {
    expect(alerts.every(({ expr }) => metricsIn(expr).length > 0)).toBe(true);
    expect(unknownMetrics(alerts.map(({ expr }) => expr))).toEqual([]);
  });

  it('have a case in which they fire and one in which they do not', () => {
    for (const { name } of alerts) {
      const cases = tests
        .split(/\n(?= {6}- )/)
        .filter((text) => new RegExp(`alertname: ${name}\\b`).test(text));
      expect({ name, quiet: cases.filter((text) => text.includes('exp_alerts: []')).length }).toEqual({
        name,
        quiet: 1,
      });
      expect({ name, fires: cases.filter((text) => text.includes('exp_labels')).length }).toEqual({
        name,
        fires: 1,
      });
    }
  });

  (findPrometheus() === undefined ? it.skip : it)(
    'fire, and do not, as alerts.test.yml says; promtool takes the configuration',
    () => {
      expect(promtool('check', 'config', 'prometheus.yml')).toContain(`${alerts.length} rules found`);
      expect(promtool('test', 'rules', 'alerts.test.yml')).toContain('SUCCESS');
    },
  );
});

const dashboard = z.object({
  uid: z.string().regex(/^b24-relay-/),
  title: z.string(),
  schemaVersion: z.number(),
  templating: z.object({
    list: z.array(z.object({ name: z.literal('datasource'), type: z.literal('datasource') })).length(1),
  }),
  panels: z.array(
    z.object({
      id: z.number(),
      title: z.string().min(1),
      type: z.enum(['timeseries', 'stat']),
      gridPos: z.object({
        x: z.number().min(0),
        y: z.number().min(0),
        w: z.number().min(1),
        h: z.number().min(1),
      }),
      datasource: z.object({ type: z.literal('prometheus'), uid: z.literal('${datasource}') }),
      targets: z
        .array(z.object({ refId: z.string(), expr: z.string().min(1), legendFormat: z.string().min(1) }))
        .min(1),
    }),
  ),
});

const files = readdirSync(join(root, 'deploy/grafana')).filter((name) => name.endsWith('.json'));

describe('the dashboards', () => {
  it('are there', () => expect(files.length).toBe(2));

  it.each(files)('%s has the shape of a dashboard, and its panels do not overlap', (file) => {
    const { panels } = dashboard.parse(JSON.parse(read(`deploy/grafana/${file}`)));
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });

  it.each(files)('%s uses metrics that the code exports', (file) => {
    const { panels } = dashboard.parse(JSON.parse(read(`deploy/grafana/${file}`)));
    const exprs = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(exprs.every((expr) => metricsIn(expr).length > 0)).toBe(true);
    expect(unknownMetrics(exprs)).toEqual([]);
  });
});

describe('the compose profile observability', () => {
  const service = z.looseObject({
    profiles: z.tuple([z.literal('observability')]),
    image: z.string().regex(/^[\w/]+:v?\d+\.\d+\.\d+$/, 'must be pinned to a version'),
    read_only: z.literal(true),
    cap_drop: z.tuple([z.literal('ALL')]),
    command: z.array(z.string()).default([]),
    // Only that of the apps; the databases' one is not for them.
    networks: z.undefined().optional(),
    ports: z.array(z.string().startsWith('127.0.0.1:')),
    volumes: z.array(z.string()),
  });
  const { services, volumes } = z
    .object({
      services: z.looseObject({ prometheus: service, grafana: service }),
      volumes: z.record(z.string(), z.unknown()),
    })
    .parse(parse(read('docker-compose.yml'), { merge: true }));
  const mounts = Object.entries({ prometheus: services.prometheus, grafana: services.grafana }).flatMap(
    ([name, { volumes: given }]) =>
      given.map((mount) => {
        const [from = '', to = '', mode] = mount.split(':');
        return { name, from, to, mode };
      }),
  );

  const isAt = (path: string, from: string): boolean =>
    mounts.some(
      ({ from: source, to }) => path.startsWith(to) && join(source, path.slice(to.length)) === join(from),
    );

  it('has no other services, and both are for whoever asks for them', () => {
    const named = Object.entries(services).filter(([, each]) =>
      z
        .looseObject({ profiles: z.array(z.string()).default([]) })
        .parse(each)
        .profiles.includes('observability'),
    );
    expect(named.map(([name]) => name)).toEqual(['prometheus', 'grafana']);
  });

  it('mounts files that are there, so that nobody can change them, and volumes that are declared', () => {
    const mounted = mounts.filter(({ from }) => from.startsWith('.'));
    expect(mounted.filter(({ from, mode }) => mode !== 'ro' || !existsSync(join(root, from)))).toEqual([]);
    const named = mounts.filter(({ from }) => !from.startsWith('.')).map(({ from }) => from);
    expect(Object.keys(volumes)).toEqual(expect.arrayContaining(named));
  });

  it('leads Prometheus to its configuration, and Grafana to Prometheus and the dashboards', () => {
    const config = services.prometheus.command
      .find((each) => each.startsWith('--config.file='))
      ?.slice('--config.file='.length);
    expect(isAt(config ?? '', './deploy/prometheus/prometheus.yml')).toBe(true);
    const { datasources } = z
      .object({ datasources: z.tuple([z.looseObject({ url: z.url() })]) })
      .parse(parse(read('deploy/grafana/datasources.yml')));
    const { hostname, port } = new URL(datasources[0].url);
    expect(Object.keys(services)).toContain(hostname);
    expect(services.prometheus.ports[0]?.endsWith(`:${port}`)).toBe(true);
    const { providers } = z
      .object({ providers: z.tuple([z.looseObject({ options: z.object({ path: z.string() }) })]) })
      .parse(parse(read('deploy/grafana/dashboards.yml')));
    expect(isAt(providers[0].options.path, './deploy/grafana')).toBe(true);
  });

  const compose = spawnSync('docker', ['compose', 'version']).status === 0 ? it : it.skip;
  compose('is read by compose itself', () => {
    const args = ['compose', '--profile', 'observability', 'config', '--services'];
    const { stdout, stderr, status } = spawnSync('docker', args, { cwd: root, encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(['prometheus', 'grafana', 'gateway']));
  });
});

describe('the scrape configuration', () => {
  it('asks every service of compose that has an ops port', () => {
    const services = read('docker-compose.yml').split(/\nservices:\n/)[1] ?? '';
    const ours = [
      ...services.matchAll(/^ {2}([\w-]+):\n(?: {4}.*\n)*? {4}command: \['node', 'dist\/apps\//gm),
    ].map(([, name = '']) => name);
    const scraped = /names: \[([^\]]+)\]/.exec(read('deploy/prometheus/prometheus.yml'))?.[1]?.split(', ');
    expect(ours).toContain('offline-puller');
    expect(scraped).toEqual(ours.filter((name) => name !== 'portal-simulator'));
  });

  it('asks them at the port where they have their metrics, by a network that Prometheus is on', () => {
    const job = z.looseObject({
      static_configs: z.undefined().optional(),
      dns_sd_configs: z.tuple([
        z.looseObject({ names: z.array(z.string()), type: z.literal('A'), port: z.number() }),
      ]),
    });
    const { scrape_configs } = z
      .object({ scrape_configs: z.array(job).min(1) })
      .parse(parse(read('deploy/prometheus/prometheus.yml')));
    const service = z.looseObject({
      environment: z.looseObject({ OPS_PORT: z.number() }),
      networks: z.union([z.array(z.string()), z.record(z.string(), z.unknown()).transform(Object.keys)]),
    });
    const { services } = z
      .object({ services: z.record(z.string(), z.unknown()) })
      .parse(parse(read('docker-compose.yml'), { merge: true }));
    const targets = scrape_configs.flatMap(({ dns_sd_configs: [{ names, port }] }) =>
      names.map((name) => ({ name, port })),
    );
    expect(targets.length).toBeGreaterThan(0);
    for (const { name, port } of targets) {
      const { environment, networks } = service.parse(services[name]);
      expect({ name, port: environment.OPS_PORT, networks }).toEqual({
        name,
        port,
        networks: expect.arrayContaining(['default']),
      });
    }
  });
});
