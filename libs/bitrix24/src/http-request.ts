import { z } from 'zod';
import { AddressError, checkOrigin } from './address.js';
import { readBody } from './response-body.js';
import type { Delivered, ResponseDefect } from './outcome.js';
import { type HttpAgents, createHttpAgents } from './http-agents.js';
import { readResponse, type ReadResponse } from './response-reader.js';

/** One POST and its answer, bounded in time and size. Nothing is followed, nothing is repeated. */
export interface PostRequest {
  readonly url: URL;
  readonly contentType: string;
  readonly body: string;
  /** From the first byte sent to the last byte read. */
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
  /** `host[:port]` that may be plain http and have any address; all others must be https and public. */
  readonly allowHosts: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

export type HttpResult =
  | { readonly ok: true; readonly httpStatus: number; readonly text: string }
  | {
      readonly ok: false;
      readonly code: 'TRANSPORT' | 'TIMEOUT' | 'REDIRECT' | 'BAD_ANSWER' | 'BAD_ADDRESS';
      readonly delivered: Delivered;
      readonly httpStatus?: number;
      readonly detail?: ResponseDefect;
      /** The system's code (`ECONNREFUSED`). Not the error itself: its message can quote the address or the answer. */
      readonly cause?: string;
    };

/** Every client of the process shares these connections. */
const AGENTS = createHttpAgents();

/**
 * A renamed portal answers 302, and a followed POST may turn into a GET without its parameters
 * (`settings/how-to-call-rest-api/change-domen.md`): so redirects are reported, not followed.
 *
 * @throws the signal's reason when the caller aborts
 */
export async function post(request: PostRequest, lines: HttpAgents = AGENTS): Promise<HttpResult> {
  const { url, signal, timeoutMs, maxAnswerBytes } = request;
  signal?.throwIfAborted();
  const line = agentFor(request, lines);
  if (line === undefined) return { ok: false, code: 'BAD_ADDRESS', delivered: 'no' };

  const reception = await readResponse(
    line,
    {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      headers: {
        'content-type': request.contentType,
        accept: 'application/json',
        'accept-encoding': 'gzip',
        'user-agent': 'b24-relay',
      },
      body: request.body,
    },
    { timeoutMs, maxBytes: maxAnswerBytes, signal },
  );
  return await toHttpResult(reception, maxAnswerBytes);
}

function agentFor(
  { url, allowHosts }: PostRequest,
  lines: HttpAgents,
): HttpAgents['unrestricted'] | undefined {
  try {
    return checkOrigin(url, allowHosts).allowed ? lines.unrestricted : lines.ssrfGuarded;
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/** What became of a request, in the words of this client. Nothing of the answer but its text goes on. */
export async function toHttpResult(reception: ReadResponse, maxAnswerBytes: number): Promise<HttpResult> {
  switch (reception.kind) {
    case 'answer': {
      const { httpStatus, bytes, encoding } = reception;
      const body = await readBody(bytes, encoding, maxAnswerBytes);
      return body.ok ? { ...body, httpStatus } : badAnswer(httpStatus, body.detail);
    }
    case 'too-long':
    case 'cut':
      return badAnswer(reception.httpStatus, reception.kind);
    case 'redirect':
      return { ok: false, code: 'REDIRECT', delivered: 'yes', httpStatus: reception.httpStatus };
    case 'timeout':
      return { ok: false, code: 'TIMEOUT', delivered: reception.sent ? 'unknown' : 'no' };
    case 'failed': {
      if (reception.error instanceof AddressError) {
        return { ok: false, code: 'BAD_ADDRESS', delivered: 'no' };
      }
      const delivered = reception.sent ? 'unknown' : 'no';
      return { ok: false, code: 'TRANSPORT', delivered, cause: systemCode(reception.error) };
    }
    default:
      return reception satisfies never;
  }
}

function badAnswer(httpStatus: number, detail: ResponseDefect): HttpResult {
  return { ok: false, code: 'BAD_ANSWER', delivered: 'yes', httpStatus, detail };
}

/** Read by shape: the runtime's errors can come from another realm than ours. */
const systemError = z.object({ code: z.string().regex(/^[A-Z0-9_]{1,40}$/) });

function systemCode(error: unknown): string {
  return systemError.safeParse(error).data?.code ?? 'UNKNOWN';
}
