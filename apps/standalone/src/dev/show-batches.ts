/**
 * Loaded into a consumer's process by `npm run dev` before its own code: writes a line to standard output, after those of its log, for each batch that its
 * handler has ended, and ends the process with `npm run dev`, however that ends.
 */
import { context, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  type ReadableSpan,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { z } from 'zod';
import { lineOf, BATCH_MARK } from './batch-lines.js';

const texts = z.array(z.string()).catch([]);
const attributes = z.object({
  'relay.events': texts,
  'relay.entities': texts,
  'relay.batch.entries': z.number().catch(0),
  'relay.batch.failed': z.number().catch(0),
  'relay.source': z.enum(['offline', 'reconcile']).optional().catch(undefined),
  'error.type': z.string().optional().catch(undefined),
});

/** Far more than the batches in flight. */
const MAX_TRACES = 1_000;

class BatchLines implements SpanProcessor {
  /** Per trace, the methods of each request; a batch is a trace of its own. */
  private readonly requests = new Map<string, string[][]>();

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    const { traceId } = span.spanContext();
    if (span.kind === SpanKind.CLIENT && 'bitrix24.methods' in span.attributes) {
      // Of work that is no batch, such as jobs, nobody asks.
      if (this.requests.size > MAX_TRACES) this.requests.clear();
      const all = this.requests.get(traceId) ?? [];
      all.push(texts.parse(span.attributes['bitrix24.methods']));
      this.requests.set(traceId, all);
    }
    if (span.attributes['messaging.operation.type'] !== 'process') return;
    const requests = this.requests.get(traceId) ?? [];
    this.requests.delete(traceId);
    const of = attributes.parse(span.attributes);
    const [seconds, nanos] = span.duration;
    const line = lineOf({
      events: of['relay.events'],
      entities: of['relay.entities'],
      source: of['relay.source'],
      count: of['relay.batch.entries'],
      failed: of['relay.batch.failed'],
      error: of['error.type'],
      requests,
      tookMs: seconds * 1_000 + nanos / 1e6,
    });
    process.stdout.write(`${BATCH_MARK}${line}\n`);
  }

  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}
}

// So the log is written by it, too, and not beside it: pino does so where `write` is another one than that of its class.
process.stdout.write = process.stdout.write.bind(process.stdout);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ sampler: new AlwaysOnSampler(), spanProcessors: [new BatchLines()] }),
);
// The other end is in npm run dev, and closes with it, even by kill -9.
process.stdin.on('close', () => process.kill(process.pid, 'SIGTERM')).resume();
process.stdin.on('error', () => undefined);
