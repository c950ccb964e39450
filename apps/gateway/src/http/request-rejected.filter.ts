import { trace } from '@opentelemetry/api';
import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { BusUnavailableError } from '@relay/bus';
import { EventError, FormError } from '@relay/events';
import { InstallRejectedError } from '@relay/installs';
import { counter, type Log, LogSample } from '@relay/platform';
import { PortalError } from '@relay/portals';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';

/** Why the gateway did not answer 200; the README defines `status`, and the caller and the metric see `reason`. */
export class RequestRejectedError extends Error {
  override readonly name = 'RequestRejectedError';
  constructor(
    readonly status: 400 | 401 | 403 | 409 | 413 | 415 | 429 | 503,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(reason, options);
  }
}

const rejected = counter({
  name: 'relay_gateway_refused_total',
  help: 'Requests that were not answered with 200, by route and reason.',
  labelNames: ['route', 'reason'],
});

// A series that begins with its first rejection has no increase: an alert would not see it.
for (const reason of ['bus-unavailable', 'directory-unavailable', 'internal']) {
  rejected.inc({ route: '/b24/events', reason }, 0);
}

/** Maps every thrown value to one of the defined responses, without a stack and without an echo of the request. */
@Catch()
export class RequestRejectedFilter implements ExceptionFilter {
  private readonly sample: LogSample;

  constructor(private readonly log: Log) {
    this.sample = new LogSample(log);
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const { status, reason } = this.record(thrown, host);
    host.switchToHttp().getResponse<FastifyReply>().code(status).send({ error: reason });
  }

  /** Logs and counts a rejection. @returns how it is answered */
  record(error: unknown, host: ArgumentsHost): { status: number; reason: string } {
    const { status, reason } = answerTo(error);
    const path = host.switchToHttp().getRequest<FastifyRequest>().routeOptions?.url;
    rejected.inc({ route: path ?? 'none', reason });
    trace.getActiveSpan()?.setAttribute('error.type', reason);
    const fields = { reason, status, path };
    this.sample.add(`${path ?? 'no route'}: ${status} ${reason}`, () => {
      if (reason === 'internal')
        this.log.error({ event: 'gateway.request.failed', ...fields, err: error }, 'request failed');
      else if (status === 503)
        this.log.warn({ event: 'gateway.request.refused', ...fields, err: error }, 'request rejected');
      else this.log.info(fields, 'request rejected');
    });
    return { status, reason };
  }
}

const withStatus = z.object({ statusCode: z.number().int().min(400).max(499) });

function answerTo(error: unknown): { status: number; reason: string } {
  if (error instanceof RequestRejectedError || error instanceof InstallRejectedError) return error;
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
