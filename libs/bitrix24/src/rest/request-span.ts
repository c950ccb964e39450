import { type Attributes, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { Bitrix24Error } from './errors.js';

const tracer = trace.getTracer('bitrix24-rest-client');

interface TracedRequest {
  readonly memberId: string;
  readonly method: string;
  /** The executed methods, in lower case. */
  readonly methods: readonly string[];
  readonly url: URL;
  /** Besides its own. */
  readonly attributes?: Attributes | undefined;
}

/**
 * Runs in a span of one HTTP request; each retry has its own span. The span starts after the rate limiter has admitted
 * the request. The API is a no-op without an SDK. The span has only the host of the address: a webhook's path is its
 * secret.
 */
export function inRequestSpan<T>(
  { memberId, method, methods, url, attributes: added }: TracedRequest,
  run: (span: Span) => Promise<T>,
): Promise<T> {
  const attributes = {
    'http.request.method': 'POST',
    'server.address': url.hostname,
    'bitrix24.member_id': memberId,
    'bitrix24.method': method,
    'bitrix24.methods': [...methods],
    ...added,
  };
  return tracer.startActiveSpan(`POST ${method}`, { kind: SpanKind.CLIENT, attributes }, async (span) => {
    try {
      return await run(span);
    } catch (error) {
      noteFailure(span, error);
      throw error;
    } finally {
      span.end();
    }
  });
}

export function noteHttpStatus(span: Span, httpStatus: number | undefined): void {
  if (httpStatus !== undefined) span.setAttribute('http.response.status_code', httpStatus);
}

/** The message of our own error contains no secret; messages of other errors are not recorded. */
function noteFailure(span: Span, error: unknown): void {
  if (error instanceof Bitrix24Error) {
    span.setAttribute('error.type', error.code);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  } else {
    span.setAttribute('error.type', error instanceof Error ? error.name : '_OTHER');
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
}
