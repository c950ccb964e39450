import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { TokenKey } from '@relay/platform';
import { PortalError } from '../database/errors.js';

/** Where a sealed text belongs; copied to another portal or field it cannot be decrypted. */
export interface SealContext {
  memberId: string;
  field: 'access_token' | 'refresh_token' | 'webhook_url' | 'pending_install';
}

const ALGORITHM = 'aes-256-gcm';
const VERSION = 'v1';
/** The nonce size of GCM; random ones are safe for 2^32 texts under one key (NIST SP 800-38D, 8.3). */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Authenticated encryption of secrets in the database: `v1:<key id>:<base64url of nonce, ciphertext, tag>`. The first key
 * encrypts, all keys decrypt, so a key is replaced by putting the new one in front.
 */
export class SecretBox {
  readonly #sealing: TokenKey;
  readonly #keys: ReadonlyMap<string, Buffer>;

  /** @throws RangeError without a key, or when a key is not 32 bytes or its id is empty or has a colon. */
  constructor(keys: readonly TokenKey[]) {
    const [first] = keys;
    if (!first) throw new RangeError('TOKEN_KEYS names no key');
    for (const { id, key } of keys) {
      if (id === '' || id.includes(':'))
        throw new RangeError('A key id of TOKEN_KEYS is empty or has a colon');
      if (key.length !== 32) throw new RangeError(`The key ${id} of TOKEN_KEYS is not 32 bytes long`);
    }
    this.#sealing = first;
    this.#keys = new Map(keys.map(({ id, key }) => [id, key]));
  }

  /** The id of the key that encrypts. */
  get currentKeyId(): string {
    return this.#sealing.id;
  }

  /** The id of the key that encrypted a text; undefined for any other text. */
  static keyIdOf(sealed: string): string | undefined {
    const [format, id] = sealed.split(':');
    return format === VERSION ? id : undefined;
  }

  seal(secret: string, context: SealContext): string {
    const { id, key } = this.#sealing;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(boundTo(id, context));
    const sealed = Buffer.concat([nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${VERSION}:${id}:${sealed.toString('base64url')}`;
  }

  /** @throws PortalError UNKNOWN_KEY, BROKEN_SEAL */
  open(sealed: string, context: SealContext): string {
    const [format, id = '', body = ''] = sealed.split(':');
    const bytes = Buffer.from(body, 'base64url');
    if (format !== VERSION || bytes.length < NONCE_BYTES + TAG_BYTES) throw brokenSeal(context);
    const key = this.#keys.get(id);
    if (!key) throw unknownKey(id, context);

    const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(boundTo(id, context));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString('utf8');
    } catch (cause) {
      throw brokenSeal(context, cause);
    }
  }
}

/** Additional authenticated data. JSON keeps the parts apart whatever characters they hold. */
function boundTo(keyId: string, { memberId, field }: SealContext): Buffer {
  return Buffer.from(JSON.stringify([VERSION, keyId, memberId, field]));
}

function unknownKey(id: string, { memberId, field }: SealContext): PortalError {
  const message = `The ${field} of a portal is sealed with the key "${id}", which TOKEN_KEYS does not name: add that key to the end of TOKEN_KEYS again, or install the portal anew`;
  return new PortalError('UNKNOWN_KEY', message, { memberId });
}

function brokenSeal({ memberId, field }: SealContext, cause?: unknown): PortalError {
  const message = `The sealed ${field} of a portal does not open: it is damaged or belongs to another portal; install the portal anew`;
  return new PortalError('BROKEN_SEAL', message, { memberId, cause });
}
