import { context, propagation, ROOT_CONTEXT, type Context } from '@opentelemetry/api';

/** What a message carries of the span that is active now, in W3C's words; undefined while nothing is traced. */
export function currentTraceparent(): string | undefined {
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** Where a message's trace goes on: a span that is begun in it is the sender's child. Empty without a traceparent. */
export function contextOf(traceparent: string | undefined): Context {
  return traceparent === undefined ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent });
}
