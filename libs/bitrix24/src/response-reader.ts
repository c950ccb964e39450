import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';

/** How a request ended at the transport level. `sent` is false when certainly no byte of it was written. */
export type ReadResponse =
  | {
      readonly kind: 'answer';
      readonly httpStatus: number;
      readonly bytes: Buffer;
      readonly encoding?: string;
    }
  | { readonly kind: 'redirect'; readonly httpStatus: number }
  | { readonly kind: 'too-long'; readonly httpStatus: number }
  /** The connection failed after the response headers. */
  | { readonly kind: 'cut'; readonly httpStatus: number }
  | { readonly kind: 'timeout'; readonly sent: boolean }
  | { readonly kind: 'failed'; readonly sent: boolean; readonly error: unknown };

export interface ReadLimits {
  /** From the call to the last byte of the response. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** A timer that fires this late shows a blocked event loop, not a slow peer. */
const LATE_MS = 250;
/** Time to read what is in the socket by then: one or a few iterations of the event loop. */
const GRACE_MS = 1_000;

/**
 * Dispatches one request and reads its response. No redirects, no retries, and no bytes are read beyond `maxBytes`.
 *
 * A process that was blocked beyond the deadline (stopped, starved, in a long computation) runs its timers before its
 * sockets. It then reads the socket once more: the response may have arrived in time and may hold the only new token
 * pair.
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

    /** Only the first call counts. The connection is aborted, unless the response is complete. */
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
        // Called when there is a connection, possibly after the end.
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

/** Seen by the connection only. */
function givenUp(): Error {
  return new Error('the request was given up');
}
