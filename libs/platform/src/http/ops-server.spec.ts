import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fastify } from 'fastify';
import { counter } from '../telemetry/metrics.js';
import type { HealthResult, Readiness } from './health.js';
import { OpsServer } from './ops-server.js';

describe('the ops port', () => {
  let broker: () => Readiness | HealthResult;
  let server: OpsServer;
  let url: string;

  beforeEach(async () => {
    broker = () => true;
    server = new OpsServer({ database: async () => true, broker: () => broker() });
    url = `http://127.0.0.1:${await server.start(0)}`;
  });
  afterEach(() => server.stop());

  it('is live while the event loop runs', async () => {
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  });

  it('is ready when every check passes', async () => {
    const answer = await fetch(`${url}/health/ready`);
    expect([answer.status, await answer.json()]).toEqual([
      200,
      { status: 'ready', checks: { database: true, broker: true } },
    ]);
  });

  it('is not ready, and names the check, when a check fails or throws', async () => {
    broker = () => {
      throw new Error('amqp://guest:secret@host is down');
    };
    const answer = await fetch(`${url}/health/ready`);
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { status: 'not ready', checks: { database: true, broker: false } },
    ]);
  });

  it('is ready, and reports it, when a check is degraded', async () => {
    broker = () => 'degraded';
    const answer = await fetch(`${url}/health/ready`);
    expect([answer.status, await answer.json()]).toEqual([
      200,
      { status: 'degraded', checks: { database: true, broker: 'degraded' } },
    ]);
  });

  it('reports the reason of a check without secrets', async () => {
    broker = () => ({ healthy: false, reason: 'Nothing answers at amqp://relay:s3cr3t@broker' });
    const answer = await fetch(`${url}/health/ready`);
    expect([answer.status, await answer.json()]).toEqual([
      503,
      {
        status: 'not ready',
        checks: { database: true, broker: false },
        reasons: { broker: 'Nothing answers at amqp://[redacted]@broker' },
      },
    ]);
    broker = () => ({ healthy: true, reason: 'all is well again' });
    expect(await (await fetch(`${url}/health/ready`)).json()).toEqual({
      status: 'ready',
      checks: { database: true, broker: true },
    });
  });

  it.each(['/ops', '/ops/', '/ops/api/portals'])(
    'routes %s to the mounted API, and answers 404 before',
    async (path) => {
      expect((await fetch(url + path)).status).toBe(404);
      const api = fastify();
      api.all('*', async (request) => ({ seen: request.url }));
      await api.ready();
      server.mount(api);
      expect(await (await fetch(`${url}${path}?a=1`)).json()).toEqual({ seen: `${path}?a=1` });
      expect((await fetch(`${url}/opsx`)).status).toBe(404);
    },
  );

  it("shows metrics in Prometheus' format", async () => {
    counter({ name: 'relay_spec_total', help: 'Counted by this spec.' }).inc(3);
    counter({ name: 'relay_spec_total', help: 'Counted by this spec.' }).inc(4);
    const body = await (await fetch(`${url}/metrics`)).text();
    expect(body).toContain('relay_spec_total 7');
    expect(body).toContain('process_cpu_user_seconds_total');
  });
});
