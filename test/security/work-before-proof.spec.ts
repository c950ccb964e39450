import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { bytesOf, hostileShapes, plainBody, type Random, randomFrom } from '../support/hostile-bodies.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** Bodies in all; `FUZZ_BODIES=1000000` for a closer look, another `FUZZ_SEED` for others. */
const BODIES = Number(process.env['FUZZ_BODIES'] ?? 4_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const IN_FLIGHT = 16;

const LIMIT_BYTES = 256 * 1024;
/** Under the limit whatever a shape adds to what it is asked for. */
const WHOLE = LIMIT_BYTES - 4 * 1024;
const BODIES_A_ROUND = 4;
const ROUNDS = 2;

interface Answer {
  status: number;
  body: string;
}

/** Sizes of events mostly, and some of all others. */
function sizeOf(random: Random): number {
  const kind = random();
  if (kind < 0.002) return LIMIT_BYTES - 1_000 + random() * 2_000;
  if (kind < 0.01) return random() * 20_000;
  return 4 ** (random() * 5.5);
}

function fuzzed(random: Random): { path: string; body: Buffer } {
  const shapes = Object.values(hostileShapes);
  const shape = shapes[Math.floor(random() * shapes.length)] ?? plainBody;
  const body = bytesOf(shape(sizeOf(random), random));
  for (let damaged = Math.floor(random() * 3); damaged > 0 && body.length > 0; damaged -= 1) {
    body[Math.floor(random() * body.length)] = random() * 256;
  }
  const place = random();
  const path = place < 0.8 ? '/b24/events' : place < 0.9 ? '/b24/install' : '/b24/app?DOMAIN=x.bitrix24.com';
  return { path, body };
}

/** Real: gateway and PostgreSQL. Everything is posted by a stranger, who knows no portal's application token. */
describe('before an event is proved', () => {
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  let relay: Relay;
  let portal: SimulatedPortal;
  let applicationToken = '';

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', [], { apart: [['gateway']] });
    // What a stranger posts would fill the log's pipe.
    await relay.end('gateway');
    await relay.start('gateway', { LOG_LEVEL: 'warn' });
    portal = await relay.portal('acme');
    const installed = await portal.install(`${relay.gatewayUrl}/b24/install`);
    expect(installed.status).toBe(200);
    applicationToken = installed.application_token;
  });
  afterAll(async () => {
    agent.destroy();
    await relay?.stop();
  });

  function post(path: string, body: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = {
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': body.length,
      };
      const posted = request(`${relay.gatewayUrl}${path}`, { method: 'POST', agent, headers }, (response) => {
        text(response).then((said) => resolve({ status: response.statusCode ?? 0, body: said }), reject);
      });
      posted.on('error', reject);
      posted.end(body);
    });
  }

  /** Seconds of CPU that the gateway has used. */
  function used(): Promise<number> {
    return relay.metric('gateway', 'process_cpu_seconds_total');
  }

  /** Milliseconds of CPU that one such body costs: the least of some rounds, for all else only adds to it. */
  async function costOf(body: Buffer): Promise<number> {
    let least = Infinity;
    let before = await used();
    for (let round = 0; round < ROUNDS; round += 1) {
      for (let count = 0; count < BODIES_A_ROUND; count += 1) await post('/b24/events', body);
      const after = await used();
      least = Math.min(least, after - before);
      before = after;
    }
    return (least * 1_000) / BODIES_A_ROUND;
  }

  it('no body costs more than five times the CPU of a plain one of its size, or more than linearly by its length', async () => {
    const random = randomFrom(SEED);
    const plain = bytesOf(plainBody(WHOLE, random));
    await costOf(plain);
    const plainCost = await costOf(plain);
    const costly: Record<string, { timesPlain: number; timesHalf: number }> = {};
    for (const [name, shape] of Object.entries(hostileShapes)) {
      const [whole, half] = [WHOLE, WHOLE / 2].map((size) => bytesOf(shape(size, random)));
      if (whole === undefined || half === undefined) continue;
      let [wholeCost, halfCost] = [await costOf(whole), await costOf(half)];
      // A busy machine adds to what is measured, and nothing takes from it.
      for (let again = 0; again < 4 && isCostly(); again += 1) {
        wholeCost = Math.min(wholeCost, await costOf(whole));
        halfCost = Math.max(halfCost, await costOf(half));
      }
      if (isCostly()) costly[name] = { timesPlain: wholeCost / plainCost, timesHalf: wholeCost / halfCost };

      function isCostly(): boolean {
        return wholeCost > 5 * plainCost || wholeCost > 2.5 * halfCost;
      }
    }
    expect(costly).toEqual({});
  }, 240_000);

  it('an application token of any length costs no search, and gets 400', async () => {
    const body = `event=ONX&auth[member_id]=m&auth[application_token]=${'a'.repeat(32_000)}&data[A]=${'a'.repeat(220_000)}`;
    expect(await post('/b24/events', bytesOf(body))).toEqual({
      status: 400,
      body: '{"error":"malformed-field"}',
    });
  });

  it('an access token of any length is no reason to reject a genuine event', async () => {
    const form = {
      event: 'ONCRMCONTACTUPDATE',
      'data[FIELDS][ID]': '82',
      'auth[member_id]': portal.memberId,
      'auth[domain]': portal.domain,
      'auth[application_token]': applicationToken,
      'auth[access_token]': 'x'.repeat(2_000),
      'auth[refresh_token]': 'y'.repeat(2_000),
    };
    const body = Buffer.from(new URLSearchParams(form).toString());
    expect((await post('/b24/events', body)).status).toBe(200);
  });

  it(
    `whatever is posted (${BODIES} bodies, seed ${SEED}) is rejected as the README says, and the gateway goes on`,
    async () => {
      const random = randomFrom(SEED);
      const acceptedBefore = await relay.metric('gateway', 'relay_gateway_accepted_total');
      let left = BODIES;
      const strange: { path: string; body: string; answer: Answer }[] = [];
      await Promise.all(
        Array.from({ length: IN_FLIGHT }, async () => {
          while (left > 0 && strange.length === 0) {
            left -= 1;
            const { path, body } = fuzzed(random);
            const answer = await post(path, body);
            const isRejected = [400, 401, 413, 415].includes(answer.status) && !answer.body.includes('stack');
            if (!isRejected) strange.push({ path, body: body.toString('base64').slice(0, 4_000), answer });
          }
        }),
      );
      expect(strange).toEqual([]);
      expect(await relay.metric('gateway', 'relay_gateway_accepted_total')).toBe(acceptedBefore);
      expect(relay.log()).not.toContain('request failed');
    },
    60_000 + BODIES * 10,
  );
});
