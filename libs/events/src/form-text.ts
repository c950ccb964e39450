import { isUtf8 } from 'node:buffer';
import { FormError } from './form-error.js';

const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;

/**
 * Decodes one name or value as PHP's `urldecode` does: `+` is a space, a broken escape stays as it is written.
 * Takes a binary string (one character a byte), so that raw and escaped bytes of one character meet.
 * Throws FormError `invalid-utf8`.
 */
export function decodeText(binary: string): string {
  if (!/[%+\x80-\xff]/.test(binary)) return binary;
  return decodeAscii(binary) ?? decodeBytes(Buffer.from(binary, 'latin1'));
}

/** The common case, without the cost of decodeURIComponent and its exceptions. Undefined where there is more to it than ASCII, well escaped. */
function decodeAscii(binary: string): string | undefined {
  if (/[\x80-\xff]/.test(binary)) return undefined;
  const escaped = binary.includes('+') ? binary.replaceAll('+', ' ') : binary;
  let decoded = '';
  let from = 0;
  for (let at = escaped.indexOf('%'); at !== -1; at = escaped.indexOf('%', from)) {
    const byte = hexDigit(escaped.charCodeAt(at + 1)) * 16 + hexDigit(escaped.charCodeAt(at + 2));
    if (Number.isNaN(byte) || byte > 0x7f) return undefined;
    decoded += escaped.slice(from, at) + String.fromCharCode(byte);
    from = at + 3;
  }
  return from === 0 ? escaped : decoded + escaped.slice(from);
}

/** Decodes in place: the output is never longer than the input. */
function decodeBytes(bytes: Buffer): string {
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === PERCENT) {
      const escaped = hexDigit(bytes[at + 1]) * 16 + hexDigit(bytes[at + 2]);
      if (Number.isNaN(escaped)) {
        bytes[length++] = PERCENT;
      } else {
        bytes[length++] = escaped;
        at += 2;
      }
    } else {
      bytes[length++] = byte === PLUS ? SPACE : byte;
    }
  }
  const decoded = bytes.subarray(0, length);
  if (!isUtf8(decoded)) throw new FormError('invalid-utf8', 'The form is not valid UTF-8');
  return decoded.toString('utf8');
}

/** NaN for anything else, and for what lies behind the end. */
function hexDigit(byte = Number.NaN): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : Number.NaN;
}
