import type { DiagLogger } from '@opentelemetry/api';
import type { Log } from '../logger.js';

/** A collector that is away fails every few seconds; one line a minute tells of it. */
const QUIET_MS = 60_000;
const MAX_REASON_LENGTH = 300;

const nothing = (): void => undefined;

/** The SDK's own complaints, such as an export that failed or a sampler that is not known, as warnings of our log. */
export function throttledDiagnostics(log: Log, now: () => number = Date.now): DiagLogger {
  const toldAt = new Map<string, number>();
  const tell = (message: string): void => {
    // Errors come as JSON in the message, with their stacks.
    const kind = message.slice(0, 40);
    if (now() - (toldAt.get(kind) ?? -Infinity) < QUIET_MS) return;
    toldAt.set(kind, now());
    // A header of OTEL_EXPORTER_OTLP_HEADERS that cannot be sent is quoted, and is probably a token.
    const reason = message
      .replace(/has invalid value \(.*\)/s, 'has an invalid value')
      .slice(0, MAX_REASON_LENGTH);
    log.warn({ reason }, 'traces: the exporter complains');
  };
  return { error: tell, warn: tell, info: nothing, debug: nothing, verbose: nothing };
}
