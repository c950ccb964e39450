import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { z } from 'zod';
import type { AnswerFault } from './errors.js';

const unpack = promisify(gunzip);

export type Body =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly detail: AnswerFault };

/**
 * The bytes of an answer as text.
 *
 * @param encoding the header `content-encoding`; gzip is all that is asked for
 * @param maxBytes of the text, so that a few packed bytes cannot fill the memory
 */
export async function readBody(
  bytes: Uint8Array,
  encoding: string | undefined,
  maxBytes: number,
): Promise<Body> {
  const coding = encoding?.trim().toLowerCase() ?? '';
  if (coding === '' || coding === 'identity') return decode(bytes);
  if (coding !== 'gzip' && coding !== 'x-gzip') return { ok: false, detail: 'bad-encoding' };
  if (bytes.byteLength === 0) return { ok: true, text: '' };
  try {
    return decode(await unpack(bytes, { maxOutputLength: maxBytes }));
  } catch (error) {
    return { ok: false, detail: faultOf(error) };
  }
}

function decode(bytes: Uint8Array): Body {
  try {
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { ok: false, detail: 'not-utf8' };
  }
}

/** Read by shape: the runtime's errors can come from another realm than ours. */
const zlibError = z.object({ code: z.string() });

function faultOf(error: unknown): AnswerFault {
  switch (zlibError.safeParse(error).data?.code) {
    case 'ERR_BUFFER_TOO_LARGE':
      return 'too-long';
    case 'Z_BUF_ERROR':
      return 'cut';
    default:
      return 'bad-encoding';
  }
}
