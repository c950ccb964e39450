import { type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { Bitrix24Error } from './errors.js';

const tracer = trace.getTracer('@relay/bitrix24');

export interface TracedRequest {
  readonly memberId: string;
  readonly method: string;
  /** What is run by it, in lower case. */
  readonly methods: readonly string[];
  readonly url: URL;
}

/**
 * The span of one HTTP request, each repeat by itself; it begins when the pace has let the request go. The API does
 * nothing unless the process has set up an SDK. Of the address only the host is told: a webhook's path is its secret.
 */
export function inRequestSpan<T>(
  { memberId, method, methods, url }: TracedRequest,
  run: (span: Span) => Promise<T>,
): Promise<T> {
  const attributes = {
    'http.request.method': 'POST',
    'server.address': url.hostname,
    'relay.member_id': memberId,
    'relay.rest.method': method,
    'relay.rest.methods': [...methods],
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

/** The message of our own error holds no secret; another's is not repeated. */
function noteFailure(span: Span, error: unknown): void {
  if (error instanceof Bitrix24Error) {
    span.setAttribute('error.type', error.code);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  } else {
    span.setAttribute('error.type', error instanceof Error ? error.name : '_OTHER');
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
}
