import { AddressError, Bitrix24Error } from '@relay/bitrix24';
import type { PortalList, PortalSettings, WebhookPairs } from '@relay/portals';
import type { TestEvents } from '../events/test-events.js';
import { fastify, type FastifyInstance } from 'fastify';
import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

export interface OpsApiParts {
  /** What an operator has to bring, as a bearer token. */
  token: string;
  portals: PortalList;
  webhookPairs: WebhookPairs;
  settings: PortalSettings;
  tests: TestEvents;
}

const webhookPair = z.strictObject({ webhookUrl: z.string().min(1), applicationToken: z.string().min(1) });
const settingsPath = z.object({ memberId: z.string().min(1), consumer: z.string().min(1) });
const testPath = z.object({ memberId: z.string().min(1) });
const settingsBody = z.record(z.string(), z.json());

/** The operator API under `/ops/api`, for the command line `relay` and for scripts. No answer holds a secret. */
export async function createOpsApi({
  token,
  portals,
  webhookPairs,
  settings,
  tests,
}: OpsApiParts): Promise<FastifyInstance> {
  const api = fastify();
  api.addHook('onRequest', async (request, reply) => {
    if (!isEqual(request.headers.authorization ?? '', `Bearer ${token}`)) {
      return reply.code(401).send({ error: 'OPS_TOKEN is wrong or missing' });
    }
    return undefined;
  });
  api.setErrorHandler((error, _request, reply) => {
    const { status, message } = answerTo(error);
    return reply.code(status).send({ error: message });
  });

  api.get('/ops/api/portals', async () => ({ portals: await portals.all() }));
  api.post('/ops/api/portals/webhook', async (request, reply) => {
    const host = await webhookPairs.add(webhookPair.parse(request.body));
    return reply.code(201).send({ host, waitsFor: 'the first event of its outgoing webhook' });
  });
  api.put('/ops/api/portals/:memberId/settings/:consumer', async (request, reply) => {
    const { memberId, consumer } = settingsPath.parse(request.params);
    await settings.set(memberId, consumer, settingsBody.parse(request.body));
    return reply.code(204).send();
  });
  api.post('/ops/api/portals/:memberId/test', async (request) => {
    const heardAfterMs = await tests.tryOut(testPath.parse(request.params).memberId);
    return { heard: heardAfterMs !== undefined, heardAfterMs };
  });
  await api.ready();
  return api;
}

/** A zod message names the field and never its value. */
function answerTo(error: unknown): { status: number; message: string } {
  if (error instanceof z.ZodError) return { status: 400, message: z.prettifyError(error) };
  if (error instanceof AddressError) return { status: 400, message: `webhookUrl: ${error.reason}` };
  if (error instanceof Bitrix24Error && error.code === 'NOT_INSTALLED') {
    return { status: 404, message: 'There is no such portal' };
  }
  if (error instanceof Bitrix24Error) return { status: 502, message: `The portal answered ${error.code}` };
  const clientError = z.object({ statusCode: z.number().int().min(400).max(499), message: z.string() });
  const known = clientError.safeParse(error);
  return known.success
    ? { status: known.data.statusCode, message: known.data.message }
    : { status: 500, message: 'It did not work; the log of the gateway says why' };
}

function isEqual(given: string, expected: string): boolean {
  const [one, other] = [given, expected].map((text) => createHash('sha256').update(text).digest());
  return one !== undefined && other !== undefined && timingSafeEqual(one, other);
}
