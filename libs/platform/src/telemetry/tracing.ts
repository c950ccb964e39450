import {
  context,
  propagation,
  ROOT_CONTEXT,
  type Context,
  ProxyTracerProvider,
  trace,
} from '@opentelemetry/api';
import type { Environment } from '../environment/environment.js';
import { createLogger, type Log } from './logger.js';

interface Running {
  close(): Promise<void>;
}

/**
 * Starts an app and exports its traces if `OTEL_EXPORTER_OTLP_ENDPOINT` is set; the last spans are sent after the app
 * has closed. Otherwise the SDK is not loaded, and spans are the no-op spans of the API.
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

/** The same for a process without a single app. @returns a function that sends the last spans */
export async function startTraces(app: string, endpoint: string, log: Log): Promise<() => Promise<void>> {
  const { exportTraces } = await import('./export-traces.js');
  return exportTraces(app, endpoint, log);
}

/** The `traceparent` of the active span for a message (W3C Trace Context); undefined when tracing is off. */
export function currentTraceparent(): string | undefined {
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** The context of a message's trace: a span started in it is a child of the sender's. Empty without a traceparent. */
export function contextOf(traceparent: string | undefined): Context {
  return traceparent === undefined ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent });
}

/** Whether an SDK records the spans of this process; otherwise they need not be started. */
export function isTraced(): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('@relay') !== undefined;
}
