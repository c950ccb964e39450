import { trace } from '@opentelemetry/api';
import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { BusUnavailableError } from '@relay/bus';
import { EventError, FormError } from '@relay/events';
import { counter, type Log } from '@relay/platform';
import { PortalError } from '@relay/portals';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { PageFailure } from '../pages/page-failure.js';
import { rejectionPage } from '../pages/rejection-page.js';
import { LogSample } from './log-sample.js';
import { RequestRejectedError } from './request-rejected-error.js';

const refused = counter({
  name: 'relay_gateway_refused_total',
  help: 'Requests that were not answered with 200, by route and reason.',
  labelNames: ['route', 'reason'],
});

/** Maps every thrown value to one of the defined responses, without a stack and without an echo of the request. */
@Catch()
export class RequestRejectedFilter implements ExceptionFilter {
  private readonly sample: LogSample;

  constructor(private readonly log: Log) {
    this.sample = new LogSample(log);
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const error = thrown instanceof PageFailure ? thrown.cause : thrown;
    const { status, reason } = answerTo(error);
    const path = host.switchToHttp().getRequest<FastifyRequest>().routeOptions?.url;
    refused.inc({ route: path ?? 'none', reason });
    trace.getActiveSpan()?.setAttribute('error.type', reason);
    const fields = { reason, status, path };
    this.sample.add(`${path ?? 'no route'}: ${status} ${reason}`, () => {
      if (reason === 'internal') this.log.error({ ...fields, err: error }, 'request failed');
      else if (status === 503) this.log.warn({ ...fields, err: error }, 'request refused');
      else this.log.info(fields, 'request refused');
    });
    const reply = host.switchToHttp().getResponse<FastifyReply>().code(status);
    if (!(thrown instanceof PageFailure)) return void reply.send({ error: reason });
    const { headers, body } = rejectionPage(status, reason);
    return void reply.headers(headers).send(body);
  }
}

const withStatus = z.object({ statusCode: z.number().int().min(400).max(499) });

function answerTo(error: unknown): { status: number; reason: string } {
  if (error instanceof RequestRejectedError) return error;
  if (error instanceof FormError || error instanceof EventError) return { status: 400, reason: error.code };
  if (error instanceof BusUnavailableError) return { status: 503, reason: 'bus-unavailable' };
  if (error instanceof PortalError) {
    return { status: 503, reason: error.code.toLowerCase().replaceAll('_', '-') };
  }
  if (error instanceof HttpException)
    return { status: error.getStatus(), reason: reasonOf(error.getStatus()) };
  const fromFastify = withStatus.safeParse(error);
  if (fromFastify.success) {
    return { status: fromFastify.data.statusCode, reason: reasonOf(fromFastify.data.statusCode) };
  }
  // The database failed during the request, or a bug: either way the event is not stored.
  return { status: 503, reason: 'internal' };
}

function reasonOf(status: number): string {
  if (status === 404) return 'not-found';
  if (status === 413) return 'too-large';
  if (status === 415) return 'not-a-form';
  return 'bad-request';
}
