import { BadRequestException, HttpException } from '@nestjs/common';
import type { keyRotationResponse, Sent } from '@relay/admin-contract';
import { AddressError, Bitrix24Error } from '@relay/bitrix24';
import { BusUnavailableError, OperationInProgressError, NoSuchConsumerError } from '@relay/bus';
import { UnknownPortalError } from '@relay/jobs';
import { LogSample } from '@relay/platform';
import { type KeyRotation, PortalError } from '@relay/portals';
import { fastify, type FastifyInstance } from 'fastify';
import { createHash, timingSafeEqual } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { addBusRoutes, type BusRouteParts } from './bus-routes.js';
import { addDeadLetterRoutes, type DeadLetterRouteParts } from './dead-letter-routes.js';
import { addEventRoutes, type EventRouteParts } from './event-routes.js';
import { FailedAuthThrottle } from './failed-auth-throttle.js';
import { addPageRoutes } from './page-routes.js';
import { addPortalRoutes, type PortalRouteParts } from './portal-routes.js';
import { addSyncRoutes, type SyncRouteParts } from './sync-routes.js';

interface AdminApiParts
  extends PortalRouteParts, BusRouteParts, DeadLetterRouteParts, EventRouteParts, SyncRouteParts {
  /** The bearer token that operators send. */
  token: string;
  keys: KeyRotation;
}

/** Settings are the deepest input. */
const MAX_DEPTH = 16;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Shown to everyone who reaches the port. */
    needsNoToken?: boolean;
  }
}

/**
 * The operator API under `/ops/api`, for the command line `relay`, the console and scripts; and the console. No
 * response contains a secret.
 */
export async function createAdminApi({
  token,
  keys,
  log,
  ...parts
}: AdminApiParts): Promise<FastifyInstance> {
  const api = fastify();
  const [throttle, sample] = [new FailedAuthThrottle(), new LogSample(log)];
  api.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.needsNoToken) return undefined;
    if (isEqual(request.headers.authorization ?? '', `Bearer ${token}`)) return undefined;
    const { ip: address } = request;
    sample.add('wrong OPS_TOKEN', () =>
      log.warn({ event: 'ops.token.wrong', address }, 'a wrong OPS_TOKEN, or none'),
    );
    const pauseMs = throttle.hold(address);
    if (pauseMs === undefined) {
      return reply
        .code(429)
        .headers({ 'retry-after': '5', connection: 'close' })
        .send({ error: 'too many wrong tokens' });
    }
    await delay(pauseMs);
    throttle.release();
    return reply.code(401).send({ error: 'OPS_TOKEN is wrong or missing' });
  });
  api.addHook('preValidation', async (request) => {
    requireStorable([request.body, request.query, request.params]);
  });
  api.setErrorHandler((error, request, reply) => {
    const { status, message } = answerTo(error);
    if (status >= 500)
      log.warn(
        { event: 'ops.request.failed', err: error, path: request.routeOptions.url, status },
        'an operator’s request failed',
      );
    return reply.code(status).send({ error: message });
  });
  addPageRoutes(api);
  addPortalRoutes(api, { ...parts, log });
  addBusRoutes(api, parts);
  addDeadLetterRoutes(api, parts);
  addEventRoutes(api, parts);
  addSyncRoutes(api, parts);
  api.post('/ops/api/keys/rotate', async (): Promise<Sent<typeof keyRotationResponse>> => keys.run());
  await api.ready();
  return api;
}

/** A zod message names the field and never its value. */
function answerTo(error: unknown): { status: number; message: string } {
  if (error instanceof z.ZodError) return { status: 400, message: sentencesOf(error) };
  if (error instanceof HttpException) return { status: error.getStatus(), message: error.message };
  if (error instanceof AddressError) return { status: 400, message: `webhookUrl: ${error.reason}` };
  if (
    error instanceof UnknownPortalError ||
    (error instanceof Bitrix24Error && error.code === 'NOT_INSTALLED')
  ) {
    return { status: 404, message: 'There is no such portal' };
  }
  if (error instanceof PortalError && error.code === 'BAD_SETTINGS') {
    return { status: 400, message: error.message };
  }
  if (error instanceof Bitrix24Error) return { status: 502, message: `The portal answered ${error.code}` };
  if (error instanceof NoSuchConsumerError) return { status: 404, message: error.message };
  if (error instanceof OperationInProgressError) return { status: 409, message: error.message };
  if (error instanceof BusUnavailableError) return { status: 503, message: error.message };
  const clientError = z.object({ statusCode: z.number().int().min(400).max(499), message: z.string() });
  const known = clientError.safeParse(error);
  return known.success
    ? { status: known.data.statusCode, message: known.data.message }
    : { status: 500, message: 'It did not work; the log of the control plane says why' };
}

function sentencesOf({ issues }: z.ZodError): string {
  return issues
    .map(({ path, message }) => [path.map(String).join('.'), message].filter((text) => text !== '').join(' '))
    .join('; ');
}

/**
 * Rejects input that PostgreSQL cannot store, or that is nested too deeply, before anything reads it.
 * @throws BadRequestException
 */
function requireStorable(given: unknown): void {
  let level = [given];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) throw new BadRequestException(`The request is nested more than ${MAX_DEPTH} deep`);
    const texts = level.filter((value) => typeof value === 'string');
    if (texts.some((text) => /[\0\p{Cs}]/u.test(text))) {
      throw new BadRequestException('The request has a text with NUL or half a character in it');
    }
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? Object.entries(value).flat() : [],
    );
  }
}

function isEqual(given: string, expected: string): boolean {
  const [one, other] = [given, expected].map((text) => createHash('sha256').update(text).digest());
  return one !== undefined && other !== undefined && timingSafeEqual(one, other);
}
