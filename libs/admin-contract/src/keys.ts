import { z } from 'zod';

/** `POST /ops/api/keys/rotate` */
export const keyRotationResponse = z.object({
  /** Rows that are encrypted with the first key now and were not before. */
  rewritten: z.number(),
  /** Rows that were encrypted with it already. */
  alreadyCurrent: z.number(),
  /** Rows that no key of TOKEN_KEYS decrypts; left as they are. */
  unreadable: z.number(),
  /** The first key of TOKEN_KEYS. */
  currentKeyId: z.string(),
  /** Encrypted values by the id of their key: a key that is not here can be removed from TOKEN_KEYS. */
  keysInUse: z.record(z.string(), z.number()),
});
