import { z } from 'zod';
import type { OpsClient } from './ops-client.js';
import type { Report } from './report.js';

const rotated = z.object({
  rewritten: z.number(),
  alreadyCurrent: z.number(),
  unreadable: z.number(),
  currentKeyId: z.string(),
  keysInUse: z.record(z.string(), z.number()),
});

/** Encrypts everything with the first key of TOKEN_KEYS, and says which keys can be removed. */
export async function rotateKeys(api: OpsClient): Promise<Report> {
  const answer = rotated.parse(await api.send('POST', '/keys/rotate'));
  const { rewritten, alreadyCurrent, unreadable, currentKeyId } = answer;
  const old = Object.keys(answer.keysInUse).filter((id) => id !== currentKeyId);
  const lines = [
    `${rewritten} sealed with the key ${currentKeyId} now, ${alreadyCurrent} before.`,
    old.length === 0
      ? `Every other key can be taken out of TOKEN_KEYS.`
      : `TOKEN_KEYS must still hold ${old.join(', ')}. Is every process restarted with ${currentKeyId} as the first key? Then run this again.`,
  ];
  if (unreadable > 0) {
    lines.push(`No key of TOKEN_KEYS opens ${unreadable} of them; the log of the gateway names each.`);
  }
  return { value: answer, text: lines.join('\n') };
}
