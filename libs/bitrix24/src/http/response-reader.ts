import type { IncomingHttpHeaders } from 'node:http';
import { createGunzip } from 'node:zlib';
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { reserveMemory } from './response-limits.js';
import { ResponseScan } from './response-scan.js';

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

interface ReadLimits {
  /** From the call to the last byte of the response. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** A timer that fires this late shows a blocked event loop, not a slow peer. */
const BLOCKED_LOOP_MS = 250;
/** Time to read what is in the socket by then: one or a few iterations of the event loop. */
const LAST_READ_MS = 1_000;

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
    let connection: Dispatcher.DispatchController | undefined;
    let over = false;

    /** Only the first call counts. The connection is aborted, unless the response is complete. */
    const end = (complete: () => void, whole = false): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      complete();
      if (!whole) connection?.abort(givenUp());
    };
    const abort = (): void => end(() => reject(signal?.reason));
    const expire = (): void => end(() => resolve({ kind: 'timeout', sent: connection !== undefined }));
    const dueAtMs = performance.now() + timeoutMs;
    let timer = setTimeout(() => {
      if (performance.now() - dueAtMs < BLOCKED_LOOP_MS) expire();
      else timer = setTimeout(expire, LAST_READ_MS);
    }, timeoutMs);
    signal?.addEventListener('abort', abort, { once: true });

    dispatcher.dispatch(request, {
      onRequestStart(controller) {
        // Called when there is a connection, possibly after the end.
        if (over) controller.abort(givenUp());
        else connection = controller;
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
        const sent = connection !== undefined;
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

/** The defect of a `BAD_ANSWER`. */
export type ResponseDefect =
  | 'html'
  | 'empty'
  /** Truncated. */
  | 'cut'
  | 'not-json'
  /** JSON, but not as documented. */
  | 'wrong-shape'
  | 'too-long'
  /** Nested deeper than any response of Bitrix24. */
  | 'too-deep'
  /** This process has not enough free memory to read it now. */
  | 'no-room'
  | 'not-utf8'
  /** A content encoding that was not requested, or that cannot be decoded. */
  | 'bad-encoding';

export type Body =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly detail: ResponseDefect };

/**
 * Decodes the body of a response as text. The decompressed size and the memory of the parsed value are counted during
 * decompression, so that a few compressed bytes cannot exhaust the memory.
 *
 * @param encoding the header `content-encoding`; the client accepts gzip only
 * @param maxBytes of the text
 */
export async function readBody(
  bytes: Uint8Array,
  encoding: string | undefined,
  maxBytes: number,
): Promise<Body> {
  const coding = encoding?.trim().toLowerCase() ?? '';
  const scan = new ResponseScan(maxBytes);
  if (coding === '' || coding === 'identity') return toBody([bytes], scan.feed(bytes), scan);
  if (coding !== 'gzip' && coding !== 'x-gzip') return { ok: false, detail: 'bad-encoding' };
  if (bytes.byteLength === 0) return { ok: true, text: '' };
  try {
    const { chunks, defect } = await unpack(bytes, scan);
    return toBody(chunks, defect, scan);
  } catch (error) {
    return { ok: false, detail: defectOf(error) };
  }
}

interface Unpacked {
  readonly chunks: Uint8Array[];
  readonly defect: ResponseDefect | undefined;
}

/** Leaving the loop stops the decompression. */
async function unpack(bytes: Uint8Array, scan: ResponseScan): Promise<Unpacked> {
  const chunks: Uint8Array[] = [];
  const gunzip = createGunzip();
  gunzip.end(bytes);
  for await (const chunk of gunzip.iterator()) {
    const unpacked = z.instanceof(Uint8Array).parse(chunk);
    const defect = scan.feed(unpacked);
    if (defect !== undefined) return { chunks: [], defect };
    chunks.push(unpacked);
  }
  return { chunks, defect: undefined };
}

function toBody(chunks: readonly Uint8Array[], defect: ResponseDefect | undefined, scan: ResponseScan): Body {
  const detail = defect ?? reserveMemory(scan);
  return detail === undefined ? decode(chunks) : { ok: false, detail };
}

function decode(chunks: readonly Uint8Array[]): Body {
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const [only, ...others] = chunks;
    if (others.length === 0) return { ok: true, text: decoder.decode(only) };
    return { ok: true, text: decoder.decode(Buffer.concat(chunks)) };
  } catch {
    return { ok: false, detail: 'not-utf8' };
  }
}

/** Parsed by shape, not by `instanceof`: runtime errors can come from another realm. */
const zlibError = z.object({ code: z.string() });

function defectOf(error: unknown): ResponseDefect {
  switch (zlibError.safeParse(error).data?.code) {
    case 'Z_BUF_ERROR':
      return 'cut';
    default:
      return 'bad-encoding';
  }
}
