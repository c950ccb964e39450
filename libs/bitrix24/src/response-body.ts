import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { ResponseScan } from './response-scan.js';
import { reserveMemory } from './response-budget.js';
import type { ResponseDefect } from './outcome.js';

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
  if (coding === '' || coding === 'identity') return settle([bytes], scan.feed(bytes), scan);
  if (coding !== 'gzip' && coding !== 'x-gzip') return { ok: false, detail: 'bad-encoding' };
  if (bytes.byteLength === 0) return { ok: true, text: '' };
  try {
    const { chunks, fault } = await unpack(bytes, scan);
    return settle(chunks, fault, scan);
  } catch (error) {
    return { ok: false, detail: faultOf(error) };
  }
}

interface Unpacked {
  readonly chunks: Uint8Array[];
  readonly fault: ResponseDefect | undefined;
}

/** Leaving the loop stops the decompression. */
async function unpack(bytes: Uint8Array, scan: ResponseScan): Promise<Unpacked> {
  const chunks: Uint8Array[] = [];
  const gunzip = createGunzip();
  gunzip.end(bytes);
  for await (const chunk of gunzip.iterator()) {
    const unpacked = z.instanceof(Uint8Array).parse(chunk);
    const fault = scan.feed(unpacked);
    if (fault !== undefined) return { chunks: [], fault };
    chunks.push(unpacked);
  }
  return { chunks, fault: undefined };
}

function settle(chunks: readonly Uint8Array[], fault: ResponseDefect | undefined, scan: ResponseScan): Body {
  const detail = fault ?? reserveMemory(scan);
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

function faultOf(error: unknown): ResponseDefect {
  switch (zlibError.safeParse(error).data?.code) {
    case 'Z_BUF_ERROR':
      return 'cut';
    default:
      return 'bad-encoding';
  }
}
