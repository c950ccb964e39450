import { z } from 'zod';

/** One POST and its answer, bounded in time and size. Nothing is followed, nothing is repeated. */
export interface PostRequest {
  readonly url: URL;
  readonly contentType: string;
  readonly body: string;
  /** From the first byte sent to the last byte read. */
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
  readonly signal?: AbortSignal | undefined;
}

export type Exchange =
  | { readonly ok: true; readonly httpStatus: number; readonly text: string }
  | {
      readonly ok: false;
      readonly code: 'TRANSPORT' | 'TIMEOUT' | 'REDIRECT' | 'BAD_ANSWER';
      readonly httpStatus?: number;
      /** The system's code (`ECONNREFUSED`). Not the error itself: its message can quote the address or the answer. */
      readonly cause?: string;
    };

/**
 * A renamed portal answers 302, and a followed POST may turn into a GET without its parameters
 * (`settings/how-to-call-rest-api/change-domen.md`): so redirects are reported, not followed.
 *
 * @throws the signal's reason when the caller aborts
 */
export async function post(request: PostRequest): Promise<Exchange> {
  request.signal?.throwIfAborted();
  const deadline = startDeadline(request.timeoutMs, request.signal);
  try {
    const response = await fetch(request.url, {
      method: 'POST',
      headers: {
        'content-type': request.contentType,
        accept: 'application/json',
        'user-agent': 'b24-relay',
      },
      body: request.body,
      redirect: 'manual',
      signal: deadline.signal,
    });
    const httpStatus = response.status;
    if (httpStatus >= 300 && httpStatus < 400) {
      await response.body?.cancel();
      return { ok: false, code: 'REDIRECT', httpStatus };
    }
    const text = await readText(response, request.maxAnswerBytes);
    return text === undefined
      ? { ok: false, code: 'BAD_ANSWER', httpStatus }
      : { ok: true, httpStatus, text };
  } catch (error) {
    request.signal?.throwIfAborted();
    if (deadline.signal.aborted) return { ok: false, code: 'TIMEOUT' };
    return { ok: false, code: 'TRANSPORT', cause: systemCode(error) };
  } finally {
    deadline.clear();
  }
}

/** The answer as text; undefined when it is too long or not UTF-8. */
async function readText(response: Response, maxBytes: number): Promise<string | undefined> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the stream, so the rest is not taken from the socket.
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    return undefined;
  }
}

/**
 * `AbortSignal.any` with a signal that lives as long as the process would gather one dependent per request there;
 * this one lets go of the caller's signal at the end.
 */
function startDeadline(timeoutMs: number, signal?: AbortSignal): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const timer = setTimeout(abort, timeoutMs);
  signal?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    },
  };
}

/**
 * `fetch` throws a TypeError whose cause has the system's code. Read by shape: the runtime's errors can come from
 * another realm than ours.
 */
const systemError = z.object({ cause: z.object({ code: z.string().regex(/^[A-Z0-9_]{1,40}$/) }) });

function systemCode(error: unknown): string {
  const parsed = systemError.safeParse(error);
  return parsed.success ? parsed.data.cause.code : 'UNKNOWN';
}
