import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';

/** How a request ended on the line. `sent` is false when surely no byte of it was written. */
export type ReadResponse =
  | {
      readonly kind: 'answer';
      readonly httpStatus: number;
      readonly bytes: Buffer;
      readonly encoding?: string;
    }
  | { readonly kind: 'redirect'; readonly httpStatus: number }
  | { readonly kind: 'too-long'; readonly httpStatus: number }
  /** The connection broke after the head of the answer. */
  | { readonly kind: 'cut'; readonly httpStatus: number }
  | { readonly kind: 'timeout'; readonly sent: boolean }
  | { readonly kind: 'failed'; readonly sent: boolean; readonly error: unknown };

export interface ReadLimits {
  /** From now to the last byte of the answer. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** A deadline that fires so much too late was kept up by this process, not by the other side. */
const LATE_MS = 250;
/** For what is in the socket by then: reading it takes a turn of the event loop, or a few. */
const GRACE_MS = 1_000;

/**
 * Dispatches one request and gathers its answer. Nothing is followed, nothing is repeated, and nothing more is taken
 * from the line than may be kept.
 *
 * A process that stood still beyond the deadline (stopped, starved, in a long computation) meets its timers before its
 * sockets: it looks into them once more, since the answer may have come in time, and may hold the only new token pair.
 *
 * @throws the signal's reason when the caller aborts
 */
export function readResponse(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  { timeoutMs, maxBytes, signal }: ReadLimits,
): Promise<ReadResponse> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let head: { httpStatus: number; headers: IncomingHttpHeaders } | undefined;
    let line: Dispatcher.DispatchController | undefined;
    let over = false;

    /** The first ending counts. The line is given up, unless it has brought the whole answer. */
    const end = (settle: () => void, whole = false): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      settle();
      if (!whole) line?.abort(givenUp());
    };
    const abort = (): void => end(() => reject(signal?.reason));
    const expire = (): void => end(() => resolve({ kind: 'timeout', sent: line !== undefined }));
    const dueAtMs = performance.now() + timeoutMs;
    let timer = setTimeout(() => {
      if (performance.now() - dueAtMs < LATE_MS) expire();
      else timer = setTimeout(expire, GRACE_MS);
    }, timeoutMs);
    signal?.addEventListener('abort', abort, { once: true });

    dispatcher.dispatch(request, {
      onRequestStart(controller) {
        // Called when there is a connection, which can be after the end.
        if (over) controller.abort(givenUp());
        else line = controller;
      },
      onResponseStart(_, httpStatus, headers) {
        if (httpStatus < 200) return;
        head = { httpStatus, headers };
        if (httpStatus >= 300 && httpStatus < 400) end(() => resolve({ kind: 'redirect', httpStatus }));
      },
      onResponseData(_, chunk) {
        bytes += chunk.byteLength;
        chunks.push(chunk);
        const httpStatus = head?.httpStatus ?? 0;
        if (bytes > maxBytes) end(() => resolve({ kind: 'too-long', httpStatus }));
      },
      onResponseEnd() {
        const { httpStatus = 0, headers = {} } = head ?? {};
        const encoding = headers['content-encoding'];
        const answer = { kind: 'answer', httpStatus, bytes: Buffer.concat(chunks) } as const;
        end(() => resolve(encoding === undefined ? answer : { ...answer, encoding }), true);
      },
      onResponseError(_, error) {
        const sent = line !== undefined;
        end(() =>
          resolve(head ? { kind: 'cut', httpStatus: head.httpStatus } : { kind: 'failed', sent, error }),
        );
      },
    });
  });
}

/** Goes no further than the line. */
function givenUp(): Error {
  return new Error('the request was given up');
}
