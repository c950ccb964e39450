import { context, diag, type DiagLogger, DiagLogLevel, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type Span,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { pause } from '../async/async.js';
import type { Log } from './logger.js';
import { redactText } from '../redaction/redact-text.js';

/** An unavailable collector must not delay the end of a process; spans not sent by then are dropped. */
const FLUSH_TIMEOUT_MS = 3_000;
/** An unavailable collector causes an error every few seconds; one line per minute is logged. */
const QUIET_MS = 60_000;
const MAX_REASON_LENGTH = 300;

/**
 * Exports the spans of this process to `${endpoint}/v1/traces` as OTLP in JSON, a batch every few seconds. The SDK
 * reads its own variables for sampling, intervals and headers (`OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`,
 * `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, …). Call once per process.
 * @returns a function that sends the remaining spans and ends the export
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
      .catch((err: unknown) =>
        log.warn({ event: 'traces.export.failed', err }, 'the last spans could not be exported'),
      );
    await Promise.race([ended, pause(FLUSH_TIMEOUT_MS, timeUp.signal)]);
    timeUp.abort();
    trace.disable();
    context.disable();
    propagation.disable();
    diag.disable();
  };
}

/**
 * Redacts the secrets of a span before it is exported, as the logger does with its lines: a second line of defence, as
 * our code never puts a secret into a span. Names of spans and attributes are ours, their values may quote foreign
 * text.
 */
export class RedactingProcessor implements SpanProcessor {
  onStart(): void {}

  onEnding(span: Span): void {
    for (const [name, value] of Object.entries(span.attributes)) {
      if (typeof value !== 'string') continue;
      const redacted = redactText(value);
      if (redacted !== value) span.setAttribute(name, redacted);
    }
    const { code, message } = span.status;
    if (message !== undefined) span.setStatus({ code, message: redactText(message) });
  }

  onEnd(): void {}

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}
}

const nothing = (): void => undefined;

/** Logs the SDK's own diagnostics, such as a failed export or an unknown sampler, as warnings. */
export function throttledDiagnostics(log: Log, now: () => number = Date.now): DiagLogger {
  const toldAt = new Map<string, number>();
  const tell = (message: string): void => {
    // Errors are JSON in the message, with their stacks.
    const kind = message.slice(0, 40);
    if (now() - (toldAt.get(kind) ?? -Infinity) < QUIET_MS) return;
    toldAt.set(kind, now());
    // The message quotes an invalid header of OTEL_EXPORTER_OTLP_HEADERS, which is probably a token.
    const reason = message
      .replace(/has invalid value \(.*\)/s, 'has an invalid value')
      .slice(0, MAX_REASON_LENGTH);
    log.warn({ event: 'traces.export.failed', reason }, 'traces: the exporter reports a problem');
  };
  return { error: tell, warn: tell, info: nothing, debug: nothing, verbose: nothing };
}
