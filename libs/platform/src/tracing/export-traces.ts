import { context, diag, DiagLogLevel, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../logger.js';
import { RedactingProcessor } from './redacting-processor.js';
import { throttledDiagnostics } from './throttled-diagnostics.js';

/** A collector that is away must not keep a process from ending; what it has not got by then is given up. */
const FLUSH_TIMEOUT_MS = 3_000;

/**
 * From now on spans of this process go to `${endpoint}/v1/traces` as OTLP in JSON, a batch every few seconds. How many,
 * how often, with which headers: the SDK reads its own variables (`OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`,
 * `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, …). Once for a process.
 * @returns what sends the rest and ends it
 */
export function exportTraces(app: string, endpoint: string, log: Log): () => Promise<void> {
  diag.setLogger(throttledDiagnostics(log), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const named = resourceFromAttributes({ 'service.namespace': 'b24-relay', 'service.name': app });
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(named)
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [
      new RedactingProcessor(),
      new BatchSpanProcessor(new OTLPTraceExporter({ url: `${endpoint}/v1/traces` })),
    ],
  });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  return async () => {
    const timeUp = new AbortController();
    const ended = provider
      .shutdown()
      .catch((err: unknown) => log.warn({ err }, 'the last spans could not be exported'));
    await Promise.race([
      ended,
      delay(FLUSH_TIMEOUT_MS, undefined, { signal: timeUp.signal }).catch(() => undefined),
    ]);
    timeUp.abort();
    trace.disable();
    context.disable();
    propagation.disable();
    diag.disable();
  };
}
