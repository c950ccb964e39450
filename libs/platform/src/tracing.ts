import {
  context,
  propagation,
  ROOT_CONTEXT,
  type Context,
  ProxyTracerProvider,
  trace,
} from '@opentelemetry/api';
import type { Environment } from './environment.js';
import { createLogger, type Log } from './logger.js';

interface Running {
  close(): Promise<void>;
}

/**
 * Starts a process' app with its traces exported, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set; the last spans are sent after
 * the app has closed. Without it the SDK is not even loaded, and the spans that code begins are those of the API, which
 * do nothing.
 */
export async function traced<T extends Running>(
  app: string,
  {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    LOG_LEVEL: level,
  }: Pick<Environment, 'OTEL_EXPORTER_OTLP_ENDPOINT' | 'LOG_LEVEL'>,
  start: () => Promise<T>,
): Promise<Running> {
  if (endpoint === undefined) return start();
  const stopTraces = await startTraces(app, endpoint, createLogger(app, level));
  const running = await start();
  return {
    close: async () => {
      try {
        await running.close();
      } finally {
        await stopTraces();
      }
    },
  };
}

/** The same for a process that has no single app. @returns what sends the last spans */
export async function startTraces(app: string, endpoint: string, log: Log): Promise<() => Promise<void>> {
  const { exportTraces } = await import('./export-traces.js');
  return exportTraces(app, endpoint, log);
}

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

/** Whether an SDK takes the spans of this process; else they do nothing, and need not be begun. */
export function isTraced(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('@relay') !== undefined;
}
