import type { Span, SpanProcessor } from '@opentelemetry/sdk-trace-base';
import { redactText } from '../redaction/redact-text.js';

/**
 * Takes secrets out of a span before it is exported, as the logger does with its lines: a second line of defence, since
 * no code of ours hands one to a span. Names of spans and attributes are ours, their values may quote others.
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
